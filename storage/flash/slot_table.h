// SlotTable: the bucket array of one partition of the flash index, and the geometry of identities:
// which two buckets a hash has, and which slots of them are its own. It knows words, not batches.
// Threads: externally synchronised by the partition's mutex. Words are changed by single stores
// only, because they may lie in a file that outlives a process killed between any two of them.
// Ownership: its array in a SlotMemory, which outlives it; an array that is left in place is found
// there by the next process. Sizes: 64 bytes a bucket of 16 slots.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "storage/flash/batch_table.h"
#include "storage/flash/slot_memory.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace terraced::storage {

// A slot word, high to low: fingerprint, hit, batch number. No batch has number 0, so 0 is no slot.
constexpr uint32_t kSlotsPerBucket = 16;
constexpr uint32_t kSlotHitBit = 1U << kBatchNumberBits;
constexpr uint32_t kSlotNumberMask = kSlotHitBit - 1;
constexpr int kFingerprintShift = kBatchNumberBits + 1;
constexpr uint32_t kFingerprintMask = ~(kSlotHitBit | kSlotNumberMask);
static_assert(32 - kFingerprintShift == 18);
constexpr uint32_t kSlotBucketsMax = 1U << 26;  // 4 GiB a partition

inline BatchNumber SlotNumber(uint32_t word) {
  return static_cast<BatchNumber>(word & kSlotNumberMask);
}

struct alignas(64) SlotBucket {
  std::array<std::atomic<uint32_t>, kSlotsPerBucket> words;
};
static_assert(sizeof(SlotBucket) == 64);

// The two buckets of a hash in a table of some size, and its fingerprint at its position in the
// word.
struct SlotPlace {
  // The bits of a hash that choose the bucket: below the partition's 8, above the fingerprint's 18.
  static uint32_t BucketHash(uint64_t hash) { return static_cast<uint32_t>(hash >> 24); }
  // The upper half of a multiplication maps 32 bits evenly onto [0, buckets).
  static uint32_t MapOnto(uint32_t bucket_hash, uint32_t buckets) {
    return static_cast<uint32_t>((uint64_t{bucket_hash} * buckets) >> 32);
  }
  // The other bucket of a slot: H(fingerprint) - bucket mod buckets, which undoes itself for any
  // count.
  static uint32_t Other(uint32_t fingerprint, uint32_t bucket, uint32_t buckets) {
    constexpr uint64_t kGoldenRatio64 = 0x9e3779b97f4a7c15U;
    const uint32_t sum =
        MapOnto(static_cast<uint32_t>((fingerprint * kGoldenRatio64) >> 32), buckets);
    return sum >= bucket ? sum - bucket : sum + buckets - bucket;
  }
  static SlotPlace Of(uint64_t hash, uint32_t buckets) {
    const uint32_t fingerprint = static_cast<uint32_t>(hash) << kFingerprintShift;
    const uint32_t first = MapOnto(BucketHash(hash), buckets);
    return SlotPlace{fingerprint, first, Other(fingerprint, first, buckets)};
  }
  // The same for every hash that shares these slots, and for no other.
  uint64_t Identity() const {
    return (uint64_t{fingerprint >> kFingerprintShift} << 32) | std::min(first, second);
  }

  uint32_t fingerprint;
  uint32_t first;
  uint32_t second;  // may be the same bucket
};

class SlotTable {
 public:
  SlotTable() = default;
  SlotTable(uint32_t buckets, SlotMemory* memory);
  // Takes over what lies there; Recount() says what it is.
  SlotTable(const RulingSlots& slots, SlotMemory* memory);
  SlotTable(SlotTable&& other) noexcept { *this = std::move(other); }
  SlotTable& operator=(SlotTable&& other) noexcept;
  ~SlotTable();

  // The array stays where it is; this table has none any more.
  void LeaveInPlace() { buckets_ = nullptr; }

  const SlotBucket* Base() const { return buckets_; }
  RulingSlots Slots() const { return {buckets_, count_}; }
  uint32_t Count() const { return count_; }
  uint64_t SlotsTotal() const { return uint64_t{count_} * kSlotsPerBucket; }
  uint64_t Used() const { return used_; }
  double Load() const { return static_cast<double>(used_) / static_cast<double>(SlotsTotal()); }

  // At start-up: takes the words of a whole table of this size as they lay in memory, and adds to `numbers` how often each
  // number stands there, 0 for what is empty. False: a word that is neither a slot nor empty.
  bool Fill(std::string_view words, std::span<int64_t> numbers);
  // At start-up, of an array taken over: empties every word that `keep` (by number) does not want, and adds to
  // `numbers` how often each number stands there, 0 for what is empty.
  void Recount(std::span<const bool> keep, std::span<int64_t> numbers);

  SlotPlace Locate(uint64_t hash) const { return SlotPlace::Of(hash, count_); }
  uint32_t Word(uint32_t bucket, uint32_t slot) const {
    return buckets_[bucket].words[slot].load(std::memory_order_relaxed);
  }
  void SetWord(uint32_t bucket, uint32_t slot, uint32_t word) {
    std::atomic<uint32_t>& place = buckets_[bucket].words[slot];
    used_ += word != 0 ? 1U : 0U;
    used_ -= place.load(std::memory_order_relaxed) != 0 ? 1U : 0U;
    place.store(word, std::memory_order_release);
  }

  // Bit i of the answer: slot i is empty; slot i has this fingerprint.
  uint32_t Empty(uint32_t bucket) const { return Compare(bucket, kSlotNumberMask, 0); }
  uint32_t Matches(uint32_t bucket, uint32_t fingerprint) const {
    uint32_t found = Compare(bucket, kFingerprintMask, fingerprint);
    if (fingerprint == 0 && found != 0) found &= ~Empty(bucket);  // an empty word looks the same
    return found;
  }
  // visit(bucket, slot, word) for every slot of the place's identity, or those of one of its
  // buckets; it may erase the slot it is given.
  template <typename Visit>
  void ForEachSlot(const SlotPlace& place, const Visit& visit) const {
    VisitBucket(place.first, place.fingerprint, visit);
    if (place.second != place.first) VisitBucket(place.second, place.fingerprint, visit);
  }
  template <typename Visit>
  void VisitBucket(uint32_t bucket, uint32_t fingerprint, const Visit& visit) const {
    for (uint32_t found = Matches(bucket, fingerprint); found != 0; found &= found - 1) {
      const auto slot = static_cast<uint32_t>(std::countr_zero(found));
      visit(bucket, slot, Word(bucket, slot));
    }
  }

 private:
  uint32_t Compare(uint32_t bucket, uint32_t mask, uint32_t wanted) const;

  SlotBucket* buckets_ = nullptr;
  SlotMemory* memory_ = nullptr;
  uint64_t used_ = 0;
  uint32_t count_ = 0;
};

#if defined(__SSE2__)
inline uint32_t SlotTable::Compare(uint32_t bucket, uint32_t mask, uint32_t wanted) const {
  // Plain vector loads of atomics: nobody stores meanwhile, the partition's mutex is held.
  const auto* vectors = reinterpret_cast<const __m128i*>(&buckets_[bucket]);
  const __m128i masks = _mm_set1_epi32(static_cast<int>(mask));
  const __m128i wants = _mm_set1_epi32(static_cast<int>(wanted));
  const auto equal = [&](int i) {
    return _mm_cmpeq_epi32(_mm_and_si128(_mm_load_si128(vectors + i), masks), wants);
  };
  const __m128i low = _mm_packs_epi32(equal(0), equal(1));
  const __m128i high = _mm_packs_epi32(equal(2), equal(3));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high)));
}
#else
inline uint32_t SlotTable::Compare(uint32_t bucket, uint32_t mask, uint32_t wanted) const {
  uint32_t found = 0;
  for (uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
    found |= ((Word(bucket, slot) & mask) == wanted ? 1U : 0U) << slot;
  }
  return found;
}
#endif

}  // namespace terraced::storage
