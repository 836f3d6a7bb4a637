#include "storage/ram/item_allocator.h"

#include <algorithm>
#include <utility>

namespace terraced::storage {

ItemAllocator::ItemAllocator(SlabArena& arena, uint32_t item_bytes_max, bool with_serials)
    : arena_(arena),
      item_bytes_max_(item_bytes_max),
      chunk_bytes_max_(arena.ChunkBytes(arena.LargestClass())),
      with_serials_(with_serials),
      uniques_(arena.File() != nullptr ? &arena.File()->CasTable() : nullptr) {}

bool ItemAllocator::Fits(size_t key_length, uint32_t client_flags, uint64_t value_bytes) const {
  if (key_length > UINT8_MAX || value_bytes > item_bytes_max_) return false;
  if (TotalBytes(key_length, client_flags, value_bytes) > item_bytes_max_) return false;
  // With a tiny slab_chunk_max even the header and the key of a chunked item may be too much for a
  // chunk.
  const ItemPrefix longest(client_flags, true);
  return !IsChunked(key_length, longest, value_bytes) ||
         !IsChunked(key_length, longest, kChainBytes);
}

SlabClass ItemAllocator::ClassFor(size_t key_length, ItemPrefix prefix,
                                  uint64_t value_bytes) const {
  const uint64_t total = TotalBytes(key_length, prefix, value_bytes);
  return total <= chunk_bytes_max_ ? arena_.ClassFor(total) : arena_.LargestClass();
}

SlabClass ItemAllocator::ChunkClassFor(uint64_t value_bytes) const {
  const SlabClass fits = arena_.ClassFor(sizeof(ValueChunk) + value_bytes);
  return fits != kNoSlabClass ? fits : arena_.LargestClass();
}

Position ItemAllocator::New(std::string_view key, ItemPrefix prefix, uint32_t value_bytes,
                            SlabClass* short_of, Position* spare) {
  TERRACED_DCHECK(Fits(key.size(), prefix.client_flags, value_bytes));
  const uint64_t total = TotalBytes(key.size(), prefix, value_bytes);
  const bool chunked = IsChunked(key.size(), prefix, value_bytes);
  const uint64_t head_bytes = chunked ? TotalBytes(key.size(), prefix, kChainBytes) : total;
  const SlabClass head_class = arena_.ClassFor(head_bytes);
  const Position position = TakeChunk(head_class, spare);
  if (position == kNoPosition) {
    *short_of = head_class;
    return kNoPosition;
  }
  Position first = kNoPosition;
  if (chunked) {
    first = NewChain(position, value_bytes, short_of);
    if (first == kNoPosition) {
      arena_.Free(position);
      return kNoPosition;
    }
  }
  Item* const item = arena_.ItemAt(position);
  item->key_length = static_cast<uint8_t>(key.size());
  item->next = kNoPosition;
  item->prev = kNoPosition;
  item->cas_low = 0;
  item->cas_middle = 0;
  item->cas_run = 0;
  item->exptime_s = 0;
  item->last_access_s = 0;
  item->value_high = prefix.whole_unique ? kWholeUnique : 0;
  item->Set((with_serials_ ? kItemHasSerial : 0U) |
            (prefix.client_flags != 0 ? kItemHasFlags : 0U) | (chunked ? kItemChunked : 0U));
  if (with_serials_) item->SetCleanSerial(0);
  if (prefix.client_flags != 0) item->SetClientFlags(prefix.client_flags);
  if (prefix.whole_unique) item->SetUniqueHigh(0);
  std::memcpy(item->AfterKey() - key.size(), key.data(), key.size());
  item->SetValueBytes(value_bytes);
  if (chunked) item->SetFirstChunk(first);
  return position;
}

// Built from the front; every chunk is complete before the next is asked for, so that FreeChain can
// undo it.
Position ItemAllocator::NewChain(Position head, uint32_t value_bytes, SlabClass* short_of) {
  Position first = kNoPosition;
  ValueChunk* last = nullptr;
  uint32_t left = value_bytes;
  while (left > 0) {
    const SlabClass slab_class = ChunkClassFor(left);
    const Position position = arena_.Allocate(slab_class);
    if (position == kNoPosition) {
      *short_of = slab_class;
      FreeChain(first);
      return kNoPosition;
    }
    ValueChunk* const chunk = arena_.ChunkAt(position);
    chunk->state.store(kItemAllocated | kItemValueChunk, std::memory_order_release);
    chunk->next = kNoPosition;
    chunk->head = head;
    chunk->used_bytes = std::min(left, CapacityOf(slab_class));
    left -= chunk->used_bytes;
    if (last == nullptr) {
      first = position;
    } else {
      last->next = position;
    }
    last = chunk;
  }
  return first;
}

void ItemAllocator::FreeChain(Position first) {
  while (first != kNoPosition) {
    const Position next = arena_.ChunkAt(first)->next;
    arena_.Free(first);
    first = next;
  }
}

void ItemAllocator::Free(Position position) {
  Item* const item = arena_.ItemAt(position);
  TERRACED_DCHECK(!item->Has(kItemLinked));
  TERRACED_DCHECK(!item->IsPinned());
  if (item->Has(kItemChunked)) FreeChain(item->FirstChunk());
  arena_.Free(position);
}

Position ItemAllocator::TakeChunk(SlabClass slab_class, Position* spare) {
  if (spare == nullptr || *spare == kNoPosition) return arena_.Allocate(slab_class);
  const Position position = std::exchange(*spare, kNoPosition);
  if (arena_.ClassOf(position) == slab_class) {
    arena_.Recycle(position);
    return position;
  }
  arena_.Free(position);
  return arena_.Allocate(slab_class);
}

void ItemAllocator::Retire(Position position, Position* spare) {
  Item* const item = arena_.ItemAt(position);
  TERRACED_DCHECK(!item->Has(kItemLinked));
  if (!item->IsPinned()) {
    if (spare == nullptr || item->Has(kItemChunked) || arena_.IsLeaving(position)) {
      Free(position);
    } else {
      TERRACED_DCHECK(*spare == kNoPosition);
      *spare = position;
    }
    return;
  }
  const uint8_t pins = item->pins.fetch_or(kPinsRetired, std::memory_order_acq_rel);
  TERRACED_DCHECK((pins & kPinsRetired) == 0);
  if ((pins & kPinsMax) == 0) Free(position);
}

void ItemAllocator::ValuePieces(const Item& item, std::vector<std::span<char>>* pieces) const {
  pieces->clear();
  if (!item.Has(kItemChunked)) {
    pieces->emplace_back(const_cast<Item&>(item).AfterKey(), item.ValueBytes());
    return;
  }
  for (Position at = item.FirstChunk(); at != kNoPosition; at = arena_.ChunkAt(at)->next) {
    ValueChunk* const chunk = arena_.ChunkAt(at);
    pieces->emplace_back(chunk->Data(), chunk->used_bytes);
  }
}

void ItemAllocator::CopyValue(const Item& item, char* to) const {
  if (!item.Has(kItemChunked)) {
    std::memcpy(to, item.AfterKey(), item.ValueBytes());
    return;
  }
  for (Position at = item.FirstChunk(); at != kNoPosition; at = arena_.ChunkAt(at)->next) {
    const ValueChunk* const chunk = arena_.ChunkAt(at);
    std::memcpy(to, chunk->Data(), chunk->used_bytes);
    to += chunk->used_bytes;
  }
}

uint64_t ItemAllocator::FootprintBytes(const Item& item) const {
  uint64_t bytes = arena_.ChunkBytes(arena_.ClassOf(arena_.PositionOf(&item)));
  if (!item.Has(kItemChunked)) return bytes;
  const uint32_t capacity_max = CapacityOf(arena_.LargestClass());
  bytes += uint64_t{item.ValueBytes() / capacity_max} * chunk_bytes_max_;
  const uint32_t rest = item.ValueBytes() % capacity_max;
  if (rest > 0) bytes += arena_.ChunkBytes(ChunkClassFor(rest));
  return bytes;
}

// --- ItemRef -----------------------------------------------------------------------------------

ItemRef::ItemRef(ItemAllocator& allocator, Position position)
    : allocator_(&allocator), position_(position) {
  Item* const item = allocator.Arena().ItemAt(position);
  TERRACED_DCHECK(item->Has(kItemLinked));
  const uint8_t pins = item->pins.fetch_add(1, std::memory_order_relaxed);
  TERRACED_CHECK((pins & ~kPinsGeneration) < kPinsMax);  // also: not retired
}

ItemRef::ItemRef(ItemRef&& other) noexcept
    : allocator_(std::exchange(other.allocator_, nullptr)),
      position_(std::exchange(other.position_, kNoPosition)) {}

ItemRef& ItemRef::operator=(ItemRef&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  allocator_ = std::exchange(other.allocator_, nullptr);
  position_ = std::exchange(other.position_, kNoPosition);
  return *this;
}

void ItemRef::Reset() {
  if (allocator_ == nullptr) return;
  ItemAllocator* const allocator = std::exchange(allocator_, nullptr);
  const Position position = std::exchange(position_, kNoPosition);
  Item* const item = allocator->Arena().ItemAt(position);
  const uint8_t pins = item->pins.fetch_sub(1, std::memory_order_acq_rel);
  TERRACED_DCHECK((pins & kPinsMax) != 0);
  if ((pins & ~kPinsGeneration) == (kPinsRetired | 1U)) allocator->Free(position);
}

bool ItemRef::CanPin(const ItemAllocator& allocator, const Item& item) {
  // Pages that are being adopted hold nothing of ours but what is linked.
  return !allocator.Arena().Adopting() &&
         (item.pins.load(std::memory_order_relaxed) & kPinsMax) < kPinsMax;
}

}  // namespace terraced::storage
