// RocksBatchStore: the BatchStore on RocksDB. Batches are SSTs that we build and ingest; there is
// no memtable, no WAL and no compaction. What RocksDB gives us is the file format, the manifest of
// live files, and files that stay readable while somebody reads them and are unlinked when nobody
// does.
// Threads: as BatchStore says. The database pointer is lent to users who are counted, so that
// Reopen() can wait for them without a lock being held across RocksDB.
#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>

#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/file_io.h"
#include "storage/base/log.h"
#include "storage/base/mutex.h"
#include "storage/base/yield_point.h"
#include "storage/flash/batch_store.h"
#include "storage/flash/hash_list.h"
#include "storage/flash/record.h"
#include "storage/flash/sst_check_env.h"

namespace terraced::storage {
namespace {

// One block is what a read fetches and checks; larger ones cost more per read than they save
// (README.md).
constexpr size_t kBlockBytes = 4096;
// Large records are LZ4'd one by one. Small ones do not compress alone: where the average of a
// batch is below this, its blocks are compressed instead.
constexpr size_t kSmallRecordBytes = kRecordLz4BytesMin + kRecordHeaderBytes;
// Consecutive index entries share the serial and much of the key: delta coding in groups of eight
// makes an index block a quarter as large in RAM, at no cost that a read shows (README.md).
constexpr int kIndexRestartInterval = 8;
constexpr uint64_t kManifestBytesMax = 8ULL << 20;
// The file is handed to the disk while it is built, so that its fsync does not stall the readers: all but the last
// megabyte, which RocksDB keeps.
constexpr uint64_t kBytesPerSync = 256ULL << 10;
// What one write to it copies (a larger record is one write): about a turn of the core (storage/base/yield_point.h).
constexpr size_t kFileBufferBytes = 64U << 10;
constexpr size_t kScanReadaheadBytes = 1ULL << 20;
constexpr int kTableCacheShardBits = 4;

// The one place where RocksDB's words become ours.
Status Translate(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return Status();
  StatusCode code = StatusCode::kIoError;
  if (status.IsPathNotFound()) {  // a file of the database is missing: not the same as an absent
                                  // record
    code = StatusCode::kIoError;
  } else if (status.IsNotFound()) {
    code = StatusCode::kNotFound;
  } else if (status.IsNoSpace() || status.subcode() == rocksdb::Status::SubCode::kSpaceLimit) {
    code = StatusCode::kNoSpace;
  } else if (status.IsCorruption()) {
    code = StatusCode::kCorruption;
  } else if (status.IsInvalidArgument() || status.IsTryAgain()) {
    code = StatusCode::kInvalidArgument;
  } else if (status.IsShutdownInProgress()) {
    code = StatusCode::kUnavailable;
  }
  return Status(code, std::string(what) + ": " + status.ToString());
}

Status RefusedSerial(uint64_t serial) {
  return Status(StatusCode::kInvalidArgument,
                "batch serial " + std::to_string(serial) + " cannot be");
}

bool IsSerial(uint64_t serial) {
  return serial != 0 && serial != UINT64_MAX;
}

std::string BatchName(uint64_t serial) {
  return "batch " + std::to_string(serial);
}

// RocksDB's warnings in our own log. Its own log file is not used: once a write to that has failed
// (a full disk), the next line aborts the process on an assertion.
class InfoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  // The dump of every option at each open is nothing an operator reads.
  void LogHeader(const char*, va_list) noexcept override {}
  rocksdb::InfoLogLevel GetInfoLogLevel() const noexcept override {
    return rocksdb::InfoLogLevel::WARN_LEVEL;
  }
  void Logv(const char* format, va_list arguments) noexcept override {
    if (!Log::On(LogLevel::kVerbose)) return;
    std::array<char, 512> line;
    std::vsnprintf(line.data(), line.size(), format, arguments);
    Log::Write(LogLevel::kVerbose, "rocksdb: %s", line.data());
  }
};

class RocksBatchStore final : public BatchStore {
 public:
  explicit RocksBatchStore(const BatchStoreOptions& options);
  ~RocksBatchStore() override;

  Status Open();
  Result<BatchFile> Write(uint64_t serial, std::span<const BatchRecord> records,
                          const std::function<void()>& before_ingest) override;
  void ReadMany(std::span<BatchRead> reads) override;
  Status Drop(uint64_t serial) override;
  Status Hashes(uint64_t serial, uint64_t first, uint64_t last,
                const std::function<bool(std::span<const uint64_t>)>& visit) override;
  Result<uint64_t> CountMissing(uint64_t serial, std::span<const uint64_t> wanted) override;
  Status Records(
      uint64_t serial,
      const std::function<bool(std::string_view key, std::string_view record)>& visit) override;
  Status Retain(const std::function<bool(uint64_t serial)>& keep) override;
  Status Reopen() override;
  BatchStoreStats Stats() const override;
  Status Close() override;

 private:
  // The database, lent for the life of this object; Reopen() and Close() wait until nobody has it.
  class Loan {
   public:
    enum class Wait { kYes, kNo };
    explicit Loan(const RocksBatchStore& store, Wait wait = Wait::kYes)
        : store_(store), db_(store.Lend(wait)) {}
    ~Loan() {
      if (db_ != nullptr) store_.GiveBack();
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    rocksdb::DB* Db() const { return db_; }  // nullptr: closed, or could not be opened again

   private:
    const RocksBatchStore& store_;
    rocksdb::DB* const db_;
  };

  rocksdb::DB* Lend(Loan::Wait wait) const TERRACED_EXCLUDES(mutex_);
  void GiveBack() const TERRACED_EXCLUDES(mutex_);
  // Takes the database away from everyone, closes it and, if asked, opens it again.
  Status Exchange(bool open_again) TERRACED_EXCLUDES(mutex_);
  Result<std::unique_ptr<rocksdb::DB>> OpenDatabase() const;
  Status EmptyStaging() const;
  Status MakePlaces();
  // Before anything is changed.
  Status OpenAgainIfBroken();

  rocksdb::Options OptionsFor(bool small_records) const;
  Result<uint64_t> Build(uint64_t serial, std::span<const BatchRecord> records,
                         const std::string& path) const;
  Result<uint64_t> WriteHashes(uint64_t serial, std::span<const BatchRecord> records) const;
  Status Ingest(const std::string& path);
  Status DropRange(rocksdb::DB* db, uint64_t serial);
  Status RetainHashLists(const std::function<bool(uint64_t serial)>& keep);
  static Status ClosedStatus() {
    return Status(StatusCode::kUnavailable, "the flash store is not open");
  }

  // Constant after construction and Open().
  const BatchStoreOptions options_;
  const std::string db_path_;
  const std::string staging_path_;
  const std::shared_ptr<rocksdb::Env> env_ = MakeSstCheckEnv();
  std::shared_ptr<rocksdb::Statistics>
      statistics_;                               // shared with RocksDB, which asks for it that way
  std::shared_ptr<rocksdb::Cache> block_cache_;  // likewise; nullptr: none
  const std::shared_ptr<rocksdb::Logger> info_log_;  // likewise
  rocksdb::Options small_options_;
  rocksdb::Options large_options_;
  FileDescriptor directory_;
  FileDescriptor hashes_;

  // Self-synchronised.
  std::atomic<uint64_t> reads_{0};
  std::atomic<uint64_t> bytes_written_{0};

  // The writer's thread only: RocksDB reported an error after which it refuses, or must not do,
  // more.
  bool broken_ = false;

  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::unique_ptr<rocksdb::DB> db_ TERRACED_GUARDED_BY(mutex_);
  mutable uint64_t users_ TERRACED_GUARDED_BY(mutex_) = 0;
  bool exchanging_ TERRACED_GUARDED_BY(mutex_) = false;
  bool closed_ TERRACED_GUARDED_BY(mutex_) = false;
};

RocksBatchStore::RocksBatchStore(const BatchStoreOptions& options)
    : options_(options),
      db_path_(options.directory + "/db"),
      staging_path_(options.directory + "/staging"),
      statistics_(rocksdb::CreateDBStatistics()),
      info_log_(std::make_shared<InfoLog>()) {
  // Tickers only: histograms and timers cost a clock reading per call.
  statistics_->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  if (options.block_cache_bytes > 0) {
    // Not strict: a strict cache fails the read that finds it full. What goes beyond the limit is
    // pinned by reads in progress, one block each.
    block_cache_ = rocksdb::NewLRUCache(options.block_cache_bytes, /*num_shard_bits=*/2,
                                        /*strict_capacity_limit=*/false);
  }
  small_options_ = OptionsFor(/*small_records=*/true);
  large_options_ = OptionsFor(/*small_records=*/false);
}

RocksBatchStore::~RocksBatchStore() {
  static_cast<void>(Close().ok());
}

rocksdb::Options RocksBatchStore::OptionsFor(bool small_records) const {
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.block_size = kBlockBytes;
  table.index_block_restart_interval = kIndexRestartInterval;
  table.checksum = rocksdb::kXXH3;
  table.block_cache = block_cache_;
  table.no_block_cache = block_cache_ == nullptr;
  table.cache_index_and_filter_blocks = false;  // bounded by max_open_files instead

  rocksdb::Options options;
  options.env = env_.get();
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = small_records ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  options.create_if_missing = true;
  // Leveled, because universal with automatic compaction off can return older data of an ingested
  // key.
  options.compaction_style = rocksdb::kCompactionStyleLevel;
  options.disable_auto_compactions = true;
  options.write_buffer_size = 64U << 10;  // nothing is ever written through the memtable
  options.max_background_jobs = 1;
  options.max_open_files = options_.open_files_max;
  options.max_file_opening_threads = 1;
  options.table_cache_numshardbits = kTableCacheShardBits;
  // Opening must not walk the files, and one damaged file must not keep the others from being
  // opened: we reopen after every error ourselves, and every record carries its own check.
  options.paranoid_checks = false;
  options.skip_stats_update_on_db_open = true;
  options.skip_checking_sst_file_sizes_on_db_open = true;
  options.max_bgerror_resume_count = 0;
  // A reader that drops the last reference of a file leaves its unlinking to a background thread.
  options.avoid_unnecessary_blocking_io = true;
  options.use_direct_reads = options_.direct_reads;
  options.bytes_per_sync = kBytesPerSync;
  options.writable_file_max_buffer_size = kFileBufferBytes;
  options.max_manifest_file_size = kManifestBytesMax;
  options.manifest_preallocation_size = 64U << 10;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.info_log = info_log_;
  options.statistics = statistics_;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

Status RocksBatchStore::Open() {
  TERRACED_RETURN_IF_ERROR(MakePlaces());
  TERRACED_RETURN_IF_ERROR(SyncDirectory(directory_.Get(), options_.directory));
  TERRACED_RETURN_IF_ERROR(EmptyStaging());
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<rocksdb::DB> db, OpenDatabase());
  const MutexLock lock(mutex_);
  db_ = std::move(db);
  return Status();
}

Status RocksBatchStore::MakePlaces() {
  TERRACED_ASSIGN_OR_RETURN(directory_, OpenDirectory(options_.directory));
  for (const char* const name : {"db", "staging", "hashes"}) {
    TERRACED_RETURN_IF_ERROR(MakeDirectory(directory_.Get(), name));
  }
  TERRACED_ASSIGN_OR_RETURN(hashes_, OpenDirectory(options_.directory + "/hashes"));
  return Status();
}

Status RocksBatchStore::EmptyStaging() const {
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(staging_path_, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::filesystem::remove_all(entry->path(), error);
    if (error) break;
  }
  if (error) return Status::FromErrno("empty '" + staging_path_ + "'", error.value());
  return Status();
}

Result<std::unique_ptr<rocksdb::DB>> RocksBatchStore::OpenDatabase() const {
  // RocksDB's own threads come with the first database; where the system has none, they throw.
  try {
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(large_options_, db_path_, &db);
    if (!status.ok()) return Translate(status, "open '" + db_path_ + "'");
    return std::unique_ptr<rocksdb::DB>(db);
  } catch (const std::system_error& error) {
    return Status(
        StatusCode::kUnavailable,
        "open '" + db_path_ + "': thread 'rocksdb' cannot be started: " + error.code().message());
  }
}

rocksdb::DB* RocksBatchStore::Lend(Loan::Wait wait) const {
  const MutexLock lock(mutex_);
  while (exchanging_ && wait == Loan::Wait::kYes) changed_.Wait(mutex_);
  if (exchanging_ || db_ == nullptr) return nullptr;
  ++users_;
  return db_.get();
}

void RocksBatchStore::GiveBack() const {
  const MutexLock lock(mutex_);
  TERRACED_DCHECK(users_ > 0);
  --users_;
  if (users_ == 0 && exchanging_) changed_.NotifyAll();
}

Status RocksBatchStore::Exchange(bool open_again) {
  std::unique_ptr<rocksdb::DB> old;
  {
    const MutexLock lock(mutex_);
    if (closed_) return open_again ? ClosedStatus() : Status();
    TERRACED_CHECK(!exchanging_);  // one writer's thread
    exchanging_ = true;
    while (users_ > 0) changed_.Wait(mutex_);
    old = std::move(db_);
  }
  // Outside the mutex: both take as long as the disk does. New users wait for changed_ meanwhile.
  Status status;
  if (old != nullptr) status = Translate(old->Close(), "close '" + db_path_ + "'");
  old.reset();
  std::unique_ptr<rocksdb::DB> fresh;
  if (open_again) {
    // What Close() had to say is about the state that is being left behind.
    Result<std::unique_ptr<rocksdb::DB>> opened = OpenDatabase();
    status = opened.status();
    if (opened.ok()) fresh = std::move(opened).value();
  }
  const MutexLock lock(mutex_);
  db_ = std::move(fresh);
  exchanging_ = false;
  closed_ = !open_again;
  changed_.NotifyAll();
  return status;
}

Status RocksBatchStore::Reopen() {
  broken_ = true;
  // It may have been emptied, or be another one by now: nothing is made in one that is not known to be ours.
  if (options_.check_directory) TERRACED_RETURN_IF_ERROR(options_.check_directory());
  TERRACED_RETURN_IF_ERROR(MakePlaces());
  Status status = Exchange(/*open_again=*/true);
  broken_ = !status.ok();
  return status.WithContext("reopen the flash store");
}

Status RocksBatchStore::OpenAgainIfBroken() {
  if (broken_) return Reopen();
  // RocksDB goes by paths: it must not write to, or remove from, what has taken the directory's place.
  return CheckIsAt(directory_.Get(), options_.directory);
}

Status RocksBatchStore::Close() {
  Status status = Exchange(/*open_again=*/false);
  // Hash lists and SSTs are synced as they are written; their names are what may still be in
  // memory.
  if (status.ok() && hashes_.Get() >= 0) status = SyncDirectory(hashes_.Get(), "hashes");
  return status;
}

Result<uint64_t> RocksBatchStore::Build(uint64_t serial, std::span<const BatchRecord> records,
                                        const std::string& path) const {
  size_t record_bytes = 0;
  for (const BatchRecord& record : records) record_bytes += record.record.size();
  const bool small = record_bytes / records.size() < kSmallRecordBytes;
  const rocksdb::Options& options = small ? small_options_ : large_options_;
  // Without `invalidate_page_cache` = false the first read of every new record would go to the
  // disk.
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(options), options, /*column_family=*/nullptr,
                                /*invalidate_page_cache=*/options_.direct_reads);
  rocksdb::Status status = writer.Open(path);
  std::string stored_key;
  for (size_t i = 0; status.ok() && i < records.size(); ++i) {
    YieldPoint::Pass();
    AssignStoredKey(serial, records[i].key, &stored_key);
    status =
        writer.Put(stored_key, rocksdb::Slice(records[i].record.data(), records[i].record.size()));
  }
  rocksdb::ExternalSstFileInfo info;
  YieldPoint::Pass();
  if (status.ok()) status = writer.Finish(&info);
  YieldPoint::Pass();
  if (!status.ok()) return Translate(status, "build " + BatchName(serial));
  return info.file_size;
}

Result<uint64_t> RocksBatchStore::WriteHashes(uint64_t serial,
                                              std::span<const BatchRecord> records) const {
  std::vector<uint64_t> hashes;
  hashes.reserve(records.size());
  for (const BatchRecord& record : records) hashes.push_back(record.hash);
  SortHashes(hashes);
  return WriteHashList(hashes_.Get(), serial, hashes);
}

Status RocksBatchStore::Ingest(const std::string& path) {
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  options.failed_move_fall_back_to_copy = false;  // staging/ and db/ are one filesystem
  options.snapshot_consistency = false;
  // No global sequence number is wanted or accepted: a serial that is there already would need one.
  options.allow_global_seqno = false;
  options.write_global_seqno = false;
  options.allow_blocking_flush = false;         // there is nothing to flush
  options.fail_if_not_bottommost_level = true;  // DeleteFilesInRange does not see level 0
  const Loan loan(*this);
  if (loan.Db() == nullptr) return ClosedStatus();
  const rocksdb::Status status = loan.Db()->IngestExternalFile({path}, options);
  // RocksDB may have stopped accepting work, and must not be asked to ingest after that: this build
  // of it would abort on an assertion. A refused file (its serial is taken) has changed nothing.
  if (!status.ok() && !status.IsInvalidArgument() && !status.IsTryAgain()) broken_ = true;
  return Translate(status, "ingest '" + path + "'");
}

Result<BatchFile> RocksBatchStore::Write(uint64_t serial, std::span<const BatchRecord> records,
                                         const std::function<void()>& before_ingest) {
  if (!IsSerial(serial)) return RefusedSerial(serial);
  if (records.empty()) return Status(StatusCode::kInvalidArgument, BatchName(serial) + " is empty");
  TERRACED_RETURN_IF_ERROR(OpenAgainIfBroken());

  // The hash list first: a file without its list could not be grown over. Its name is also what
  // refuses a serial that was used before.
  TERRACED_ASSIGN_OR_RETURN(const uint64_t hash_list_bytes, WriteHashes(serial, records));
  const std::string staged = "staging/" + std::to_string(serial) + ".sst";
  const std::string path = options_.directory + "/" + staged;
  Result<uint64_t> sst_bytes = Build(serial, records, path);
  Status status = sst_bytes.status();
  if (status.ok()) {
    if (before_ingest) before_ingest();
    status = Ingest(path);
  }
  if (!status.ok()) {
    // Best effort: what is left here is emptied at the next open or by Retain().
    static_cast<void>(RemoveFile(directory_.Get(), staged).ok());
    static_cast<void>(RemoveFile(hashes_.Get(), HashListName(serial)).ok());
    return status;
  }
  bytes_written_.fetch_add(sst_bytes.value() + hash_list_bytes, std::memory_order_relaxed);
  return BatchFile{.sst_bytes = sst_bytes.value(), .hash_list_bytes = hash_list_bytes};
}

void RocksBatchStore::ReadMany(std::span<BatchRead> reads) {
  reads_.fetch_add(reads.size(), std::memory_order_relaxed);
  const Loan loan(*this);
  rocksdb::ReadOptions options;
  options.verify_checksums = true;  // RocksDB parses blocks trustingly: no damaged one may reach it
  std::string stored_key;
  rocksdb::PinnableSlice value;
  for (BatchRead& read : reads) {
    read.record.clear();
    if (loan.Db() == nullptr) {
      read.status = ClosedStatus();
      continue;
    }
    AssignStoredKey(read.serial, read.key, &stored_key);
    const rocksdb::Status status =
        loan.Db()->Get(options, loan.Db()->DefaultColumnFamily(), stored_key, &value);
    read.status = status.ok() ? Status() : Translate(status, "read from " + BatchName(read.serial));
    if (status.ok()) read.record.assign(value.data(), value.size());
    value.Reset();
  }
}

Status RocksBatchStore::DropRange(rocksdb::DB* db, uint64_t serial) {
  const std::string begin = StoredKey(serial, "");
  const std::string end = StoredKey(serial + 1, "");
  const rocksdb::Slice begin_slice(begin);
  const rocksdb::Slice end_slice(end);
  const rocksdb::Status status = rocksdb::DeleteFilesInRange(
      db, db->DefaultColumnFamily(), &begin_slice, &end_slice, /*include_end=*/false);
  if (!status.ok()) broken_ = true;
  return Translate(status, "drop " + BatchName(serial));
}

Status RocksBatchStore::Drop(uint64_t serial) {
  if (!IsSerial(serial)) return RefusedSerial(serial);
  TERRACED_RETURN_IF_ERROR(OpenAgainIfBroken());
  const Loan loan(*this);
  if (loan.Db() == nullptr) return ClosedStatus();
  TERRACED_RETURN_IF_ERROR(DropRange(loan.Db(), serial));
  return RemoveFile(hashes_.Get(), HashListName(serial));
}

Status RocksBatchStore::Hashes(uint64_t serial, uint64_t first, uint64_t last,
                               const std::function<bool(std::span<const uint64_t>)>& visit) {
  return VisitHashList(hashes_.Get(), serial, first, last, visit);
}

Result<uint64_t> RocksBatchStore::CountMissing(uint64_t serial, std::span<const uint64_t> wanted) {
  return CountMissingHashes(hashes_.Get(), serial, wanted);
}

Status RocksBatchStore::Records(
    uint64_t serial, const std::function<bool(std::string_view, std::string_view)>& visit) {
  if (!IsSerial(serial)) return RefusedSerial(serial);
  const Loan loan(*this);
  if (loan.Db() == nullptr) return ClosedStatus();
  const std::string begin = StoredKey(serial, "");
  const std::string end = StoredKey(serial + 1, "");
  const rocksdb::Slice end_slice(end);
  rocksdb::ReadOptions options;
  options.verify_checksums = true;
  options.fill_cache = false;
  options.readahead_size = kScanReadaheadBytes;
  options.iterate_upper_bound = &end_slice;
  options.background_purge_on_iterator_cleanup = true;
  const std::unique_ptr<rocksdb::Iterator> at(loan.Db()->NewIterator(options));
  for (at->Seek(begin); at->Valid(); at->Next()) {
    const std::string_view stored_key(at->key().data(), at->key().size());
    const std::string_view record(at->value().data(), at->value().size());
    if (!visit(stored_key.substr(kStoredKeyPrefixBytes), record)) return Status();
  }
  return Translate(at->status(), "read through " + BatchName(serial));
}

Status RocksBatchStore::Retain(const std::function<bool(uint64_t serial)>& keep) {
  TERRACED_RETURN_IF_ERROR(OpenAgainIfBroken());
  const Loan loan(*this);
  if (loan.Db() == nullptr) return ClosedStatus();
  std::vector<rocksdb::LiveFileMetaData> files;
  loan.Db()->GetLiveFilesMetaData(&files);
  for (const rocksdb::LiveFileMetaData& file : files) {
    if (file.smallestkey.size() < kStoredKeyPrefixBytes) {
      return Status(StatusCode::kCorruption, "'" + db_path_ + file.name + "' is no batch");
    }
    const uint64_t serial = SerialOfStoredKey(file.smallestkey);
    if (!keep(serial)) TERRACED_RETURN_IF_ERROR(DropRange(loan.Db(), serial));
  }
  return RetainHashLists(keep);
}

Status RocksBatchStore::RetainHashLists(const std::function<bool(uint64_t serial)>& keep) {
  const std::string path = options_.directory + "/hashes";
  std::vector<std::string> orphans;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(path, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    const std::optional<uint64_t> serial = SerialOfHashListName(name);
    if (!serial.has_value() || !keep(*serial)) orphans.push_back(std::move(name));
  }
  if (error) return Status::FromErrno("list '" + path + "'", error.value());
  for (const std::string& name : orphans) TERRACED_RETURN_IF_ERROR(RemoveFile(hashes_.Get(), name));
  return Status();
}

BatchStoreStats RocksBatchStore::Stats() const {
  BatchStoreStats stats;
  stats.reads = reads_.load(std::memory_order_relaxed);
  stats.bytes_written = bytes_written_.load(std::memory_order_relaxed);
  stats.rocksdb_get_calls = statistics_->getTickerCount(rocksdb::NUMBER_KEYS_READ) +
                            statistics_->getTickerCount(rocksdb::NUMBER_MULTIGET_KEYS_READ);
  stats.block_cache_limit_bytes = options_.block_cache_bytes;
  if (block_cache_ != nullptr) stats.block_cache_bytes = block_cache_->GetUsage();
  // Whoever asks (a worker) must not wait for a disk: while the database is being opened, it counts
  // nothing.
  const Loan loan(*this, Loan::Wait::kNo);
  if (loan.Db() == nullptr) return stats;
  loan.Db()->GetIntProperty(rocksdb::DB::Properties::kLiveSstFilesSize, &stats.live_sst_bytes);
  loan.Db()->GetIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem,
                            &stats.table_reader_bytes);
  const std::string level_prefix = rocksdb::DB::Properties::kNumFilesAtLevelPrefix;
  for (int level = 0; level < loan.Db()->NumberLevels(); ++level) {
    std::string count;
    if (loan.Db()->GetProperty(level_prefix + std::to_string(level), &count))
      stats.files += std::strtoull(count.c_str(), nullptr, 10);
  }
  return stats;
}

}  // namespace

Result<std::unique_ptr<BatchStore>> OpenBatchStore(const BatchStoreOptions& options) {
  auto store = std::make_unique<RocksBatchStore>(options);
  TERRACED_RETURN_IF_ERROR(store->Open());
  return std::unique_ptr<BatchStore>(std::move(store));
}

}  // namespace terraced::storage
