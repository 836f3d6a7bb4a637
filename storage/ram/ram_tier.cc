#include "storage/ram/ram_tier.h"
#include "storage/base/kill_point.h"

#include <cstring>

namespace terraced::storage {
namespace {

constexpr uint32_t kSegmentMask = 3U << kItemSegmentShift;
constexpr uint32_t kShardMask = 0xffU << kItemShardShift;
constexpr uint32_t kEpochMask = 0xffU << kItemEpochShift;

// How much of an item a hint asks for: header, key and a value of some hundred bytes. What follows comes in order,
// which the processor notices by itself.
constexpr size_t kLineBytes = 64;
constexpr size_t kItemLinesFetched = 4;

uint32_t SegmentBits(LruSegment segment) {
  return static_cast<uint32_t>(segment) << kItemSegmentShift;
}

}  // namespace

RamTier::RamTier(ItemAllocator& allocator, uint8_t shard)
    : allocator_(allocator),
      shard_(shard),
      index_(allocator.Arena(), shard),
      lists_(size_t{allocator.Arena().LargestClass()} + 1) {}

Item* RamTier::Find(uint64_t hash, std::string_view key) {
  const Position position = index_.Find(hash, key);
  if (position == kNoPosition) return nullptr;
  Item* const item = Arena().ItemAt(position);
  if (!Arena().Adopting() || Arena().IsAdopted(*item)) return item;
  return Adopt(item, hash) ? item : nullptr;
}

// --- What an earlier process left ----------------------------------------------------------------

bool RamTier::LooksWhole(const Item& item) const {
  const Position position = Arena().PositionOf(&item);
  const uint32_t bits = item.Bits();
  if ((bits & (kItemAllocated | kItemLinked)) != (kItemAllocated | kItemLinked)) return false;
  if ((bits & kItemValueChunk) != 0 || item.Shard() != shard_ || item.key_length == 0) return false;
  if (((bits & kItemHasSerial) != 0) != allocator_.WithSerials()) return false;
  if (!Arena().IsChunk(position)) return false;
  const size_t header_bytes = kItemHeaderBytes + item.PrefixBytes() + item.key_length;
  const size_t room = Arena().ChunkBytes(Arena().ClassOf(position));
  if ((bits & kItemChunked) != 0)
    return header_bytes + kChainBytes <= room && ChainLooksWhole(item);
  return header_bytes + item.ValueBytes() <= room;
}

bool RamTier::ChainLooksWhole(const Item& item) const {
  constexpr uint32_t kBits = kItemAllocated | kItemValueChunk | kItemLinked;
  const uint32_t expected = kBits | uint32_t{shard_} << kItemShardShift;
  uint64_t bytes = 0;
  for (Position at = item.FirstChunk(); at != kNoPosition; at = Arena().ChunkAt(at)->next) {
    if (!Arena().IsChunk(at)) return false;
    const ValueChunk& chunk = *Arena().ChunkAt(at);
    if (chunk.state.load(std::memory_order_relaxed) != expected) return false;
    if (chunk.head != Arena().PositionOf(&item)) return false;
    if (chunk.used_bytes + sizeof(ValueChunk) > Arena().ChunkBytes(Arena().ClassOf(at)))
      return false;
    bytes += chunk.used_bytes;
    // A chain that bites its tail ends here too, unless its chunks are empty, which none is.
    if (chunk.used_bytes == 0 || bytes > item.ValueBytes()) return false;
  }
  return bytes == item.ValueBytes();
}

bool RamTier::HasInChain(const Item& item, Position chunk) const {
  if (!item.Has(kItemChunked)) return false;
  for (Position at = item.FirstChunk(); at != kNoPosition; at = Arena().ChunkAt(at)->next) {
    if (at == chunk) return true;
  }
  return false;
}

bool RamTier::Adopt(Item* item, uint64_t hash) {
  if (!LooksWhole(*item)) {
    (void)index_.Erase(hash, Arena().PositionOf(item));
    return false;
  }
  item->pins.store(Arena().Generation(), std::memory_order_relaxed);
  item->Clear(kItemInBatch);
  PushTail(item);
  item_bytes_ += ItemAllocator::RequestedBytes(*item);
  if (adopted_) adopted_(item, hash);
  allocator_.NoteSize(*item, 1);  // under the CAS unique that it has from now on
  return true;
}

bool RamTier::EraseStrays(uint64_t* cursor, uint32_t buckets,
                          const std::function<uint64_t(std::string_view)>& hash_of) {
  return index_.EraseStrays(cursor, buckets, [&](uint32_t bits, Position position) {
    const Item& item = *Arena().ItemAt(position);
    constexpr uint32_t kKind = kItemAllocated | kItemLinked | kItemValueChunk;
    return (item.Bits() & kKind) == (kItemAllocated | kItemLinked) && item.Shard() == shard_ &&
           Arena().IsAdopted(item) && HashIndex::SameBits(bits, hash_of(item.Key()));
  });
}

void RamTier::PrefetchItem(uint64_t hash) const {
  const Position position = index_.Hint(hash);
  if (position == kNoPosition) return;
  const char* const item = static_cast<const char*>(Arena().At(position));
  for (size_t line = 0; line < kItemLinesFetched; ++line) {
    __builtin_prefetch(item + line * kLineBytes, 1);
  }
}

void RamTier::PrefetchNeighbours(uint64_t hash) const {
  const Position position = index_.Hint(hash);
  if (position == kNoPosition) return;
  const Item* const item = Arena().ItemAt(position);
  __builtin_prefetch(Arena().At(item->next), 1);
  __builtin_prefetch(Arena().At(item->prev), 1);
}

void RamTier::PrefetchTail(SlabClass slab_class, LruSegment segment) const {
  const Position tail = List(slab_class, segment).tail;
  if (tail != kNoPosition) __builtin_prefetch(Arena().At(Arena().ItemAt(tail)->prev), 1);
}

// --- Linking -----------------------------------------------------------------------------------

void RamTier::MarkLinked(Item* item, LruSegment segment, uint8_t epoch) {
  const uint32_t shard_bits = uint32_t{shard_} << kItemShardShift;
  if (item->Has(kItemChunked)) {
    for (Position at = item->FirstChunk(); at != kNoPosition; at = Arena().ChunkAt(at)->next) {
      Arena().ChunkAt(at)->state.store(kItemAllocated | kItemValueChunk | kItemLinked | shard_bits,
                                       std::memory_order_release);
    }
  }
  const uint32_t kept = item->Bits() & ~(kSegmentMask | kShardMask | kEpochMask);
  item->state.store(
      kept | kItemLinked | shard_bits | SegmentBits(segment) | (uint32_t{epoch} << kItemEpochShift),
      std::memory_order_release);
}

// The chain's chunks lose the mark too: a pinned item outlives its unlinking, and the page mover
// must not take its chunks for movable ones.
void RamTier::MarkUnlinked(Item* item) {
  item->Clear(kItemLinked);
  if (!item->Has(kItemChunked)) return;
  for (Position at = item->FirstChunk(); at != kNoPosition; at = Arena().ChunkAt(at)->next) {
    Arena().ChunkAt(at)->state.store(kItemAllocated | kItemValueChunk, std::memory_order_release);
  }
}

void RamTier::Link(Position draft, uint64_t hash, LruSegment segment, uint8_t epoch) {
  Item* const item = Arena().ItemAt(draft);
  TERRACED_DCHECK(item->Has(kItemAllocated) && !item->Has(kItemLinked));
  TERRACED_DCHECK(index_.Find(hash, item->Key()) == kNoPosition);
  MarkLinked(item, segment, epoch);
  index_.Insert(hash, draft);
  PushHead(item, segment);
  item_bytes_ += ItemAllocator::RequestedBytes(*item);
  allocator_.NoteSize(*item, 1);
}

void RamTier::Unlink(Item* item, uint64_t hash) {
  const Position position = Arena().PositionOf(item);
  TERRACED_DCHECK(item->Has(kItemLinked) && item->Shard() == shard_);
  RemoveFromList(item);
  MarkUnlinked(item);
  TERRACED_CHECK(index_.Erase(hash, position));
  item_bytes_ -= ItemAllocator::RequestedBytes(*item);
  allocator_.NoteSize(*item, -1);
  allocator_.Retire(position);
}

void RamTier::ReplaceItem(Item* old, Position draft, uint64_t hash, LruSegment segment,
                          uint8_t epoch, Position* spare) {
  const Position old_position = Arena().PositionOf(old);
  Item* const item = Arena().ItemAt(draft);
  TERRACED_DCHECK(old->Has(kItemLinked) && old->Shard() == shard_);
  TERRACED_DCHECK(item->Has(kItemAllocated) && !item->Has(kItemLinked));
  TERRACED_DCHECK(old->Key() == item->Key());
  RemoveFromList(old);
  // In this order a process killed in between leaves a miss, never the old value beside the new.
  MarkUnlinked(old);
  HotKillPoint(KillPoint::kReplaceUnlinked);
  MarkLinked(item, segment, epoch);
  TERRACED_CHECK(index_.Replace(hash, old_position, draft));
  PushHead(item, segment);
  item_bytes_ += ItemAllocator::RequestedBytes(*item);
  item_bytes_ -= ItemAllocator::RequestedBytes(*old);
  allocator_.NoteSize(*item, 1);
  allocator_.NoteSize(*old, -1);
  allocator_.Retire(old_position, spare);
}

bool RamTier::Overwrite(Item* old, Position draft, uint8_t epoch, Position* spare) {
  const Item* const item = Arena().ItemAt(draft);
  TERRACED_DCHECK(old->Has(kItemLinked) && old->Key() == item->Key());
  constexpr uint32_t kBound = kItemChunked | kItemInBatch;
  if ((old->Bits() & kBound) != 0 || item->Has(kItemChunked) || old->IsPinned()) return false;
  if (((old->Bits() ^ item->Bits()) & kItemHasSerial) != 0) return false;
  if (Arena().ClassOf(Arena().PositionOf(old)) != Arena().ClassOf(draft)) return false;
  const bool hot = old->Segment() == LruSegment::kHot;
  const uint32_t active = hot ? old->Bits() & kItemActive : uint32_t{kItemActive};
  const uint32_t place = old->Bits() & (kSegmentMask | kShardMask);
  LruList& list = ListOf(*old);
  const uint64_t grown = ItemAllocator::RequestedBytes(*item) - ItemAllocator::RequestedBytes(*old);
  list.bytes += grown;  // modulo 2^64, like the sum below
  item_bytes_ += grown;
  allocator_.NoteSize(*old, -1);
  allocator_.NoteSize(*item, 1);
  // Not linked while it changes: a process killed meanwhile leaves a miss, never half a value. A kill is like a signal:
  // what the thread has stored is there in its order, so only the compiler has to be held back.
  MarkUnlinked(old);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  old->CopyFieldsOf(*item);
  // The serial stays: an item that was cancelled in a batch must not get into the same one again (rule 2).
  const size_t serial = item->Has(kItemHasSerial) ? sizeof(uint32_t) : 0;
  std::memcpy(old->Data() + serial, item->Data() + serial,
              item->PrefixBytes() - serial + item->key_length + item->ValueBytes());
  HotKillPoint(KillPoint::kOverwriteCopied);
  old->state.store(
      item->Bits() | kItemLinked | place | active | (uint32_t{epoch} << kItemEpochShift),
      std::memory_order_release);
  allocator_.Retire(draft, spare);
  return true;
}

// --- Moving chunks -----------------------------------------------------------------------------

void RamTier::Relocate(Item* item, Position to, uint64_t hash) {
  SlabArena& arena = Arena();
  const Position from = arena.PositionOf(item);
  TERRACED_DCHECK(item->Has(kItemLinked) && item->Shard() == shard_);
  TERRACED_CHECK(!item->IsPinned());
  TERRACED_CHECK(arena.ClassOf(from) == arena.ClassOf(to));
  Item* const copy = arena.ItemAt(to);
  copy->pins.store(arena.Generation(), std::memory_order_relaxed);
  copy->next = item->next;
  copy->prev = item->prev;
  copy->CopyFieldsOf(*item);
  const bool chunked = item->Has(kItemChunked);
  const size_t header_bytes = item->PrefixBytes() + item->key_length;
  std::memcpy(copy->Data(), item->Data(),
              header_bytes + (chunked ? kChainBytes : item->ValueBytes()));

  const uint32_t bits = item->Bits();
  item->Clear(kItemLinked);
  KillPoints::Pass(KillPoint::kPageItemMoving);
  if (chunked) {
    for (Position at = item->FirstChunk(); at != kNoPosition; at = arena.ChunkAt(at)->next) {
      arena.ChunkAt(at)->head = to;
    }
  }
  copy->state.store(bits, std::memory_order_release);
  TERRACED_CHECK(index_.Replace(hash, from, to));
  LruList& list = ListOf(*copy);
  (copy->prev == kNoPosition ? list.head : arena.ItemAt(copy->prev)->next) = to;
  (copy->next == kNoPosition ? list.tail : arena.ItemAt(copy->next)->prev) = to;
  arena.Free(from);
}

void RamTier::RelocateValueChunk(Item* item, Position from, Position to) {
  SlabArena& arena = Arena();
  TERRACED_DCHECK(item->Has(kItemLinked | kItemChunked) && item->Shard() == shard_);
  TERRACED_CHECK(!item->IsPinned());
  TERRACED_CHECK(arena.ClassOf(from) == arena.ClassOf(to));
  const ValueChunk* const chunk = arena.ChunkAt(from);
  TERRACED_DCHECK(chunk->head == arena.PositionOf(item));
  ValueChunk* const copy = arena.ChunkAt(to);
  copy->next = chunk->next;
  copy->head = chunk->head;
  copy->used_bytes = chunk->used_bytes;
  std::memcpy(copy->Data(), chunk->Data(), chunk->used_bytes);
  copy->state.store(chunk->state.load(std::memory_order_relaxed), std::memory_order_release);
  if (item->FirstChunk() == from) {
    item->SetFirstChunk(to);
  } else {
    Position before = item->FirstChunk();
    while (arena.ChunkAt(before)->next != from) before = arena.ChunkAt(before)->next;
    arena.ChunkAt(before)->next = to;
  }
  arena.Free(from);
}

// --- LRU lists ---------------------------------------------------------------------------------

LruList& RamTier::ListOf(const Item& item) {
  return lists_[allocator_.ListClass(item)][static_cast<size_t>(item.Segment())];
}

const LruList& RamTier::List(SlabClass slab_class, LruSegment segment) const {
  return lists_[slab_class][static_cast<size_t>(segment)];
}

Position RamTier::Before(SlabClass slab_class, LruSegment segment, Position position) const {
  if (position == kNoPosition) return List(slab_class, segment).tail;
  const Item* const item = Arena().ItemAt(position);
  TERRACED_DCHECK(allocator_.ListClass(*item) == slab_class && item->Segment() == segment);
  return item->prev;
}

Position RamTier::Behind(SlabClass slab_class, LruSegment segment, Position position) const {
  if (position == kNoPosition) return List(slab_class, segment).head;
  const Item* const item = Arena().ItemAt(position);
  TERRACED_DCHECK(allocator_.ListClass(*item) == slab_class && item->Segment() == segment);
  return item->next;
}

// The item's state names the segment already.
void RamTier::PushHead(Item* item, LruSegment segment) {
  TERRACED_DCHECK(item->Segment() == segment);
  LruList& list = ListOf(*item);
  const Position position = Arena().PositionOf(item);
  item->prev = kNoPosition;
  item->next = list.head;
  (list.head == kNoPosition ? list.tail : Arena().ItemAt(list.head)->prev) = position;
  list.head = position;
  ++list.count;
  list.bytes += ItemAllocator::RequestedBytes(*item);
}

void RamTier::PushTail(Item* item) {
  LruList& list = ListOf(*item);
  const Position position = Arena().PositionOf(item);
  item->next = kNoPosition;
  item->prev = list.tail;
  (list.tail == kNoPosition ? list.head : Arena().ItemAt(list.tail)->next) = position;
  list.tail = position;
  ++list.count;
  list.bytes += ItemAllocator::RequestedBytes(*item);
}

void RamTier::RemoveFromList(Item* item) {
  LruList& list = ListOf(*item);
  TERRACED_DCHECK(list.count > 0);
  (item->prev == kNoPosition ? list.head : Arena().ItemAt(item->prev)->next) = item->next;
  (item->next == kNoPosition ? list.tail : Arena().ItemAt(item->next)->prev) = item->prev;
  item->next = kNoPosition;
  item->prev = kNoPosition;
  --list.count;
  list.bytes -= ItemAllocator::RequestedBytes(*item);
}

void RamTier::MoveTo(Item* item, LruSegment segment) {
  TERRACED_DCHECK(item->Has(kItemLinked) && item->Shard() == shard_);
  RemoveFromList(item);
  item->state.store((item->Bits() & ~kSegmentMask) | SegmentBits(segment),
                    std::memory_order_release);
  PushHead(item, segment);
}

void RamTier::MoveToTail(Item* item) {
  TERRACED_DCHECK(item->Has(kItemLinked) && item->Shard() == shard_);
  RemoveFromList(item);
  PushTail(item);
}

}  // namespace terraced::storage
