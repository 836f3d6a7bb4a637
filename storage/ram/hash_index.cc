#include "storage/ram/hash_index.h"

namespace terraced::storage {
namespace {

// More items per bucket than half of this begin a growth. Fuller buckets would save little memory
// and cost many lookups a third cache miss, in an overflow bucket.
constexpr uint64_t kTwiceItemsPerBucket = 13;
// So a growth by a quarter is through long before the items that it makes room for have come.
constexpr int kSplitsPerInsert = 2;

}  // namespace

// --- BucketArray -------------------------------------------------------------------------------

void HashIndex::BucketArray::MakeRoomFor(uint64_t number) {
  const int segment = SegmentOf(number);
  std::atomic<Bucket*>& place = segments_[static_cast<size_t>(segment)];
  if (place.load(std::memory_order_relaxed) != nullptr) return;
  void* const memory = memory_.Take(SizeOf(segment) * sizeof(Bucket));
  place.store(static_cast<Bucket*>(memory), std::memory_order_release);
}

// --- Lookups -----------------------------------------------------------------------------------

HashIndex::HashIndex(const SlabArena& arena)
    : arena_(arena), buckets_(arena.IndexMemory()), overflow_(arena.IndexMemory()) {
  buckets_.MakeRoomFor(0);
}

Position HashIndex::Find(uint64_t hash, std::string_view key) const {
  const Word tag = MakeWord(hash, kNoPosition);
  for (const Bucket* at = &buckets_.At(BucketOf(hash)); at != nullptr; at = NextOf(*at)) {
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      const Word word = Load(*at, slot);
      if (word == 0) return kNoPosition;
      if ((word ^ tag) >> 32 != 0 || IsLink(word)) continue;
      const Position position = PositionIn(word);
      if (arena_.ItemAt(position)->Key() == key) return position;
    }
  }
  return kNoPosition;
}

Position HashIndex::Hint(uint64_t hash) const {
  const Bucket* const bucket = buckets_.Peek(BucketOf(hash));
  if (bucket == nullptr) return kNoPosition;
  const Word tag = MakeWord(hash, kNoPosition);
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    const Word word = Load(*bucket, slot);
    if ((word ^ tag) >> 32 == 0 && PositionIn(word) != kNoPosition) return PositionIn(word);
  }
  return kNoPosition;
}

HashIndex::Place HashIndex::FindWord(uint64_t hash, Word word) const {
  for (Bucket* at = &buckets_.At(BucketOf(hash)); at != nullptr; at = NextOf(*at)) {
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      if (Load(*at, slot) == word) return {at, slot};
    }
  }
  return {};
}

bool HashIndex::Contains(uint64_t hash, Position position) const {
  TERRACED_DCHECK(position != kNoPosition);
  return FindWord(hash, MakeWord(hash, position)).bucket != nullptr;
}

uint64_t HashIndex::MemoryBytes() const {
  return sizeof(*this) + (BucketCount() + overflow_count_) * sizeof(Bucket);
}

// --- Changes -----------------------------------------------------------------------------------
// Every change of a slot is a single store, in an order that never hides an item from a reader of
// the memory that a killed process leaves behind; at worst a slot is there twice.

uint32_t HashIndex::ItemsIn(const Bucket& bucket) {
  uint32_t items = 0;
  while (items < kSlots && PositionIn(Load(bucket, items)) != kNoPosition) ++items;
  return items;
}

void HashIndex::Insert(uint64_t hash, Position position) {
  TERRACED_DCHECK(position != kNoPosition);
  TERRACED_DCHECK(!Contains(hash, position));
  Append(buckets_.At(BucketOf(hash)), MakeWord(hash, position));
  ++count_;
  GrowALittle();
}

bool HashIndex::Erase(uint64_t hash, Position position) {
  const Place place = FindWord(hash, MakeWord(hash, position));
  if (place.bucket == nullptr) return false;
  RemoveAt(buckets_.At(BucketOf(hash)), place);
  --count_;
  return true;
}

bool HashIndex::Replace(uint64_t hash, Position old_position, Position new_position) {
  TERRACED_DCHECK(new_position != kNoPosition);
  const Place place = FindWord(hash, MakeWord(hash, old_position));
  if (place.bucket == nullptr) return false;
  Store(*place.bucket, place.slot, MakeWord(hash, new_position));
  return true;
}

void HashIndex::Append(Bucket& first, Word word) {
  Bucket* last = &first;
  while (Bucket* const next = NextOf(*last)) last = next;
  const uint32_t items = ItemsIn(*last);
  if (items < kSlots) {
    Store(*last, items, word);
    return;
  }
  const uint64_t number = TakeOverflow();
  Bucket& overflow = overflow_.At(number);
  Store(overflow, 0, Load(*last, kSlots - 1));
  Store(overflow, 1, word);
  Store(*last, kSlots - 1, (number + 1) << 32);
}

// The last item of the chain fills the gap.
void HashIndex::RemoveAt(Bucket& first, Place place) {
  Bucket* parent = nullptr;
  Bucket* last = &first;
  while (Bucket* const next = NextOf(*last)) {
    parent = last;
    last = next;
  }
  const uint32_t items = ItemsIn(*last);
  TERRACED_DCHECK(items > 0);
  const Word moved = Load(*last, items - 1);
  Store(*place.bucket, place.slot, moved);  // the gap may be that very slot: it is cleared next
  Store(*last, items - 1, 0);
  if (parent == nullptr || items != 2) return;
  const Word link = Load(*parent, kSlots - 1);
  Store(*parent, kSlots - 1, Load(*last, 0));
  FreeOverflow((link >> 32) - 1);
}

uint64_t HashIndex::TakeOverflow() {
  if (overflow_free_ != 0) {
    const uint64_t number = overflow_free_ - 1;
    Bucket& bucket = overflow_.At(number);
    overflow_free_ = Load(bucket, 0);
    Store(bucket, 0, 0);
    return number;
  }
  overflow_.MakeRoomFor(overflow_count_);
  return overflow_count_++;
}

void HashIndex::FreeOverflow(uint64_t number) {
  Bucket& bucket = overflow_.At(number);
  TERRACED_DCHECK(Load(bucket, 1) == 0);
  Store(bucket, 0, overflow_free_);
  overflow_free_ = number + 1;
}

// --- Growth ------------------------------------------------------------------------------------

void HashIndex::GrowALittle() {
  if (!IsExpanding()) {
    if (2 * count_ <= kTwiceItemsPerBucket * BucketCount()) return;
    bucket_goal_ = BucketCount() + LevelSize(BucketCount()) / 4;
  }
  for (int i = 0; i < kSplitsPerInsert && IsExpanding(); ++i) SplitNextBucket();
}

void HashIndex::SplitNextBucket() {
  const uint64_t to_number = BucketCount();
  const uint64_t level_size = LevelSize(to_number);
  const uint64_t from_number = to_number - level_size;
  buckets_.MakeRoomFor(to_number);
  Bucket& from = buckets_.At(from_number);
  Bucket& to = buckets_.At(to_number);
  // The bucket number's next bit is this bit of the hash; in a word the hash's bit 3 is bit 32.
  const Word leaves = level_size << (32 - kFirstBucketBits);
  for (const Bucket* at = &from; at != nullptr; at = NextOf(*at)) {
    for (uint32_t slot = 0; slot < ItemsIn(*at); ++slot) {
      const Word word = Load(*at, slot);
      if ((word & leaves) != 0) Append(to, word);
    }
  }
  // From here on lookups go to the new bucket; the old copies go.
  bucket_count_.store(to_number + 1, std::memory_order_relaxed);
  Bucket* at = &from;
  uint32_t slot = 0;
  while (at != nullptr) {
    const Word word = Load(*at, slot);
    const bool item = PositionIn(word) != kNoPosition;
    if (item && (word & leaves) != 0) {
      RemoveAt(from,
               {at, slot});  // may give up the chain's last bucket, even this one: begin again
      at = &from;
      slot = 0;
    } else if (item && slot + 1 < kSlots) {
      ++slot;
    } else {
      at = NextOf(*at);
      slot = 0;
    }
  }
}

}  // namespace terraced::storage
