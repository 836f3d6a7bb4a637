#include "storage/flash/slot_table.h"

#include <cstring>

#include "storage/base/check.h"

namespace terraced::storage {

SlotTable::SlotTable(uint32_t buckets, SlotMemory* memory) : memory_(memory), count_(buckets) {
  TERRACED_CHECK(buckets > 0 && buckets <= kSlotBucketsMax);
  buckets_ = memory_->Allocate(count_);
}

SlotTable::SlotTable(const RulingSlots& slots, SlotMemory* memory)
    : buckets_(slots.buckets), memory_(memory), count_(slots.count) {}

SlotTable& SlotTable::operator=(SlotTable&& other) noexcept {
  std::swap(buckets_, other.buckets_);
  std::swap(memory_, other.memory_);
  std::swap(used_, other.used_);
  std::swap(count_, other.count_);
  return *this;
}

// A hundred million slots are some half a gigabyte that a start waits for: no branch for each of them.
bool SlotTable::Fill(std::string_view words, std::span<int64_t> numbers) {
  TERRACED_CHECK(words.size() == uint64_t{count_} * sizeof(SlotBucket));
  TERRACED_CHECK(numbers.size() > kSlotNumberMask);
  const int64_t empty_before = numbers[kNoBatch];
  uint64_t unnumbered = 0;
  for (uint64_t i = 0; i < SlotsTotal(); ++i) {
    uint32_t word;
    std::memcpy(&word, words.data() + i * sizeof(word), sizeof(word));
    buckets_[i / kSlotsPerBucket].words[i % kSlotsPerBucket].store(word, std::memory_order_relaxed);
    ++numbers[SlotNumber(word)];
    unnumbered += word != 0 && SlotNumber(word) == kNoBatch ? 1U : 0U;
  }
  used_ = SlotsTotal() - static_cast<uint64_t>(numbers[kNoBatch] - empty_before);
  return unnumbered == 0;
}

void SlotTable::Recount(std::span<const bool> keep, std::span<int64_t> numbers) {
  TERRACED_CHECK(keep.size() > kSlotNumberMask && numbers.size() > kSlotNumberMask);
  used_ = 0;
  for (uint32_t bucket = 0; bucket < count_; ++bucket) {
    for (std::atomic<uint32_t>& place : buckets_[bucket].words) {
      const uint32_t word = place.load(std::memory_order_relaxed);
      const BatchNumber number = SlotNumber(word);
      ++numbers[number];
      if (word == 0) continue;
      if (keep[number]) {
        ++used_;
        continue;
      }
      --numbers[number];
      ++numbers[kNoBatch];
      place.store(0, std::memory_order_relaxed);
    }
  }
}

SlotTable::~SlotTable() {
  if (buckets_ != nullptr) memory_->Free(buckets_, count_);
}

}  // namespace terraced::storage
