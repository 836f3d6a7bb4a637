// ItemAllocator: builds items in the arena and lends their values. It knows how an item is laid
// out over chunks: a value that does not fit a chunk with its header and key lies in a chain of
// ValueChunks, all of the largest class but the last, which is of the smallest class that holds
// the rest. RamTier knows which items are linked; tiering decides who has to leave when memory is
// short.
// Threads: any, its state is in the arena and in CasRuns. A draft belongs to the thread that allocated it
// until it is linked.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "storage/ram/cas_runs.h"
#include "storage/ram/item.h"
#include "storage/ram/size_histogram.h"
#include "storage/ram/slab_arena.h"

namespace terraced::storage {

// What an item has before its key besides the serial, which all have or none.
struct ItemPrefix {
  // NOLINTNEXTLINE(google-explicit-constructor): most have client flags alone.
  ItemPrefix(uint32_t flags, bool whole = false) : client_flags(flags), whole_unique(whole) {}
  uint64_t Bytes() const {
    return (client_flags != 0 ? sizeof(uint32_t) : 0) + (whole_unique ? sizeof(uint32_t) : 0);
  }

  uint32_t client_flags;
  bool whole_unique;  // room for a CAS unique that has no number, see CasRuns
};

class ItemAllocator {
 public:
  // `with_serials`: items have room for a batch serial, because there is a flash tier.
  ItemAllocator(SlabArena& arena, uint32_t item_bytes_max, bool with_serials = false);

  // Whether such an item could ever be stored (-I covers header, client flags, key and value). How its unique is held
  // makes no difference.
  bool Fits(size_t key_length, uint32_t client_flags, uint64_t value_bytes) const;
  // Whose LRU lists such an item is in, and so where to evict for the next New() of this size. For
  // a chunked item that is the largest class, though its head takes a small chunk; where New() is
  // short of a class that lists no items (only heads of chunked ones), the largest class is the one
  // to evict from.
  SlabClass ClassFor(size_t key_length, ItemPrefix prefix, uint64_t value_bytes) const;

  // An item with key, client flags, sizes, no CAS unique and no links; its value bytes are undefined. kNoPosition
  // when a class has no chunk left (then *short_of says which); a partly built chain is given back.
  // `spare`: a chunk to take instead of another of its class; one of another class is given back. Empty afterwards.
  Position New(std::string_view key, ItemPrefix prefix, uint32_t value_bytes, SlabClass* short_of,
               Position* spare = nullptr);
  // Gives back every chunk. The item must be unlinked and unpinned: a draft, or what Retire() found
  // so.
  void Free(Position position);
  // Of an item just unlinked (shard mutex held): frees it, at once if nobody has it pinned, else
  // with the last pin. Pins are only made of linked items, so none is added any more.
  // `spare` (empty): gets the chunk of an unpinned item instead, for the next New().
  void Retire(Position position, Position* spare = nullptr);

  // The value's bytes, in order. One piece for an unchunked item. Fills `pieces` (cleared first).
  void ValuePieces(const Item& item, std::vector<std::span<char>>* pieces) const;
  void CopyValue(const Item& item, char* to) const;  // value_bytes bytes
  // For an unchunked item only.
  std::string_view Value(const Item& item) const {
    TERRACED_DCHECK(!item.Has(kItemChunked));
    return {item.AfterKey(), item.ValueBytes()};
  }
  // Chunk bytes the item really takes, chain included.
  uint64_t FootprintBytes(const Item& item) const;
  // Header, what stands before the key, key and value: what `bytes` and mem_requested count.
  static uint64_t RequestedBytes(const Item& item) {
    return kItemHeaderBytes + item.PrefixBytes() + item.key_length + item.ValueBytes();
  }
  // The same of an item that could be made.
  uint64_t TotalBytes(size_t key_length, ItemPrefix prefix, uint64_t value_bytes) const {
    return kItemHeaderBytes + (with_serials_ ? sizeof(uint32_t) : 0) + prefix.Bytes() + key_length +
           value_bytes;
  }
  // Whether it would not lie in one piece.
  bool IsChunked(size_t key_length, ItemPrefix prefix, uint64_t value_bytes) const {
    return TotalBytes(key_length, prefix, value_bytes) > chunk_bytes_max_;
  }
  // Whose LRU lists the item is in: its chunk's class, or the largest where it is chunked.
  SlabClass ListClass(const Item& item) const {
    return item.Has(kItemChunked) ? arena_.LargestClass()
                                  : arena_.ClassOf(arena_.PositionOf(&item));
  }

  SlabArena& Arena() const { return arena_; }
  // How items hold their CAS uniques.
  bool WithSerials() const { return with_serials_; }
  CasRuns& Uniques() { return uniques_; }
  const CasRuns& Uniques() const { return uniques_; }
  SizeHistogram& Sizes() { return sizes_; }
  // An item is linked (+1) or unlinked (-1): for the histogram of sizes, if it is on.
  void NoteSize(const Item& item, int64_t change) {
    if (sizes_.IsOn()) sizes_.Note(RequestedBytes(item), uniques_.Unique(item), change);
  }

 private:
  // The class of the ValueChunk that has to hold so many value bytes or the first part of them.
  SlabClass ChunkClassFor(uint64_t value_bytes) const;
  uint32_t CapacityOf(SlabClass slab_class) const {
    return arena_.ChunkBytes(slab_class) - static_cast<uint32_t>(sizeof(ValueChunk));
  }
  Position TakeChunk(SlabClass slab_class, Position* spare);
  Position NewChain(Position head, uint32_t value_bytes, SlabClass* short_of);
  void FreeChain(Position first);

  SlabArena& arena_;
  const uint32_t item_bytes_max_;
  const uint32_t chunk_bytes_max_;
  const bool with_serials_;
  CasRuns uniques_;
  SizeHistogram sizes_;
};

// ItemRef: a pin on an item whose value is being sent or encoded outside the shard mutex. The item
// may be unlinked meanwhile; the last pin of an unlinked item frees it. Unlinking marks the pin
// count (kPinsRetired) in one atomic step and so does dropping a pin: exactly one of them leaves
// "retired, no pins", and that one frees the chunks.
// Threads: made under the shard mutex; dropped anywhere. Moves, does not copy.
class ItemRef {
 public:
  ItemRef() = default;
  ItemRef(ItemAllocator& allocator, Position position);  // pins; shard mutex held
  ItemRef(ItemRef&& other) noexcept;
  ItemRef& operator=(ItemRef&& other) noexcept;
  ~ItemRef() { Reset(); }
  void Reset();

  explicit operator bool() const { return allocator_ != nullptr; }
  const Item& operator*() const { return *allocator_->Arena().ItemAt(position_); }
  Position At() const { return position_; }
  ItemAllocator& Allocator() const { return *allocator_; }

  // False when the item has kPinsMax pins already, or the arena is being adopted: then copy instead.
  static bool CanPin(const ItemAllocator& allocator, const Item& item);

 private:
  ItemAllocator* allocator_ = nullptr;
  Position position_ = kNoPosition;
};

}  // namespace terraced::storage
