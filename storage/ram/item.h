// Item: one key and its value in slab chunks of the RAM tier. The layout is the same in a private
// arena and in one that lives in a file: positions instead of pointers, no addresses, no mutexes.
// Threads: every field is guarded by the mutex of the item's shard, except `state` and `pins`,
// which the page mover and the last unpin read without it and are therefore atomic.
// Sizes: the header is 31 bytes (memcached's: 48 plus 8 for the CAS unique); 4 more where there is a flash tier, 4
// where the client flags are not 0, and 4 where the CAS unique is held whole (CasRuns). Behind it: [batch serial]
// [client flags] [upper half of the CAS unique] key value, with no terminators and no alignment. An item larger than
// slab_chunk_max keeps its value in a chain of chunks (ValueChunk) instead, of which the first one's Position and the
// value's size stand behind the key.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "storage/base/check.h"

namespace terraced::storage {

// A place in the arena, in units of its chunk alignment (8 bytes up to 32 GB of -m, more beyond).
// 0 is no place: the arena begins with a page of its own.
using Position = uint32_t;
constexpr Position kNoPosition = 0;

// A link of an LRU list. The shard mutex guards it; hints read it without, hence atomic. All accesses are relaxed: it
// costs what a plain field costs.
class LinkedPosition {
 public:
  LinkedPosition() = default;
  LinkedPosition(const LinkedPosition& other) : value_(Position{other}) {}
  LinkedPosition& operator=(const LinkedPosition& other) { return *this = Position{other}; }
  LinkedPosition& operator=(Position value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  // NOLINTNEXTLINE(google-explicit-constructor): it stands for a Position.
  operator Position() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<Position> value_{kNoPosition};
};

enum class LruSegment : uint8_t { kHot = 0, kWarm = 1, kCold = 2, kTemp = 3 };
constexpr int kLruSegments = 4;
constexpr std::array<LruSegment, kLruSegments> kHottestFirst = {
    LruSegment::kWarm, LruSegment::kHot, LruSegment::kTemp, LruSegment::kCold};

// Item::pins: how many ItemRefs lend the item, and the mark that it was unlinked, so that whoever
// takes the last pin away frees it. Both in one word: exactly one side sees "retired and not
// pinned" come about.
constexpr uint8_t kPinsRetired = 1U << 7;
// Which of two generations of daemons made the item or has found it good: where the arena outlives the process, an item
// with the other mark is a dead process's, in no list, and its pins and marks mean nothing (RamTier::Find).
constexpr uint8_t kPinsGeneration = 1U << 6;
constexpr uint8_t kPinsMax = kPinsGeneration - 1;

// Bits of Item::state. The high bytes carry the shard (bits 16-23) and the flush epoch (24-31).
enum ItemBits : uint32_t {
  kItemAllocated = 1U << 0,   // not free: being filled, linked, or unlinked but pinned
  kItemLinked = 1U << 1,      // in the index and in an LRU list: the newest value of its key; in a
                              // ValueChunk: its head is linked (so shard and head are stable)
  kItemValueChunk = 1U << 2,  // not an item: a ValueChunk of a chain
  kItemChunked = 1U << 3,     // the value is a chain of chunks; the first position follows the key
  kItemHasFlags = 1U << 4,    // 4 bytes of client flags stand before the key
  kItemFetched = 1U << 5,     // read at least once since it was stored
  kItemActive = 1U << 6,      // read again since: worth keeping when the LRU tail is looked at
  kItemClean = 1U << 7,       // also on flash unchanged, in the batch that CleanSerial() hints at
  kItemInBatch = 1U << 8,     // marked for the batch that CleanSerial() hints at (tiering rule 2)
  kItemStale = 1U << 9,       // meta protocol: invalidated by md I
  kItemTokenSent = 1U << 10,  // meta protocol: a client was told to recache
  kItemSegmentShift = 11,     // two bits: LruSegment (a shift, not a mask)
  kItemBinaryKey = 1U << 13,  // meta protocol: the key was given in base64
  kItemKeptOff = 1U << 14,    // too large for flash or not admitted; counted as that once
  kItemHasSerial = 1U << 15,  // 4 bytes of a batch serial stand before the client flags
  kItemShardShift = 16,
  kItemEpochShift = 24,
};

constexpr size_t kItemHeaderBytes = 31;
// In Item::value_high, whose lower bits are of the value's size: the item holds its CAS unique whole. From when it is
// made to when it is freed.
constexpr uint8_t kWholeUnique = 1U << 7;
// What a chunked item has behind its key.
constexpr size_t kChainBytes = sizeof(Position) + sizeof(uint32_t);

struct Item {
  std::atomic<uint32_t> state;
  LinkedPosition next;     // LRU list, towards the tail; in a free chunk, the free list
  LinkedPosition prev;     // LRU list, towards the head
  uint32_t exptime_s;      // Unix seconds, 0 = never
  uint32_t last_access_s;  // Unix seconds
  uint32_t cas_low;        // of the CAS unique, see CasRuns
  uint8_t cas_middle;
  uint8_t cas_run;
  uint16_t value_low;  // see ValueBytes()
  uint8_t value_high;
  std::atomic<uint8_t> pins;  // see kPinsRetired; the chunks are freed by the last ItemRef
  uint8_t key_length;
  char data[1];  // and what follows

  uint32_t Bits() const { return state.load(std::memory_order_relaxed); }
  bool Has(uint32_t bits) const { return (Bits() & bits) == bits; }
  // Shard mutex held (or the item not yet shared): no other writer of these bits.
  void Set(uint32_t bits) { state.store(Bits() | bits, std::memory_order_release); }
  void Clear(uint32_t bits) { state.store(Bits() & ~bits, std::memory_order_release); }

  uint8_t Generation() const { return pins.load(std::memory_order_relaxed) & kPinsGeneration; }
  // Whether an ItemRef lends it. Shard mutex held: a no lasts until the mutex is released, and
  // everything that readers did with the value has happened before.
  bool IsPinned() const { return (pins.load(std::memory_order_acquire) & kPinsMax) != 0; }

  LruSegment Segment() const { return static_cast<LruSegment>((Bits() >> kItemSegmentShift) & 3U); }
  uint8_t Shard() const { return static_cast<uint8_t>(Bits() >> kItemShardShift); }
  uint8_t Epoch() const { return static_cast<uint8_t>(Bits() >> kItemEpochShift); }

  char* Data() { return data; }
  const char* Data() const { return data; }
  // Low 32 bits of a batch serial, see kItemClean and kItemInBatch. Only of items made where there is a flash tier.
  uint32_t CleanSerial() const {
    TERRACED_DCHECK(Has(kItemHasSerial));
    return Load32(Data());
  }
  void SetCleanSerial(uint32_t serial) {
    TERRACED_DCHECK(Has(kItemHasSerial));
    std::memcpy(Data(), &serial, sizeof(serial));
  }
  uint32_t ClientFlags() const {
    const uint32_t bits = Bits();
    return (bits & kItemHasFlags) != 0 ? Load32(Data() + SerialBytes(bits)) : 0;
  }
  void SetClientFlags(uint32_t flags) {
    TERRACED_DCHECK(Has(kItemHasFlags));
    std::memcpy(Data() + SerialBytes(Bits()), &flags, sizeof(flags));
  }
  bool HasWholeUnique() const { return (value_high & kWholeUnique) != 0; }
  uint32_t UniqueHigh() const { return Load32(Data() + UniqueOffset()); }
  void SetUniqueHigh(uint32_t high) {
    TERRACED_DCHECK(HasWholeUnique());
    std::memcpy(Data() + UniqueOffset(), &high, sizeof(high));
  }
  std::string_view Key() const { return {Data() + PrefixBytes(), key_length}; }
  // Where the value (or, for a chunked item, what names its chain) begins.
  char* AfterKey() { return Data() + PrefixBytes() + key_length; }
  const char* AfterKey() const { return const_cast<Item*>(this)->AfterKey(); }

  uint32_t ValueBytes() const {
    if (Has(kItemChunked)) return Load32(AfterKey() + sizeof(Position));
    return (uint32_t{value_high} & ~uint32_t{kWholeUnique}) << 16 | value_low;
  }
  // After the key is in place.
  void SetValueBytes(uint32_t bytes) {
    if (Has(kItemChunked)) {
      std::memcpy(AfterKey() + sizeof(Position), &bytes, sizeof(bytes));
      return;
    }
    TERRACED_DCHECK(bytes >> 23 == 0);  // a chunk is at most a slab page of 1 MiB
    value_low = static_cast<uint16_t>(bytes);
    value_high = static_cast<uint8_t>((value_high & kWholeUnique) | bytes >> 16);
  }
  // Of a chunked item: its first ValueChunk.
  Position FirstChunk() const { return Load32(AfterKey()); }
  void SetFirstChunk(Position first) { std::memcpy(AfterKey(), &first, sizeof(first)); }

  // Everything about the other item but its state, its place, its pins and what stands in data.
  void CopyFieldsOf(const Item& other) {
    exptime_s = other.exptime_s;
    last_access_s = other.last_access_s;
    cas_low = other.cas_low;
    cas_middle = other.cas_middle;
    cas_run = other.cas_run;
    value_low = other.value_low;
    value_high = other.value_high;
    key_length = other.key_length;
  }

  // What stands before the key: as far as the item has them, serial, client flags and half of the unique.
  size_t PrefixBytes() const { return UniqueOffset() + (HasWholeUnique() ? sizeof(uint32_t) : 0); }

 private:
  size_t UniqueOffset() const {
    const uint32_t bits = Bits();
    return SerialBytes(bits) + ((bits & kItemHasFlags) != 0 ? sizeof(uint32_t) : 0);
  }
  static size_t SerialBytes(uint32_t bits) {
    return (bits & kItemHasSerial) != 0 ? sizeof(uint32_t) : 0;
  }
  // Nothing behind the header is aligned.
  static uint32_t Load32(const char* at) {
    uint32_t value = 0;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
};
static_assert(offsetof(Item, data) == kItemHeaderBytes,
              "the header's size is a promise of the RAM tier");
static_assert(std::atomic<uint32_t>::is_always_lock_free);

// A chunk of a chained value. It begins like an item, so that the page mover can tell what it sees.
struct ValueChunk {
  std::atomic<uint32_t>
      state;  // kItemAllocated | kItemValueChunk; linked: kItemLinked and the shard
  // Atomic because a hint may still take the chunk for the item that it was.
  LinkedPosition next;  // next chunk of the value, kNoPosition in the last
  LinkedPosition head;  // the item it belongs to
  uint32_t used_bytes;

  char* Data() { return reinterpret_cast<char*>(this + 1); }
  const char* Data() const { return reinterpret_cast<const char*>(this + 1); }
};
static_assert(sizeof(ValueChunk) == 16);

}  // namespace terraced::storage
