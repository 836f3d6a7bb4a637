// BatchTable: the batches on flash. A batch is one immutable file under a 64-bit serial that is
// never used again; index slots carry a short number that this table maps to the serial (design
// rule 5: only serials are ever compared). A number is free, living (its serial stands), or dead
// (dropped, its slots not yet swept); living and dead ones stay under half of all numbers. Threads:
// one writer (the demoter, or start-up); SerialOf, EpochOf and the live counts from any thread.
// Errors: none; a misuse (a serial used again, a number freed while slots carry it) stops the
// process. Sizes: 8,191 numbers, about 0.7 MB in all, of which the BatchArrays are 0.5 MB.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "storage/base/status.h"

namespace terraced::storage {

using BatchNumber = uint16_t;
constexpr BatchNumber kNoBatch = 0;
constexpr int kBatchNumberBits = 13;
constexpr uint32_t kBatchNumbers = 1U << kBatchNumberBits;
constexpr uint32_t kBatchesMax = kBatchNumbers / 2;  // living and unswept together
constexpr uint64_t kNoSerial = 0;

struct BatchInfo {
  uint64_t serial = kNoSerial;
  uint64_t epoch = 0;       // flush epoch under which its items lived
  uint64_t file_bytes = 0;  // SST and hash list on disk
  uint64_t record_count = 0;
  uint64_t raw_bytes = 0;  // keys and values before compression
  uint32_t created_s = 0;  // Unix seconds
  BatchNumber number = kNoBatch;
};

// What of the table may lie in memory that outlives the process: zeroes are an empty table. A
// number lives if its serial stands, and then everything else of it was stored before.
struct BatchArrays {
  std::array<std::atomic<uint64_t>, kBatchNumbers> serials;
  std::array<std::atomic<uint64_t>, kBatchNumbers> epochs;
  std::array<BatchInfo, kBatchNumbers> infos;  // .number is kNoBatch while the number is free
};
static_assert(std::is_trivially_destructible_v<BatchArrays>);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

class BatchTable {
 public:
  BatchTable() : BatchTable(nullptr) {}
  // In `arrays`, which outlive it (null: its own): what lives there is taken over, with no live
  // slots yet (FlashIndex adds them); they have passed Check().
  explicit BatchTable(BatchArrays* arrays);
  BatchTable(const BatchTable&) = delete;
  BatchTable& operator=(const BatchTable&) = delete;

  // A free number for the batch, living at once but without slots. nullopt: kBatchesMax are in use.
  // The serial must be higher than every one before it.
  std::optional<BatchNumber> Open(const BatchInfo& info);
  void SetSizes(BatchNumber number, uint64_t file_bytes, uint64_t record_count, uint64_t raw_bytes);
  // From here on no slot of this batch stands; its file may go. The number stays taken until
  // Free().
  void Kill(BatchNumber number);
  // After a sweep of every partition that began after Kill(): no slot may carry the number any
  // more.
  void Free(BatchNumber number);

  // kCorruption: what an earlier process left there is not a table.
  static Status Check(const BatchArrays& arrays);

  uint64_t SerialOf(BatchNumber number) const {
    return arrays_.serials[number].load(std::memory_order_acquire);  // kNoSerial: free or dead
  }
  uint64_t EpochOf(BatchNumber number) const {
    return arrays_.epochs[number].load(std::memory_order_relaxed);
  }
  // Slots that carry the number in the ruling tables of the index (the index counts them, also
  // those of a dead batch until they are swept), and clean copies of the batch's records in RAM.
  void AddLive(BatchNumber number, int64_t delta) {
    live_[number].fetch_add(delta, std::memory_order_relaxed);
  }
  int64_t Live(BatchNumber number) const { return live_[number].load(std::memory_order_relaxed); }
  void AddClean(BatchNumber number, int64_t delta) {
    clean_[number].fetch_add(delta, std::memory_order_relaxed);
  }
  int64_t Clean(BatchNumber number) const { return clean_[number].load(std::memory_order_relaxed); }

  // By the writer's thread only.
  const BatchInfo& Info(BatchNumber number) const { return arrays_.infos[number]; }
  std::vector<BatchNumber> Living() const;  // by serial, oldest first
  std::vector<BatchNumber> Dead() const;
  uint32_t UsedNumbers() const { return used_; }  // living and dead
  // file_bytes of living batches; any thread.
  uint64_t LivingBytes() const { return living_bytes_.load(std::memory_order_relaxed); }
  // record_count of living batches, of which not all still stand; any thread.
  uint64_t LivingRecords() const { return living_records_.load(std::memory_order_relaxed); }
  // At start-up: puts back a batch that was living at the clean stop, under the number its slots
  // carry. The caller has validated what it read: number in range and free, a serial. `live` is 0
  // when the partitions are loaded afterwards: FlashIndex::LoadPartition counts the slots that it
  // puts back.
  void Restore(const BatchInfo& info, int64_t live);

 private:
  void Install(const BatchInfo& info, int64_t live);
  void Account(const BatchInfo& info);  // as living

  const std::unique_ptr<BatchArrays> own_arrays_;
  // Serials and epochs are self-synchronised, infos the writer's thread's only.
  BatchArrays& arrays_;

  // Self-synchronised.
  std::array<std::atomic<int64_t>, kBatchNumbers> live_{};
  std::array<std::atomic<int64_t>, kBatchNumbers> clean_{};

  // The writer's thread only.
  uint64_t newest_serial_ = kNoSerial;
  std::atomic<uint64_t> living_bytes_{0};
  std::atomic<uint64_t> living_records_{0};
  uint32_t used_ = 0;
  BatchNumber last_ =
      kNoBatch;  // handed out last: numbers go round, so that a freed one rests longest
};

}  // namespace terraced::storage
