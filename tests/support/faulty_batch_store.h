// MemoryBatchStore: batches in maps, as a BatchStore should behave, without a disk.
// FaultyBatchStore: any BatchStore with failures on demand, before a call takes effect or after it
// did (an ingest that reports an error may have happened all the same). Threads: both as
// BatchStore: one writer, any number of readers; faults may be set by any thread. Ownership:
// FaultyBatchStore owns the store it wraps.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/mutex.h"
#include "storage/flash/batch_store.h"

namespace terraced::support {

using storage::BatchFile;
using storage::BatchRead;
using storage::BatchRecord;
using storage::BatchStore;
using storage::BatchStoreStats;

class MemoryBatchStore final : public BatchStore {
 public:
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
  Status Recover(uint64_t) override { return Status(); }
  BatchStoreStats Stats() const override;
  Status Close() override { return Status(); }

  // For tests: the serials that are there, and a record to look at or to damage.
  std::vector<uint64_t> Serials() const;
  bool Tamper(uint64_t serial, std::string_view key,
              const std::function<void(std::string*)>& damage);
  // From here on the list of that batch's key hashes cannot be read; false: no such batch.
  bool FailHashes(uint64_t serial, const Status& status);

 private:
  struct Batch {
    std::map<std::string, std::string, std::less<>> records;
    std::vector<uint64_t> hashes;  // sorted
    Status hashes_status;
  };
  static uint64_t BytesOf(const Batch& batch);

  mutable Mutex mutex_;
  std::map<uint64_t, Batch> batches_ TERRACED_GUARDED_BY(mutex_);
  uint64_t reads_ TERRACED_GUARDED_BY(mutex_) = 0;
  uint64_t bytes_written_ TERRACED_GUARDED_BY(mutex_) = 0;
};

enum class BatchCall : uint8_t {
  kWrite,
  kRead,
  kDrop,
  kHashes,
  kRecords,
  kRetain,
  kRecover,
  kClose,
  kCount
};

class FaultyBatchStore final : public BatchStore {
 public:
  enum class When { kBefore, kAfter };

  explicit FaultyBatchStore(std::unique_ptr<BatchStore> inner) : inner_(std::move(inner)) {}

  // The n-th call of that kind from now on (1 is the next; each record of ReadMany is one) fails
  // with `status`, and the `count` - 1 calls after it.
  void FailNth(BatchCall call, uint64_t nth, Status status, When when = When::kBefore,
               uint64_t count = 1);
  void Heal();  // takes every fault back
  uint64_t Calls(BatchCall call) const;
  BatchStore& Inner() { return *inner_; }

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
  BatchStoreStats Stats() const override { return inner_->Stats(); }
  Status Close() override;

 private:
  struct Fault {
    uint64_t first = 0;  // counted as Calls() does; 0: none
    uint64_t count = 0;
    Status status;
    When when = When::kBefore;
  };
  static constexpr size_t kCalls = static_cast<size_t>(BatchCall::kCount);

  // Counts the call; the fault that hits it, if any.
  std::optional<Fault> Enter(BatchCall call);
  Status Run(BatchCall call, const std::function<Status()>& act);

  const std::unique_ptr<BatchStore> inner_;
  mutable Mutex mutex_;
  std::array<uint64_t, kCalls> calls_ TERRACED_GUARDED_BY(mutex_) = {};
  std::array<Fault, kCalls> faults_ TERRACED_GUARDED_BY(mutex_);
};

}  // namespace terraced::support
