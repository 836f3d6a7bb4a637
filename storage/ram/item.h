// Item: one key and its value in slab chunks of the RAM tier. The layout is the same in a private
// arena and in one that lives in a file: positions instead of pointers, no addresses, no mutexes.
// Threads: every field is guarded by the mutex of the item's shard, except `state` and `pins`,
// which the page mover and the last unpin read without it and are therefore atomic.
// Sizes: the header is 40 bytes (memcached's: 48 plus 8 for the CAS unique); 4 more where the
// client flags are not 0. Behind it: [client flags] key value, with no terminators. An item larger
// than slab_chunk_max keeps its value in a chain of chunks (ValueChunk) instead.
#pragma once

#include <atomic>
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
  operator Position() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<Position> value_{kNoPosition};
};

enum class LruSegment : uint8_t { kHot = 0, kWarm = 1, kCold = 2, kTemp = 3 };
constexpr int kLruSegments = 4;

// Item::pins: how many ItemRefs lend the item, and the mark that it was unlinked, so that whoever
// takes the last pin away frees it. Both in one word: exactly one side sees "retired and not
// pinned" come about.
constexpr uint16_t kPinsRetired = 1U << 15;
constexpr uint16_t kPinsMax = kPinsRetired - 1;

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
  kItemClean = 1U << 7,       // also on flash unchanged, in the batch that clean_serial hints at
  kItemInBatch = 1U << 8,     // marked for the batch that clean_serial hints at (tiering rule 2)
  kItemStale = 1U << 9,       // meta protocol: invalidated by md I
  kItemTokenSent = 1U << 10,  // meta protocol: a client was told to recache
  kItemSegmentShift = 11,     // two bits: LruSegment (a shift, not a mask)
  kItemBinaryKey = 1U << 13,  // meta protocol: the key was given in base64
  kItemKeptOff = 1U << 14,    // too large for flash or not admitted; counted as that once
  kItemShardShift = 16,
  kItemEpochShift = 24,
};

struct Item {
  std::atomic<uint32_t> state;
  std::atomic<uint16_t> pins;  // see kPinsRetired; the chunks are freed by the last ItemRef
  uint8_t key_length;
  uint8_t slab_class;   // whose LRU lists it is in: its chunk's class, or the largest where chunked
  LinkedPosition next;  // LRU list, towards the tail; in a free chunk, the free list
  LinkedPosition prev;  // LRU list, towards the head
  uint64_t cas_unique;
  uint32_t exptime_s;      // Unix seconds, 0 = never
  uint32_t last_access_s;  // Unix seconds
  uint32_t value_bytes;
  uint32_t clean_serial;  // low 32 bits of a batch serial, see kItemClean and kItemInBatch

  uint32_t Bits() const { return state.load(std::memory_order_relaxed); }
  bool Has(uint32_t bits) const { return (Bits() & bits) == bits; }
  // Shard mutex held (or the item not yet shared): no other writer of these bits.
  void Set(uint32_t bits) { state.store(Bits() | bits, std::memory_order_release); }
  void Clear(uint32_t bits) { state.store(Bits() & ~bits, std::memory_order_release); }

  // Whether an ItemRef lends it. Shard mutex held: a no lasts until the mutex is released, and
  // everything that readers did with the value has happened before.
  bool IsPinned() const { return (pins.load(std::memory_order_acquire) & kPinsMax) != 0; }

  LruSegment Segment() const { return static_cast<LruSegment>((Bits() >> kItemSegmentShift) & 3U); }
  uint8_t Shard() const { return static_cast<uint8_t>(Bits() >> kItemShardShift); }
  uint8_t Epoch() const { return static_cast<uint8_t>(Bits() >> kItemEpochShift); }

  char* Data() { return reinterpret_cast<char*>(this + 1); }
  const char* Data() const { return reinterpret_cast<const char*>(this + 1); }
  uint32_t ClientFlags() const {
    uint32_t flags = 0;
    if (Has(kItemHasFlags)) std::memcpy(&flags, Data(), sizeof(flags));
    return flags;
  }
  std::string_view Key() const {
    return {Data() + (Has(kItemHasFlags) ? sizeof(uint32_t) : 0), key_length};
  }
  // Where the value (or, for a chunked item, the 4 bytes of the first ValueChunk's Position)
  // begins.
  char* AfterKey() { return Data() + (Has(kItemHasFlags) ? sizeof(uint32_t) : 0) + key_length; }
  const char* AfterKey() const { return const_cast<Item*>(this)->AfterKey(); }
  // Of a chunked item: its first ValueChunk. Unaligned, hence copied.
  Position FirstChunk() const {
    Position first = kNoPosition;
    std::memcpy(&first, AfterKey(), sizeof(first));
    return first;
  }
  void SetFirstChunk(Position first) { std::memcpy(AfterKey(), &first, sizeof(first)); }
};
static_assert(sizeof(Item) == 40, "the header's size is a promise of the RAM tier");
static_assert(std::atomic<uint32_t>::is_always_lock_free);

// A chunk of a chained value. It begins like an item, so that the page mover can tell what it sees.
struct ValueChunk {
  std::atomic<uint32_t>
      state;  // kItemAllocated | kItemValueChunk; linked: kItemLinked and the shard
  uint16_t reserved;
  uint8_t reserved2;
  uint8_t slab_class;
  Position next;  // next chunk of the value, kNoPosition in the last
  Position head;  // the item it belongs to
  uint32_t used_bytes;
  uint32_t reserved3;

  char* Data() { return reinterpret_cast<char*>(this + 1); }
  const char* Data() const { return reinterpret_cast<const char*>(this + 1); }
};
static_assert(sizeof(ValueChunk) == 24);

}  // namespace terraced::storage
