#include "storage/flash/rocks_database.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <sys/stat.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <system_error>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/log.h"
#include "storage/flash/sst_check_env.h"

namespace terraced::storage {
namespace {

// One block is what a read fetches and checks; larger ones cost more per read than they save
// (README.md).
constexpr size_t kBlockBytes = 4096;
// Consecutive index entries share the serial and much of the key: delta coding in groups of eight
// makes an index block a quarter as large in RAM, at no cost that a read shows (README.md).
constexpr int kIndexRestartInterval = 8;
constexpr uint64_t kManifestBytesMax = 8ULL << 20;
// The file is handed to the disk while it is built, so that its fsync does not stall the readers: all but the last
// megabyte, which RocksDB keeps.
constexpr uint64_t kBytesPerSync = 256ULL << 10;
// What one write to it copies (a larger record is one write): about a turn of the core (storage/base/yield_point.h).
constexpr size_t kFileBufferBytes = 64U << 10;
constexpr int kTableCacheShardBits = 4;

// For the life of the process: where a thread is missing in the middle of opening, RocksDB leaves those behind that it
// has started, and they go on using it.
rocksdb::Env* SharedEnv() {
  static const auto* const env = new std::shared_ptr<rocksdb::Env>(MakeSstCheckEnv());
  return env->get();
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

}  // namespace

Status TranslateRocksStatus(const rocksdb::Status& status, std::string_view what) {
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

RocksDatabase::RocksDatabase(const BatchStoreOptions& options)
    : options_(options),
      path_(options.directory + "/db"),
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
  small_options_ = std::make_unique<rocksdb::Options>(MakeOptions(/*small_records=*/true));
  large_options_ = std::make_unique<rocksdb::Options>(MakeOptions(/*small_records=*/false));
}

RocksDatabase::~RocksDatabase() {
  static_cast<void>(Close().ok());
}

uint64_t RocksDatabase::BlockCacheBytes() const {
  return block_cache_ != nullptr ? block_cache_->GetUsage() : 0;
}

rocksdb::Options RocksDatabase::MakeOptions(bool small_records) const {
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.block_size = kBlockBytes;
  table.index_block_restart_interval = kIndexRestartInterval;
  table.checksum = rocksdb::kXXH3;
  table.block_cache = block_cache_;
  table.no_block_cache = block_cache_ == nullptr;
  table.cache_index_and_filter_blocks = false;  // bounded by max_open_files instead

  rocksdb::Options options;
  options.env = SharedEnv();
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

rocksdb::DB* RocksDatabase::Lend(Loan::Wait wait) const {
  const MutexLock lock(mutex_);
  while (exchanging_ && wait == Loan::Wait::kYes) changed_.Wait(mutex_);
  if (exchanging_ || db_ == nullptr) return nullptr;
  ++users_;
  return db_.get();
}

void RocksDatabase::GiveBack() const {
  const MutexLock lock(mutex_);
  TERRACED_DCHECK(users_ > 0);
  --users_;
  if (users_ == 0 && exchanging_) changed_.NotifyAll();
}

Result<std::unique_ptr<rocksdb::DB>> RocksDatabase::OpenFiles(bool read_only) const {
  const std::string what = "open '" + path_ + "'";
  // RocksDB's own threads come with the first database; where the system has none, they throw.
  try {
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = read_only
                                       ? rocksdb::DB::OpenForReadOnly(*large_options_, path_, &db)
                                       : rocksdb::DB::Open(*large_options_, path_, &db);
    if (!status.ok()) return TranslateRocksStatus(status, what);
    return std::unique_ptr<rocksdb::DB>(db);
  } catch (const std::system_error& error) {
    return Status(StatusCode::kUnavailable,
                  what + ": thread 'rocksdb' cannot be started: " + error.code().message());
  }
}

Status RocksDatabase::Open() {
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<rocksdb::DB> db, OpenFiles(/*read_only=*/false));
  TERRACED_ASSIGN_OR_RETURN(place_, OpenDirectory(path_));
  const MutexLock lock(mutex_);
  db_ = std::move(db);
  return Status();
}

bool RocksDatabase::IsInPlace() const {
  if (!CheckIsAt(place_.Get(), path_).ok()) return false;
  struct stat current = {};
  return ::fstatat(place_.Get(), "CURRENT", &current, AT_SYMLINK_NOFOLLOW) == 0;
}

Status RocksDatabase::OpenAgain() {
  broken_ = true;
  TERRACED_RETURN_IF_ERROR(Exchange(/*open_again=*/true));
  TERRACED_ASSIGN_OR_RETURN(place_, OpenDirectory(path_));
  broken_ = false;
  return Status();
}

Status RocksDatabase::Exchange(bool open_again) {
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
  if (old != nullptr) status = TranslateRocksStatus(old->Close(), "close '" + path_ + "'");
  old.reset();
  std::unique_ptr<rocksdb::DB> fresh;
  if (open_again) {
    // What Close() had to say is about the state that is being left behind.
    Result<std::unique_ptr<rocksdb::DB>> opened = OpenFiles(/*read_only=*/false);
    status = opened.status();
    // Opening writes. A disk that bears no more of that may still have every record.
    if (!opened.ok()) opened = OpenFiles(/*read_only=*/true);
    if (opened.ok()) fresh = std::move(opened).value();
  }
  const MutexLock lock(mutex_);
  db_ = std::move(fresh);
  exchanging_ = false;
  closed_ = !open_again;
  changed_.NotifyAll();
  return status;
}

Status RocksDatabase::Close() {
  return Exchange(/*open_again=*/false);
}

bool RocksDatabase::IsClosed() const {
  const MutexLock lock(mutex_);
  return closed_;
}

}  // namespace terraced::storage
