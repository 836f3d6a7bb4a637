// HashIndex: key to item for one shard. Buckets are one cache line; a slot is one 8-byte word that
// carries a 32-bit tag of the hash beside the item's position, so that a lookup costs one miss for
// the bucket and one for the item, and growing never touches items. Grows by linear hashing, a
// quarter of its size at a time and a bounded number of buckets per insertion: nothing stops the
// world, and no bucket is ever copied elsewhere. It does not shrink.
// Threads: externally synchronised by the shard mutex, but for the two hints.
// Ownership: the buckets lie in the arena's memory for indexes. Where the arena outlives the process, an index that finds its
// root goes on with what an earlier process left of it, however it ended.
// Sizes: 8 bytes a slot; 12 to 15 bytes an item, overflow buckets included, from some 400 items a
// shard on (measured up to 1,000,000 items); about 1 KB when empty.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "storage/ram/index_memory.h"
#include "storage/ram/slab_arena.h"

namespace terraced::storage {

class HashIndex {
 public:
  // `shard`: whose root it has in the arena's file, if there is one.
  explicit HashIndex(const SlabArena& arena, uint32_t shard = 0);
  HashIndex(const HashIndex&) = delete;
  HashIndex& operator=(const HashIndex&) = delete;

  // The item of that key, whatever its state; kNoPosition if none.
  Position Find(uint64_t hash, std::string_view key) const;
  // Whether exactly this item is in the index (by position; its memory is not read).
  bool Contains(uint64_t hash, Position position) const;
  void Insert(uint64_t hash, Position position);  // the key must not be there
  bool Erase(uint64_t hash, Position position);
  bool Replace(uint64_t hash, Position old_position, Position new_position);  // one atomic store

  // Whether no two of the arrays that these roots name share memory.
  static bool RootsAgree(const ArenaFile& file);
  // Every slot of the next `buckets` buckets from *cursor (at first 0) on for which is_good(hash bits, position) says no;
  // false after the last. `SameBits` tells whether the bits are those of a hash.
  bool EraseStrays(uint64_t* cursor, uint32_t buckets,
                   const std::function<bool(uint32_t bits, Position)>& is_good);
  static bool SameBits(uint32_t bits, uint64_t hash) {
    return MakeWord(hash, kNoPosition) >> 32 == bits;
  }

  // Hints before several lookups, made without the mutex: buckets stay where they are for good, and whatever is read
  // of them is only good for prefetching. Hint() is the item whose tag stands in the hash's first bucket; reading it
  // some time after PrefetchBucket costs no miss.
  void PrefetchBucket(uint64_t hash) const {
    if (const Bucket* const bucket = buckets_.Peek(BucketOf(hash))) __builtin_prefetch(bucket);
  }
  Position Hint(uint64_t hash) const;

  uint64_t Count() const { return count_; }
  uint64_t MemoryBytes() const;
  // A growth by a quarter is under way (`hash_is_expanding`).
  bool IsExpanding() const { return BucketCount() < bucket_goal_; }
  // Calls visit(Position) for the items of the next `buckets` buckets from *cursor (at first 0) on;
  // false after the last. Items that stay linked during a whole walk are visited at least once,
  // growth included. The visitor may erase the item it is given, and no other.
  template <typename Visitor>
  bool Walk(uint64_t* cursor, uint32_t buckets, Visitor visit) const;
  // The same in the order of the reversed hash, which growth does not change: a key that is there during a whole walk is
  // visited exactly once, replaced or moved meanwhile or not, and no key twice. The visitor may not erase.
  template <typename Visitor>
  bool WalkOnce(uint64_t* cursor, uint32_t buckets, Visitor visit) const;
  // A walk whose cursor is above this one has come past the hash.
  static uint64_t CursorOf(uint64_t hash) { return Reverse(hash); }

 private:
  // The hash: bits 56-63 chose the shard, bits 0-2 the first buckets, bits 3-34 are the tag. The
  // tag has the bits that splitting a bucket will ask for next, so the hash is never computed
  // again.
  static constexpr int kFirstBucketBits = 3;
  static constexpr uint32_t kSlots = 8;
  static constexpr int kReversedBits = 40;  // more than a bucket's number has
  static constexpr uint64_t kReversedEnd = 1ULL << kReversedBits;
  using Word = uint64_t;  // tag << 32 | position; 0 is an empty slot

  // Slots are filled from the front without gaps. A full bucket whose chain goes on has a link in
  // its last slot: position 0 and the number of an overflow bucket + 1 in place of the tag. An
  // overflow bucket holds at least two items: with one left, that one takes the place of the link.
  struct alignas(64) Bucket {
    std::array<std::atomic<Word>, kSlots> slots;
  };

  // Buckets by number, in segments that double: growing adds memory and moves nothing.
  class BucketArray {
   public:
    // `offsets`: where the segments lie in the arena's file, for the next process; null: there is none.
    BucketArray(IndexMemory& memory, std::atomic<uint64_t>* offsets)
        : memory_(memory), offsets_(offsets) {}
    BucketArray(const BucketArray&) = delete;
    BucketArray& operator=(const BucketArray&) = delete;

    Bucket& At(uint64_t number) const { return *Peek(number); }
    // nullptr where another thread, which holds the mutex, is still making room for it.
    Bucket* Peek(uint64_t number) const {
      const int segment = SegmentOf(number);
      Bucket* const first = segments_[static_cast<size_t>(segment)].load(std::memory_order_acquire);
      return first == nullptr ? nullptr : first + (number - FirstOf(segment));
    }
    void MakeRoomFor(uint64_t number);  // call with numbers one after the other
    // Takes the segments of so many buckets as they lie in the file. False: they cannot lie there.
    bool TakeOver(uint64_t count, const SlabArena& arena);
    void Forget();

    static constexpr int kSegments = 33 - kFirstBucketBits;
    static uint64_t SizeOf(int segment) {
      return segment == 0 ? 1ULL << kFirstBucketBits : FirstOf(segment);
    }

   private:
    static int SegmentOf(uint64_t number) {
      return 64 - __builtin_clzll((number >> kFirstBucketBits) << 1 | 1U) - 1;
    }
    static uint64_t FirstOf(int segment) {
      return segment == 0 ? 0 : 1ULL << (kFirstBucketBits + segment - 1);
    }
    IndexMemory& memory_;
    std::atomic<uint64_t>* const offsets_;
    std::array<std::atomic<Bucket*>, kSegments> segments_{};
  };

  // A slot: which bucket of a chain, and where in it.
  struct Place {
    Bucket* bucket = nullptr;
    uint32_t slot = 0;
  };

  static Word MakeWord(uint64_t hash, Position position) {
    return ((hash >> kFirstBucketBits) << 32) | position;
  }
  static Position PositionIn(Word word) { return static_cast<Position>(word); }
  static bool IsLink(Word word) { return word != 0 && PositionIn(word) == kNoPosition; }
  static Word Load(const Bucket& bucket, uint32_t slot) {
    return bucket.slots[slot].load(std::memory_order_relaxed);
  }
  static void Store(Bucket& bucket, uint32_t slot, Word word) {
    bucket.slots[slot].store(word, std::memory_order_release);
  }
  // The next bucket of the chain, nullptr after the last.
  Bucket* NextOf(const Bucket& bucket) const {
    const Word last = Load(bucket, kSlots - 1);
    return IsLink(last) ? &overflow_.At((last >> 32) - 1) : nullptr;
  }
  static uint32_t ItemsIn(const Bucket& bucket);

  uint64_t BucketCount() const { return bucket_count_.load(std::memory_order_relaxed); }
  // The highest power of two that is not above the number of buckets: so many there were when the pass over them
  // began, and the others were split off since.
  static uint64_t LevelSize(uint64_t bucket_count) { return std::bit_floor(bucket_count); }
  uint64_t BucketOf(uint64_t hash) const {
    const uint64_t count = BucketCount();
    const uint64_t level = LevelSize(count);
    const uint64_t number = hash & (2 * level - 1);
    return number < count ? number : number & (level - 1);
  }
  // How many low bits of the hash all items of the bucket have in common.
  int BitsOf(uint64_t number) const {
    const uint64_t count = BucketCount();
    const uint64_t level = LevelSize(count);
    const int bits = std::countr_zero(level);
    return number >= level || number + level < count ? bits + 1 : bits;
  }
  static uint64_t Reverse(uint64_t bits) {
    uint64_t reversed = 0;
    for (int i = 0; i < kReversedBits; ++i) reversed |= (bits >> i & 1U) << (kReversedBits - 1 - i);
    return reversed;
  }
  void SetBucketCount(uint64_t count);
  bool TakeOver(const ArenaIndexRoot& root);
  // What a process that was killed in the middle of a change left behind: words of another bucket or that are there
  // twice, links to nowhere, overflow buckets of no chain.
  void Repair();
  void RepairChain(uint64_t number, std::vector<bool>* overflow_seen);
  bool BelongsTo(Word word, uint64_t number) const;
  Place FindWord(uint64_t hash, Word word) const;
  void Append(Bucket& first, Word word);
  void RemoveAt(Bucket& first, Place place);
  // Those items of the chain of which `goes(word)`; says how many.
  template <typename Predicate>
  uint64_t RemoveWhere(Bucket& first, const Predicate& goes);
  void GrowALittle();
  void SplitNextBucket();
  uint64_t TakeOverflow();
  void FreeOverflow(uint64_t number);

  // Constant after construction.
  const SlabArena& arena_;
  ArenaIndexRoot* const root_;  // null: the index goes with the process

  // Guarded by the shard mutex.
  BucketArray buckets_;
  BucketArray overflow_;
  uint64_t count_ = 0;
  std::atomic<uint64_t> bucket_count_{1ULL
                                      << kFirstBucketBits};  // the hints read it without the mutex
  uint64_t bucket_goal_ = 1ULL << kFirstBucketBits;          // where the growth under way ends
  uint64_t overflow_count_ = 0;                              // ever taken
  uint64_t overflow_free_ = 0;  // number + 1 of a free one, chained by slot 0
};

template <typename Visitor>
bool HashIndex::Walk(uint64_t* cursor, uint32_t buckets, Visitor visit) const {
  // Splitting moves items only to buckets of higher numbers, so going upwards misses none. The
  // positions are taken first, because erasing one moves another into its slot.
  std::vector<Position> found;
  for (uint32_t i = 0; i < buckets && *cursor < BucketCount(); ++i, ++*cursor) {
    found.clear();
    for (const Bucket* at = &buckets_.At(*cursor); at != nullptr; at = NextOf(*at)) {
      for (uint32_t slot = 0; slot < kSlots; ++slot) {
        const Position position = PositionIn(Load(*at, slot));
        if (position != kNoPosition) found.push_back(position);
      }
    }
    for (const Position position : found) visit(position);
  }
  return *cursor < BucketCount();
}

// A bucket holds the hashes of one interval in the order of their reversed low bits, and a split halves that interval.
// So where one ends another begins, however much the index grows between two calls.
template <typename Visitor>
bool HashIndex::WalkOnce(uint64_t* cursor, uint32_t buckets, Visitor visit) const {
  for (uint32_t i = 0; i < buckets && *cursor < kReversedEnd; ++i) {
    const uint64_t number = BucketOf(Reverse(*cursor));
    for (const Bucket* at = &buckets_.At(number); at != nullptr; at = NextOf(*at)) {
      for (uint32_t slot = 0; slot < kSlots; ++slot) {
        const Position position = PositionIn(Load(*at, slot));
        if (position != kNoPosition) visit(position);
      }
    }
    *cursor += kReversedEnd >> BitsOf(number);
  }
  return *cursor < kReversedEnd;
}

}  // namespace terraced::storage
