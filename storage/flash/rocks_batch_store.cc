// RocksBatchStore: the BatchStore on RocksDB. Batches are SSTs that we build and ingest; there is
// no memtable, no WAL and no compaction. What RocksDB gives us is the file format, the manifest of
// live files, and files that stay readable while somebody reads them and are unlinked when nobody
// does.
// Threads: as BatchStore says.
#include <fcntl.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/statistics.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "storage/base/file_io.h"
#include "storage/base/yield_point.h"
#include "storage/flash/batch_store.h"
#include "storage/flash/hash_list.h"
#include "storage/flash/record.h"
#include "storage/flash/rocks_database.h"

namespace terraced::storage {
namespace {

// Large records are LZ4'd one by one. Small ones do not compress alone: where the average of a
// batch is below this, its blocks are compressed instead.
constexpr size_t kSmallRecordBytes = kRecordLz4BytesMin + kRecordHeaderBytes;
constexpr char kProbeName[] = "staging/probe";
constexpr size_t kProbeBytes = 4096;
constexpr size_t kScanReadaheadBytes = 1ULL << 20;

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
      uint64_t serial, std::string_view first_key,
      const std::function<bool(std::string_view key, std::string_view record)>& visit) override;
  Status Retain(const std::function<bool(uint64_t serial)>& keep) override;
  Status Recover(uint64_t room_bytes) override;
  BatchStoreStats Stats() const override;
  Status Close() override;

 private:
  using Loan = RocksDatabase::Loan;

  Status EmptyStaging() const;
  Status MakePlaces();
  // Writes and syncs a small file, makes sure of so much room beside it, and removes it.
  Status Probe(uint64_t room_bytes) const;
  // Before anything is removed.
  Status CheckMayChange() const;

  Result<uint64_t> Build(uint64_t serial, std::span<const BatchRecord> records,
                         const std::string& path) const;
  Result<uint64_t> WriteHashes(uint64_t serial, std::span<const BatchRecord> records) const;
  Status Ingest(const std::string& path);
  Status DropRange(rocksdb::DB* db, uint64_t serial);
  Status RetainHashLists(const std::function<bool(uint64_t serial)>& keep);

  // Constant after construction and Open(), or the writer's thread only.
  const BatchStoreOptions options_;
  const std::string staging_path_;
  FileDescriptor directory_;
  FileDescriptor hashes_;
  RocksDatabase database_;

  // Self-synchronised.
  std::atomic<uint64_t> reads_{0};
  std::atomic<uint64_t> bytes_written_{0};
};

RocksBatchStore::RocksBatchStore(const BatchStoreOptions& options)
    : options_(options), staging_path_(options.directory + "/staging"), database_(options) {}

RocksBatchStore::~RocksBatchStore() {
  static_cast<void>(Close().ok());
}

Status RocksBatchStore::Open() {
  TERRACED_RETURN_IF_ERROR(MakePlaces());
  TERRACED_RETURN_IF_ERROR(SyncDirectory(directory_.Get(), options_.directory));
  TERRACED_RETURN_IF_ERROR(EmptyStaging());
  return database_.Open();
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

Status RocksBatchStore::Probe(uint64_t room_bytes) const {
  Result<FileDescriptor> file =
      OpenOwnFile(directory_.Get(), kProbeName, O_RDWR | O_CREAT | O_TRUNC);
  if (!file.ok()) return file.status();
  const int fd = file.value().Get();
  Status status = WriteAt(fd, 0, std::string(kProbeBytes, 'p'), kProbeName);
  // Asked for, not written: a disk that has a few pages left is as good as full. Not every filesystem can say.
  if (status.ok() && room_bytes > 0 && ::fallocate(fd, 0, 0, static_cast<off_t>(room_bytes)) != 0 &&
      errno != EOPNOTSUPP && errno != ENOSYS) {
    status = Status::FromErrno(std::string("reserve room in '") + kProbeName + "'", errno);
  }
  if (status.ok()) status = SyncFile(fd, kProbeName);
  const Status removed = RemoveFile(directory_.Get(), kProbeName);
  return status.ok() ? removed : status;
}

Status RocksBatchStore::Recover(uint64_t room_bytes) {
  if (database_.IsClosed()) return RocksDatabase::ClosedStatus();
  // It may have been emptied, or be another one by now: nothing is made in one that is not known to be ours.
  if (options_.check_directory) TERRACED_RETURN_IF_ERROR(options_.check_directory());
  TERRACED_RETURN_IF_ERROR(MakePlaces());
  // Before the database is touched: opening it writes, and as it is it can at least be read.
  TERRACED_RETURN_IF_ERROR(Probe(room_bytes));
  if (!database_.IsBroken() && database_.IsInPlace()) return Status();
  return database_.OpenAgain().WithContext("reopen the flash store");
}

Status RocksBatchStore::CheckMayChange() const {
  if (database_.IsBroken()) {
    return Status(StatusCode::kUnavailable, "the flash store has to be opened again");
  }
  // RocksDB goes by paths: it must not write to, or remove from, what has taken the directory's place.
  return CheckIsAt(directory_.Get(), options_.directory);
}

Status RocksBatchStore::Close() {
  Status status = database_.Close();
  // Hash lists and SSTs are synced as they are written; their names are what may still be in
  // memory.
  if (status.ok() && hashes_.Get() >= 0) status = SyncDirectory(hashes_.Get(), "hashes");
  return status;
}

Result<uint64_t> RocksBatchStore::Build(uint64_t serial, std::span<const BatchRecord> records,
                                        const std::string& path) const {
  size_t record_bytes = 0;
  for (const BatchRecord& record : records) record_bytes += record.record.size();
  const rocksdb::Options& options =
      database_.OptionsFor(record_bytes / records.size() < kSmallRecordBytes);
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
  if (!status.ok()) return TranslateRocksStatus(status, "build " + BatchName(serial));
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
  const Loan loan(database_);
  if (loan.Db() == nullptr) return RocksDatabase::ClosedStatus();
  const rocksdb::Status status = loan.Db()->IngestExternalFile({path}, options);
  // RocksDB may have stopped accepting work, and must not be asked to ingest after that: this build
  // of it would abort on an assertion. A refused file (its serial is taken) has changed nothing.
  if (!status.ok() && !status.IsInvalidArgument() && !status.IsTryAgain()) database_.NoteBroken();
  return TranslateRocksStatus(status, "ingest '" + path + "'");
}

Result<BatchFile> RocksBatchStore::Write(uint64_t serial, std::span<const BatchRecord> records,
                                         const std::function<void()>& before_ingest) {
  if (!IsSerial(serial)) return RefusedSerial(serial);
  if (records.empty()) return Status(StatusCode::kInvalidArgument, BatchName(serial) + " is empty");
  if (database_.IsBroken()) TERRACED_RETURN_IF_ERROR(Recover(0));
  TERRACED_RETURN_IF_ERROR(CheckMayChange());

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
  const Loan loan(database_);
  rocksdb::ReadOptions options;
  options.verify_checksums = true;  // RocksDB parses blocks trustingly: no damaged one may reach it
  std::string stored_key;
  rocksdb::PinnableSlice value;
  for (BatchRead& read : reads) {
    read.record.clear();
    if (loan.Db() == nullptr) {
      read.status = RocksDatabase::ClosedStatus();
      continue;
    }
    AssignStoredKey(read.serial, read.key, &stored_key);
    const rocksdb::Status status =
        loan.Db()->Get(options, loan.Db()->DefaultColumnFamily(), stored_key, &value);
    read.status = status.ok() ? Status()
                              : TranslateRocksStatus(status, "read from " + BatchName(read.serial));
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
  if (!status.ok()) database_.NoteBroken();
  return TranslateRocksStatus(status, "drop " + BatchName(serial));
}

Status RocksBatchStore::Drop(uint64_t serial) {
  if (!IsSerial(serial)) return RefusedSerial(serial);
  TERRACED_RETURN_IF_ERROR(CheckMayChange());
  const Loan loan(database_);
  if (loan.Db() == nullptr) return RocksDatabase::ClosedStatus();
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
    uint64_t serial, std::string_view first_key,
    const std::function<bool(std::string_view, std::string_view)>& visit) {
  if (!IsSerial(serial)) return RefusedSerial(serial);
  const Loan loan(database_);
  if (loan.Db() == nullptr) return RocksDatabase::ClosedStatus();
  const std::string begin = StoredKey(serial, first_key);
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
  return TranslateRocksStatus(at->status(), "read through " + BatchName(serial));
}

Status RocksBatchStore::Retain(const std::function<bool(uint64_t serial)>& keep) {
  TERRACED_RETURN_IF_ERROR(CheckMayChange());
  const Loan loan(database_);
  if (loan.Db() == nullptr) return RocksDatabase::ClosedStatus();
  std::vector<rocksdb::LiveFileMetaData> files;
  loan.Db()->GetLiveFilesMetaData(&files);
  for (const rocksdb::LiveFileMetaData& file : files) {
    if (file.smallestkey.size() < kStoredKeyPrefixBytes) {
      return Status(StatusCode::kCorruption, "'" + database_.Path() + file.name + "' is no batch");
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
  const rocksdb::Statistics& statistics = database_.Statistics();
  stats.rocksdb_get_calls = statistics.getTickerCount(rocksdb::NUMBER_KEYS_READ) +
                            statistics.getTickerCount(rocksdb::NUMBER_MULTIGET_KEYS_READ);
  stats.rocksdb_get_bytes = statistics.getTickerCount(rocksdb::BYTES_READ);
  stats.block_cache_limit_bytes = options_.block_cache_bytes;
  stats.block_cache_bytes = database_.BlockCacheBytes();
  // Whoever asks (a worker) must not wait for a disk: while the database is being opened, it counts
  // nothing.
  const Loan loan(database_, Loan::Wait::kNo);
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

// RocksDB begins with allocations that it does not look at: 64 KB of statistics for each processor, in one piece, and
// shards of its cache. Where so much is not to be had, it would crash.
Status CheckMemoryToBegin() {
  const size_t bytes =
      (1U << 20) + std::max(8U, std::thread::hardware_concurrency()) * (128U << 10);
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return Status::FromErrno("RocksDB needs " + std::to_string(bytes) + " bytes of memory to begin",
                             errno);
  }
  ::munmap(memory, bytes);
  return {};
}

}  // namespace

Result<std::unique_ptr<BatchStore>> OpenBatchStore(const BatchStoreOptions& options) {
  TERRACED_RETURN_IF_ERROR(CheckMemoryToBegin());
  auto store = std::make_unique<RocksBatchStore>(options);
  TERRACED_RETURN_IF_ERROR(store->Open());
  return std::unique_ptr<BatchStore>(std::move(store));
}

}  // namespace terraced::storage
