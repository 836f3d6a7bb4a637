#include "tests/support/faulty_batch_store.h"

#include <algorithm>

namespace terraced::support {
namespace {

Status NoBatch(uint64_t serial) {
  return Status(StatusCode::kNotFound, "no batch " + std::to_string(serial));
}

Status CheckRecords(uint64_t serial, std::span<const BatchRecord> records) {
  if (serial == 0 || serial == UINT64_MAX) return Status(StatusCode::kInvalidArgument, "serial");
  if (records.empty()) return Status(StatusCode::kInvalidArgument, "empty batch");
  for (size_t i = 1; i < records.size(); ++i) {
    if (records[i - 1].key >= records[i].key)
      return Status(StatusCode::kInvalidArgument, "keys out of order");
  }
  return Status();
}

}  // namespace

uint64_t MemoryBatchStore::BytesOf(const Batch& batch) {
  uint64_t bytes = 0;
  for (const auto& [key, record] : batch.records)
    bytes += sizeof(uint64_t) + key.size() + record.size();
  return bytes;
}

Result<BatchFile> MemoryBatchStore::Write(uint64_t serial, std::span<const BatchRecord> records,
                                          const std::function<void()>& before_ingest) {
  TERRACED_RETURN_IF_ERROR(CheckRecords(serial, records));
  Batch batch;
  for (const BatchRecord& record : records) {
    batch.records.emplace(record.key, record.record);
    batch.hashes.push_back(record.hash);
  }
  std::sort(batch.hashes.begin(), batch.hashes.end());
  if (before_ingest) before_ingest();
  const BatchFile file = {.sst_bytes = BytesOf(batch),
                          .hash_list_bytes = batch.hashes.size() * sizeof(uint64_t)};
  const MutexLock lock(mutex_);
  if (!batches_.emplace(serial, std::move(batch)).second) {
    return Status(StatusCode::kInvalidArgument, "batch serial used before");
  }
  bytes_written_ += file.sst_bytes + file.hash_list_bytes;
  return file;
}

void MemoryBatchStore::ReadMany(std::span<BatchRead> reads) {
  const MutexLock lock(mutex_);
  reads_ += reads.size();
  for (BatchRead& read : reads) {
    read.record.clear();
    read.status = NoBatch(read.serial);
    const auto batch = batches_.find(read.serial);
    if (batch == batches_.end()) continue;
    const auto record = batch->second.records.find(read.key);
    if (record == batch->second.records.end()) continue;
    read.record = record->second;
    read.status = Status();
  }
}

Status MemoryBatchStore::Drop(uint64_t serial) {
  const MutexLock lock(mutex_);
  batches_.erase(serial);
  return Status();
}

Status MemoryBatchStore::Hashes(uint64_t serial, uint64_t first, uint64_t last,
                                const std::function<bool(std::span<const uint64_t>)>& visit) {
  std::vector<uint64_t> hashes;
  {
    const MutexLock lock(mutex_);
    const auto batch = batches_.find(serial);
    if (batch == batches_.end()) return NoBatch(serial);
    TERRACED_RETURN_IF_ERROR(batch->second.hashes_status);
    hashes = batch->second.hashes;
  }
  const auto from = std::lower_bound(hashes.begin(), hashes.end(), first);
  const auto to = std::upper_bound(from, hashes.end(), std::max(first, last));
  if (first <= last && from != to) static_cast<void>(visit({from, to}));
  return Status();
}

Result<uint64_t> MemoryBatchStore::CountMissing(uint64_t serial, std::span<const uint64_t> wanted) {
  const MutexLock lock(mutex_);
  const auto batch = batches_.find(serial);
  if (batch == batches_.end()) return NoBatch(serial);
  TERRACED_RETURN_IF_ERROR(batch->second.hashes_status);
  const std::vector<uint64_t>& hashes = batch->second.hashes;
  return static_cast<uint64_t>(std::count_if(wanted.begin(), wanted.end(), [&](uint64_t hash) {
    return !std::binary_search(hashes.begin(), hashes.end(), hash);
  }));
}

Status MemoryBatchStore::Records(
    uint64_t serial, std::string_view first_key,
    const std::function<bool(std::string_view, std::string_view)>& visit) {
  Batch copy;  // so that nothing is held while the visitor runs
  {
    const MutexLock lock(mutex_);
    const auto batch = batches_.find(serial);
    if (batch == batches_.end()) return Status();
    copy = batch->second;
  }
  for (const auto& [key, record] : copy.records) {
    if (key >= first_key && !visit(key, record)) break;
  }
  return Status();
}

Status MemoryBatchStore::Retain(const std::function<bool(uint64_t serial)>& keep) {
  for (const uint64_t serial : Serials()) {
    if (!keep(serial)) TERRACED_RETURN_IF_ERROR(Drop(serial));
  }
  return Status();
}

BatchStoreStats MemoryBatchStore::Stats() const {
  const MutexLock lock(mutex_);
  BatchStoreStats stats;
  stats.reads = reads_;
  stats.rocksdb_get_calls = reads_;
  stats.files = batches_.size();
  stats.bytes_written = bytes_written_;
  for (const auto& [serial, batch] : batches_) stats.live_sst_bytes += BytesOf(batch);
  return stats;
}

std::vector<uint64_t> MemoryBatchStore::Serials() const {
  const MutexLock lock(mutex_);
  std::vector<uint64_t> serials;
  for (const auto& [serial, batch] : batches_) serials.push_back(serial);
  return serials;
}

bool MemoryBatchStore::Tamper(uint64_t serial, std::string_view key,
                              const std::function<void(std::string*)>& damage) {
  const MutexLock lock(mutex_);
  const auto batch = batches_.find(serial);
  if (batch == batches_.end()) return false;
  const auto record = batch->second.records.find(key);
  if (record == batch->second.records.end()) return false;
  damage(&record->second);
  return true;
}

bool MemoryBatchStore::FailHashes(uint64_t serial, const Status& status) {
  const MutexLock lock(mutex_);
  const auto batch = batches_.find(serial);
  if (batch == batches_.end()) return false;
  batch->second.hashes_status = status;
  return true;
}

void FaultyBatchStore::FailNth(BatchCall call, uint64_t nth, Status status, When when,
                               uint64_t count) {
  const MutexLock lock(mutex_);
  const auto index = static_cast<size_t>(call);
  faults_[index] = Fault{
      .first = calls_[index] + nth, .count = count, .status = std::move(status), .when = when};
}

void FaultyBatchStore::Heal() {
  const MutexLock lock(mutex_);
  faults_ = {};
}

uint64_t FaultyBatchStore::Calls(BatchCall call) const {
  const MutexLock lock(mutex_);
  return calls_[static_cast<size_t>(call)];
}

std::optional<FaultyBatchStore::Fault> FaultyBatchStore::Enter(BatchCall call) {
  const MutexLock lock(mutex_);
  const auto index = static_cast<size_t>(call);
  const uint64_t number = ++calls_[index];
  const Fault& fault = faults_[index];
  if (fault.first == 0 || number < fault.first || number - fault.first >= fault.count)
    return std::nullopt;
  return fault;
}

Status FaultyBatchStore::Run(BatchCall call, const std::function<Status()>& act) {
  const std::optional<Fault> fault = Enter(call);
  if (fault.has_value() && fault->when == When::kBefore) return fault->status;
  Status status = act();
  return fault.has_value() ? fault->status : status;
}

Result<BatchFile> FaultyBatchStore::Write(uint64_t serial, std::span<const BatchRecord> records,
                                          const std::function<void()>& before_ingest) {
  const std::optional<Fault> fault = Enter(BatchCall::kWrite);
  if (fault.has_value() && fault->when == When::kBefore) return fault->status;
  Result<BatchFile> file = inner_->Write(serial, records, before_ingest);
  if (fault.has_value()) return fault->status;
  return file;
}

void FaultyBatchStore::ReadMany(std::span<BatchRead> reads) {
  for (BatchRead& read : reads) {
    const Status status = Run(BatchCall::kRead, [&] {
      inner_->ReadMany(std::span<BatchRead>(&read, 1));
      return read.status;
    });
    if (!status.ok()) read.record.clear();
    read.status = status;
  }
}

Status FaultyBatchStore::Drop(uint64_t serial) {
  return Run(BatchCall::kDrop, [&] { return inner_->Drop(serial); });
}

Status FaultyBatchStore::Hashes(uint64_t serial, uint64_t first, uint64_t last,
                                const std::function<bool(std::span<const uint64_t>)>& visit) {
  return Run(BatchCall::kHashes, [&] { return inner_->Hashes(serial, first, last, visit); });
}

Result<uint64_t> FaultyBatchStore::CountMissing(uint64_t serial, std::span<const uint64_t> wanted) {
  Result<uint64_t> missing = uint64_t{0};
  TERRACED_RETURN_IF_ERROR(Run(BatchCall::kHashes, [&] {
    missing = inner_->CountMissing(serial, wanted);
    return missing.status();
  }));
  return missing;
}

Status FaultyBatchStore::Records(
    uint64_t serial, std::string_view first_key,
    const std::function<bool(std::string_view, std::string_view)>& visit) {
  return Run(BatchCall::kRecords, [&] { return inner_->Records(serial, first_key, visit); });
}

Status FaultyBatchStore::Retain(const std::function<bool(uint64_t serial)>& keep) {
  return Run(BatchCall::kRetain, [&] { return inner_->Retain(keep); });
}

Status FaultyBatchStore::Recover(uint64_t room_bytes) {
  return Run(BatchCall::kRecover, [&] { return inner_->Recover(room_bytes); });
}

Status FaultyBatchStore::Close() {
  return Run(BatchCall::kClose, [&] { return inner_->Close(); });
}

}  // namespace terraced::support
