// RocksDatabase: the database of the batch store: how it is opened, lent to those who read, and exchanged for a fresh
// one after an error that it does not get over, without a lock being held across RocksDB.
// Threads: a Loan on any; the rest on the writer's only (or start-up).
// Errors: a Status with RocksDB's words. A database that cannot be opened again is opened for reading, where that can
// be done: it goes on answering, and is broken for whoever wants to change it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "storage/base/file_io.h"
#include "storage/base/mutex.h"
#include "storage/base/status.h"
#include "storage/flash/batch_store.h"

namespace rocksdb {
class Cache;
class DB;
class Logger;
class Statistics;
class Status;
struct Options;
}  // namespace rocksdb

namespace terraced::storage {

// The one place where RocksDB's words become ours.
Status TranslateRocksStatus(const rocksdb::Status& status, std::string_view what);

class RocksDatabase {
 public:
  explicit RocksDatabase(const BatchStoreOptions& options);
  ~RocksDatabase();
  RocksDatabase(const RocksDatabase&) = delete;
  RocksDatabase& operator=(const RocksDatabase&) = delete;

  // The database, lent for the life of this object; OpenAgain() and Close() wait until nobody has it.
  class Loan {
   public:
    enum class Wait { kYes, kNo };
    explicit Loan(const RocksDatabase& database, Wait wait = Wait::kYes)
        : database_(database), db_(database.Lend(wait)) {}
    ~Loan() {
      if (db_ != nullptr) database_.GiveBack();
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    rocksdb::DB* Db() const { return db_; }  // nullptr: closed, or could not be opened again

   private:
    const RocksDatabase& database_;
    rocksdb::DB* const db_;
  };

  Status Open();
  Status OpenAgain() TERRACED_EXCLUDES(mutex_);
  Status Close() TERRACED_EXCLUDES(mutex_);  // nothing may follow
  bool IsClosed() const TERRACED_EXCLUDES(mutex_);

  // RocksDB reported an error after which it refuses, or must not do, more.
  void NoteBroken() { broken_ = true; }
  bool IsBroken() const { return broken_; }
  // False: its files have been removed, or the path leads to others; what is open can still be read.
  bool IsInPlace() const;

  static Status ClosedStatus() {
    return Status(StatusCode::kUnavailable, "the flash store is not open");
  }
  const rocksdb::Options& OptionsFor(bool small_records) const {
    return small_records ? *small_options_ : *large_options_;
  }
  const std::string& Path() const { return path_; }
  const rocksdb::Statistics& Statistics() const { return *statistics_; }
  uint64_t BlockCacheBytes() const;

 private:
  rocksdb::Options MakeOptions(bool small_records) const;
  Result<std::unique_ptr<rocksdb::DB>> OpenFiles(bool read_only) const;
  rocksdb::DB* Lend(Loan::Wait wait) const TERRACED_EXCLUDES(mutex_);
  void GiveBack() const TERRACED_EXCLUDES(mutex_);
  // Takes the database away from everyone, closes it and, if asked, opens it again.
  Status Exchange(bool open_again) TERRACED_EXCLUDES(mutex_);

  // Constant after construction.
  const BatchStoreOptions options_;
  const std::string path_;
  std::shared_ptr<rocksdb::Statistics>
      statistics_;                               // shared with RocksDB, which asks for it that way
  std::shared_ptr<rocksdb::Cache> block_cache_;  // likewise; nullptr: none
  const std::shared_ptr<rocksdb::Logger> info_log_;  // likewise
  std::unique_ptr<const rocksdb::Options> small_options_;
  std::unique_ptr<const rocksdb::Options> large_options_;

  // The writer's thread only.
  bool broken_ = false;
  FileDescriptor
      place_;  // the directory that it was opened in, which is held so that no other gets its number

  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::unique_ptr<rocksdb::DB> db_ TERRACED_GUARDED_BY(mutex_);
  mutable uint64_t users_ TERRACED_GUARDED_BY(mutex_) = 0;
  bool exchanging_ TERRACED_GUARDED_BY(mutex_) = false;
  bool closed_ TERRACED_GUARDED_BY(mutex_) = false;
};

}  // namespace terraced::storage
