// BatchStore: batches as files. Building, ingesting, reading and dropping; RocksDB stays behind it.
// The stored key is serial + key, so files are disjoint and a read opens just the file its slot
// names. Beside each file stands the list of its key hashes, sorted: growth of the index and the
// check of collisions read it without touching records. Threads: Write, Drop, Hashes and Empty
// by the demoter thread (or start-up); ReadMany and Records by any number of readers at once. No
// lock of ours is held across a call. Errors: a Status with RocksDB's words; an error of Write
// means that the batch counts as not there (its serial is burnt: the file may exist all the same).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"

namespace terraced::storage {

// One record of a batch being written; views into the demoter's buffers.
struct BatchRecord {
  std::string_view key;
  std::string_view record;  // encoded by EncodeRecord under the batch's serial
  uint64_t hash = 0;
};

struct BatchFile {
  uint64_t sst_bytes = 0;
  uint64_t hash_list_bytes = 0;
};

struct BatchRead {
  uint64_t serial = 0;
  std::string_view key;
  // Out:
  Status status;       // kNotFound: no such record in that batch
  std::string record;  // still encoded
};

struct BatchStoreStats {
  uint64_t reads = 0;  // records asked for
  uint64_t files = 0;
  uint64_t live_sst_bytes = 0;  // as RocksDB counts them
  uint64_t block_cache_bytes = 0;
  uint64_t block_cache_limit_bytes = 0;
  uint64_t table_reader_bytes = 0;
  uint64_t rocksdb_get_calls = 0;  // RocksDB's own ticker NUMBER_KEYS_READ and MULTIGET_KEYS_READ
  uint64_t rocksdb_get_bytes = 0;  // RocksDB's ticker BYTES_READ: of records that were found
  uint64_t bytes_written = 0;      // SST and hash list bytes since start
};

class BatchStore {
 public:
  virtual ~BatchStore() = default;

  // `records` sorted by key, no key twice, not empty. `before_ingest` runs between building and
  // ingesting (for sync points). Returns once the file is ingested and readable.
  virtual Result<BatchFile> Write(uint64_t serial, std::span<const BatchRecord> records,
                                  const std::function<void()>& before_ingest) = 0;
  virtual void ReadMany(std::span<BatchRead> reads) = 0;
  // The file and its hash list are gone from the directory; values a reader has pinned stay whole. Like Retain() it
  // opens nothing again: where RocksDB refuses changes, the file stays.
  virtual Status Drop(uint64_t serial) = 0;
  // The sorted key hashes of the batch within [first, last], in slices; visit returns false to
  // stop.
  virtual Status Hashes(uint64_t serial, uint64_t first, uint64_t last,
                        const std::function<bool(std::span<const uint64_t>)>& visit) = 0;
  // How many of `wanted` (ascending) are no key hashes of the batch.
  virtual Result<uint64_t> CountMissing(uint64_t serial, std::span<const uint64_t> wanted) = 0;
  // Every record of the batch in key order, from `first_key` on (second chance, dumps); visit returns false to stop.
  virtual Status Records(
      uint64_t serial, std::string_view first_key,
      const std::function<bool(std::string_view key, std::string_view record)>& visit) = 0;
  // Drops files (and hash lists) of serials for which `keep` is false: orphans of failed ingests,
  // flushes.
  virtual Status Retain(const std::function<bool(uint64_t serial)>& keep) = 0;
  // After a failure: whether batches may be written, on a disk with so much room. A small file is written to find out;
  // only then, and only where RocksDB refuses changes or its files are gone, is the database opened again. Readers may
  // be active, and whatever the outcome, what can be read is answered.
  virtual Status Recover(uint64_t room_bytes) = 0;
  virtual BatchStoreStats Stats() const = 0;
  virtual Status Close() = 0;  // flushes what must be flushed; nothing may follow
};

struct BatchStoreOptions {
  std::string directory;  // the flash directory; uses db/, staging/ and hashes/ below it
  // 0: none. Buffered reads have the page cache, and what is hot is in RAM: 8 MiB of block cache
  // made a uniform read a quarter dearer. Worth having under direct_reads only.
  uint64_t block_cache_bytes = 0;
  int open_files_max = 512;
  bool direct_reads = false;
  // Asked before the database is opened again: whether the directory is the one it was. Empty: it is.
  std::function<Status()> check_directory = {};
};

Result<std::unique_ptr<BatchStore>> OpenBatchStore(const BatchStoreOptions& options);

// Without flash: holds nothing, refuses writes with kUnavailable.
std::unique_ptr<BatchStore> MakeNullBatchStore();

}  // namespace terraced::storage
