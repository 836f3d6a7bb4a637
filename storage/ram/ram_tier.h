// RamTier: the items of one shard that are in RAM; the newest value of a key wins over flash (I1).
// Index, LRU lists (HOT, WARM, COLD and TEMP per slab class, as memcached names them) and their
// sizes. Which item is expired, flushed, clean or worth keeping is decided above (tiering).
// Threads: externally synchronised, the owner holds its shard mutex; nothing blocks or does I/O.
// Ownership: linked items belong to the tier; Unlink gives the chunk back once nobody has it
// pinned.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "storage/ram/hash_index.h"
#include "storage/ram/item_allocator.h"

namespace terraced::storage {

struct LruList {
  LinkedPosition head;  // most recent
  LinkedPosition tail;
  uint32_t count = 0;
  uint64_t bytes = 0;  // of its items: header, client flags, key and value (`mem_requested`)
};

class RamTier {
 public:
  RamTier(ItemAllocator& allocator, uint8_t shard);

  // An item that an earlier process left is adopted when it is found, and gone if it is not whole.
  Item* Find(uint64_t hash, std::string_view key);
  bool IsLinked(uint64_t hash, Position position) const { return index_.Contains(hash, position); }
  // Hints before several lookups, made without the mutex, each some time after the one before it: the bucket of the
  // key; its item; and the item's neighbours in its LRU list, which change with it when it is replaced or removed.
  void PrefetchBucket(uint64_t hash) const { index_.PrefetchBucket(hash); }
  void PrefetchItem(uint64_t hash) const;
  void PrefetchNeighbours(uint64_t hash) const;
  // After a list has lost its tail: what will change when it loses the next one. Mutex held, the new tail was just
  // written to.
  void PrefetchTail(SlabClass slab_class, LruSegment segment) const;

  // The draft becomes the item of its key, at the head of `segment`. Its state gets LINKED, the
  // shard, the segment and the epoch; cas_unique, exptime_s and last_access_s are already set.
  void Link(Position draft, uint64_t hash, LruSegment segment, uint8_t epoch);
  void Unlink(Item* item, uint64_t hash);
  // Unlink of `old` and Link of `draft` in one: the index slot changes by a single store. `spare`: see
  // ItemAllocator::Retire.
  void ReplaceItem(Item* old, Position draft, uint64_t hash, LruSegment segment, uint8_t epoch,
                   Position* spare = nullptr);
  // ReplaceItem without touching the index or a list, where the draft fits the old item's chunk, nobody has that pinned
  // and no batch is under way with it: the draft's content moves into the chunk. The item keeps its place, of WARM and
  // COLD with the mark of a second access, so that it leaves its list at the other end. False: nothing was done.
  bool Overwrite(Item* old, Position draft, uint8_t epoch, Position* spare = nullptr);
  // The page mover copies an unpinned item elsewhere: same content, same place in its list. `to` is
  // a chunk of the same class. The old chunk is freed. Of a chunked item this moves the head only.
  void Relocate(Item* item, Position to, uint64_t hash);
  // The same for one ValueChunk of an unpinned chunked item.
  void RelocateValueChunk(Item* item, Position from, Position to);

  const LruList& List(SlabClass slab_class, LruSegment segment) const;
  // Towards the head, from kNoPosition = the tail.
  Position Before(SlabClass slab_class, LruSegment segment, Position position) const;
  // Towards the tail, from kNoPosition = the head.
  Position Behind(SlabClass slab_class, LruSegment segment, Position position) const;
  void MoveTo(Item* item, LruSegment segment);  // to the head of that segment of its class
  void MoveToTail(Item* item);                  // of the segment that it is in

  // --- What an earlier process left (SlabArena::Adopting) ---

  // Called for each item once it is in its list.
  void OnAdoption(std::function<void(Item*, uint64_t hash)> callback) {
    adopted_ = std::move(callback);
  }
  // Whether it can be an item of this shard that was linked: what it says of itself fits its chunks.
  bool LooksWhole(const Item& item) const;
  // Puts it at the tail of its list, under this process's mark; takes it out of the index if it is not whole.
  bool Adopt(Item* item, uint64_t hash);
  bool HasInChain(const Item& item, Position chunk) const;
  // From the index alone: what that process had under way.
  void ErasePositions(const std::unordered_set<Position>& positions) {
    index_.ErasePositions(positions);
  }

  uint64_t ItemCount() const { return index_.Count(); }
  uint64_t ItemBytes() const {
    return item_bytes_;
  }  // header + key + value of linked items: `bytes`
  const HashIndex& Index() const { return index_; }
  ItemAllocator& Allocator() const { return allocator_; }

 private:
  SlabArena& Arena() const { return allocator_.Arena(); }
  LruList& ListOf(const Item& item);
  void PushHead(Item* item, LruSegment segment);
  void PushTail(Item* item);
  void RemoveFromList(Item* item);
  bool ChainLooksWhole(const Item& item) const;
  // Sets LINKED, shard, segment and epoch, of a chunked item's chain too.
  void MarkLinked(Item* item, LruSegment segment, uint8_t epoch);
  void MarkUnlinked(Item* item);

  // Constant after construction.
  ItemAllocator& allocator_;
  const uint8_t shard_;

  // Guarded by the shard mutex.
  HashIndex index_;
  std::vector<std::array<LruList, kLruSegments>> lists_;  // by slab class
  uint64_t item_bytes_ = 0;
  std::function<void(Item*, uint64_t)> adopted_;
};

}  // namespace terraced::storage
