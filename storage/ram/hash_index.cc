#include "storage/ram/hash_index.h"

#include <algorithm>
#include <utility>

#include "storage/base/kill_point.h"

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
  if (offsets_ != nullptr) {
    offsets_[segment].store(memory_.OffsetOf(memory), std::memory_order_release);
  }
}

bool HashIndex::BucketArray::TakeOver(uint64_t count, const SlabArena& arena) {
  for (int segment = 0; segment < kSegments && (segment == 0 || FirstOf(segment) < count);
       ++segment) {
    if (count == 0) break;
    const uint64_t offset = offsets_[segment].load(std::memory_order_relaxed);
    if (!arena.HoldsIndexes(offset, SizeOf(segment) * sizeof(Bucket))) return false;
    auto* const first = reinterpret_cast<Bucket*>(arena.File()->Memory() + offset);
    segments_[static_cast<size_t>(segment)].store(first, std::memory_order_release);
  }
  return true;
}

void HashIndex::BucketArray::Forget() {
  for (size_t segment = 0; segment < segments_.size(); ++segment) {
    segments_[segment].store(nullptr, std::memory_order_relaxed);
    if (offsets_ != nullptr) offsets_[segment].store(0, std::memory_order_release);
  }
}

// --- Lookups -----------------------------------------------------------------------------------

HashIndex::HashIndex(const SlabArena& arena, uint32_t shard)
    : arena_(arena),
      root_(arena.File() != nullptr ? &arena.File()->IndexRoot(shard) : nullptr),
      buckets_(arena.MemoryForIndexes(), root_ != nullptr ? root_->buckets.data() : nullptr),
      overflow_(arena.MemoryForIndexes(), root_ != nullptr ? root_->overflow.data() : nullptr) {
  static_assert(BucketArray::kSegments == ArenaIndexRoot::kSegments);
  if (root_ != nullptr && arena.File()->IsLeft() && TakeOver(*root_)) {
    Repair();
    return;
  }
  if (root_ != nullptr) {
    buckets_.Forget();
    overflow_.Forget();
    root_->overflow_count.store(0, std::memory_order_relaxed);
    SetBucketCount(BucketCount());
  }
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

template <typename Predicate>
uint64_t HashIndex::RemoveWhere(Bucket& first, const Predicate& goes) {
  uint64_t removed = 0;
  Bucket* at = &first;
  uint32_t slot = 0;
  while (at != nullptr) {
    const Word word = Load(*at, slot);
    const bool item = PositionIn(word) != kNoPosition;
    if (item && goes(word)) {
      RemoveAt(first,
               {at, slot});  // may give up the chain's last bucket, even this one: begin again
      ++removed;
      at = &first;
      slot = 0;
    } else if (item && slot + 1 < kSlots) {
      ++slot;
    } else {
      at = NextOf(*at);
      slot = 0;
    }
  }
  return removed;
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
  if (root_ != nullptr) root_->overflow_count.store(overflow_count_ + 1, std::memory_order_release);
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
  HotKillPoint(KillPoint::kHashSplit);
  // From here on lookups go to the new bucket; the old copies go.
  SetBucketCount(to_number + 1);
  RemoveWhere(from, [leaves](Word word) { return (word & leaves) != 0; });
}

// --- After another process ---------------------------------------------------------------------

void HashIndex::SetBucketCount(uint64_t count) {
  bucket_count_.store(count, std::memory_order_relaxed);
  if (root_ != nullptr) root_->bucket_count.store(count, std::memory_order_release);
}

bool HashIndex::TakeOver(const ArenaIndexRoot& root) {
  const uint64_t count = root.bucket_count.load(std::memory_order_relaxed);
  const uint64_t overflow_count = root.overflow_count.load(std::memory_order_relaxed);
  if (count < BucketCount() || count > UINT32_MAX || overflow_count > UINT32_MAX) return false;
  if (!buckets_.TakeOver(count, arena_) || !overflow_.TakeOver(overflow_count, arena_)) {
    return false;
  }
  bucket_count_.store(count, std::memory_order_relaxed);
  bucket_goal_ = count;
  overflow_count_ = overflow_count;
  return true;
}

void HashIndex::Repair() {
  // Where a split had begun to put words.
  if (Bucket* const next = buckets_.Peek(BucketCount())) {
    for (uint32_t slot = 0; slot < kSlots; ++slot) Store(*next, slot, 0);
  }
  std::vector<bool> overflow_seen(overflow_count_, false);
  for (uint64_t number = 0; number < BucketCount(); ++number) RepairChain(number, &overflow_seen);
  for (uint64_t number = 0; number < overflow_count_; ++number) {
    if (overflow_seen[number]) continue;
    Bucket& bucket = overflow_.At(number);
    for (uint32_t slot = 1; slot < kSlots; ++slot) Store(bucket, slot, 0);
    FreeOverflow(number);
  }
}

// The words that belong here are gathered and put in again. Nobody else looks, and a kill meanwhile is repaired like
// any other: at worst a word is not there, which is a miss.
void HashIndex::RepairChain(uint64_t number, std::vector<bool>* overflow_seen) {
  std::vector<Word> words;
  std::vector<uint64_t> chain;
  bool broken = false;
  Bucket* at = &buckets_.At(number);
  while (at != nullptr) {
    bool ended = false;
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      const Word word = Load(*at, slot);
      if (word == 0 || IsLink(word)) {
        broken = broken || (IsLink(word) && slot + 1 < kSlots);
        ended = ended || word == 0;
        continue;
      }
      const bool known = std::find(words.begin(), words.end(), word) != words.end();
      const bool good = !ended && !known && BelongsTo(word, number);
      if (good) words.push_back(word);
      broken = broken || !good;
    }
    const Word last = Load(*at, kSlots - 1);
    const uint64_t next = IsLink(last) ? (last >> 32) - 1 : overflow_count_;
    if (IsLink(last) && (next >= overflow_count_ || (*overflow_seen)[next])) broken = true;
    at = nullptr;
    if (next < overflow_count_ && !(*overflow_seen)[next]) {
      (*overflow_seen)[next] = true;
      chain.push_back(next);
      at = &overflow_.At(next);
    }
  }
  count_ += words.size();
  if (!broken) return;
  Bucket& first = buckets_.At(number);
  // What was this chain's is nobody's now, and is found as that once all chains have been seen; so new ones are taken.
  for (const uint64_t overflow : chain) (*overflow_seen)[overflow] = false;
  for (uint32_t slot = 0; slot < kSlots; ++slot) Store(first, slot, 0);
  for (const Word word : words) {
    Append(first, word);
    overflow_seen->resize(overflow_count_, true);
  }
}

// A split meanwhile moves words to a bucket that is still to come.
bool HashIndex::EraseStrays(uint64_t* cursor, uint32_t buckets,
                            const std::function<bool(uint32_t bits, Position)>& is_good) {
  for (; buckets > 0 && *cursor < BucketCount(); --buckets, ++*cursor) {
    count_ -= RemoveWhere(buckets_.At(*cursor), [&is_good](Word word) {
      return !is_good(static_cast<uint32_t>(word >> 32), PositionIn(word));
    });
  }
  return *cursor < BucketCount();
}

bool HashIndex::RootsAgree(const ArenaFile& file) {
  std::vector<std::pair<uint64_t, uint64_t>> extents;  // begin, end
  for (uint32_t shard = 0; shard < kArenaShards; ++shard) {
    const ArenaIndexRoot& root = file.IndexRoot(shard);
    for (int segment = 0; segment < BucketArray::kSegments; ++segment) {
      const uint64_t bytes = BucketArray::SizeOf(segment) * sizeof(Bucket);
      for (const auto* offsets : {&root.buckets, &root.overflow}) {
        const uint64_t begin = (*offsets)[static_cast<size_t>(segment)].load();
        if (begin != 0) extents.emplace_back(begin, begin + bytes);
      }
    }
  }
  std::sort(extents.begin(), extents.end());
  for (size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].first < extents[i - 1].second) return false;
  }
  return true;
}

bool HashIndex::BelongsTo(Word word, uint64_t number) const {
  // The lowest bits of the hash are not in the word, but never change with a split.
  const uint64_t low_bits = number & ((1U << kFirstBucketBits) - 1);
  return BucketOf((word >> 32) << kFirstBucketBits | low_bits) == number &&
         arena_.IsChunk(PositionIn(word));
}

}  // namespace terraced::storage
