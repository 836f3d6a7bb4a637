// SlotMemory: where the bucket arrays of the flash index lie. Private memory goes with the process; a SharedIndex
// (storage/flash/shared_index.h) keeps them in a file that a killed process leaves behind.
// Threads: any; what belongs to a partition (its ruling array) under that partition's mutex.
// Ownership: the memory outlives every table that lies in it.
// Errors: no memory stops the process, as operator new would.
#pragma once

#include <atomic>
#include <cstdint>

namespace terraced::storage {

struct SlotBucket;  // storage/flash/slot_table.h

// The array that rules a partition.
struct RulingSlots {
  SlotBucket* buckets = nullptr;
  uint32_t count = 0;
};

class SlotMemory {
 public:
  SlotMemory() = default;
  SlotMemory(const SlotMemory&) = delete;
  SlotMemory& operator=(const SlotMemory&) = delete;
  virtual ~SlotMemory() = default;

  // So many empty buckets.
  virtual SlotBucket* Allocate(uint32_t buckets) = 0;
  virtual void Free(SlotBucket* at, uint32_t buckets) = 0;
  // From now on this array rules the partition; the one before may be freed afterwards.
  virtual void SetRuling(uint32_t partition, const RulingSlots& slots);
  // What an earlier process left of the partition; none: count 0.
  virtual RulingSlots Ruling(uint32_t partition) const;
  // What is not freed stays for the next process.
  virtual bool Outlives() const { return false; }

  // Of the arrays, as allocated; any thread.
  uint64_t Bytes() const { return bytes_.load(std::memory_order_relaxed); }

 protected:
  // Of an array: whole pages where it is a few of them or more.
  static uint64_t BytesOf(uint32_t buckets);
  static bool InWholePages(uint64_t bytes);

  std::atomic<uint64_t> bytes_{0};
};

// The heap for arrays of less than a few pages, else a mapping each, so that an array that has been outgrown gives its
// memory back at once.
class PrivateSlotMemory final : public SlotMemory {
 public:
  SlotBucket* Allocate(uint32_t buckets) override;
  void Free(SlotBucket* at, uint32_t buckets) override;
};

}  // namespace terraced::storage
