#include "storage/ram/ram_tier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/hash.h"

namespace terraced::storage {
namespace {

constexpr uint8_t kShard = 0xa7;
constexpr uint8_t kEpoch = 0x42;
constexpr std::array<LruSegment, kLruSegments> kSegments = {LruSegment::kHot, LruSegment::kWarm,
                                                            LruSegment::kCold, LruSegment::kTemp};

class RamTierTest : public testing::Test {
 protected:
  static SlabOptions Options() {
    SlabOptions options;
    options.limit_bytes = 32ULL * kSlabPageBytes;
    options.slab_chunk_bytes_max = 64U << 10;
    return options;
  }

  RamTierTest()
      : arena_(std::move(SlabArena::Create(Options())).value()),
        allocator_(*arena_, Options().item_bytes_max, true),
        tier_(allocator_, kShard) {}

  static uint64_t HashOf(std::string_view key) { return HashBytes(key, HashKey{{1, 2, 3, 4}}); }
  static std::string ValueOf(std::string_view key, uint32_t bytes) {
    std::string value;
    while (value.size() < bytes) value += key;
    value.resize(bytes);
    return value;
  }
  Position Draft(std::string_view key, uint32_t value_bytes, ItemPrefix prefix = 0) {
    SlabClass short_of = kNoSlabClass;
    const Position position = allocator_.New(key, prefix, value_bytes, &short_of);
    TERRACED_CHECK(position != kNoPosition);
    const std::string value = ValueOf(key, value_bytes);
    std::vector<std::span<char>> pieces;
    allocator_.ValuePieces(*arena_->ItemAt(position), &pieces);
    size_t at = 0;
    for (const std::span<char> piece : pieces) at += value.copy(piece.data(), piece.size(), at);
    return position;
  }
  Item* LinkNew(std::string_view key, uint32_t value_bytes, LruSegment segment = LruSegment::kHot,
                ItemPrefix prefix = 0) {
    const Position position = Draft(key, value_bytes, prefix);
    tier_.Link(position, HashOf(key), segment, kEpoch);
    return arena_->ItemAt(position);
  }
  std::string Value(const Item& item) const {
    std::string value(item.ValueBytes(), '\0');
    allocator_.CopyValue(item, value.data());
    return value;
  }
  // From the tail to the head, and checked against the links the other way round.
  std::vector<std::string> Keys(SlabClass slab_class, LruSegment segment) const {
    const LruList& list = tier_.List(slab_class, segment);
    std::vector<std::string> keys;
    uint64_t bytes = 0;
    Position after = kNoPosition;
    for (Position at = tier_.Before(slab_class, segment, kNoPosition); at != kNoPosition;
         at = tier_.Before(slab_class, segment, at)) {
      const Item& item = *arena_->ItemAt(at);
      EXPECT_EQ(item.next, after);
      EXPECT_EQ(item.Segment(), segment);
      keys.emplace_back(item.Key());
      bytes += ItemAllocator::RequestedBytes(item);
      after = at;
    }
    EXPECT_EQ(list.head, after);
    EXPECT_EQ(list.count, keys.size());
    EXPECT_EQ(list.bytes, bytes);
    return keys;
  }
  uint64_t UsedChunks() const {
    uint64_t used = 0;
    for (const SlabClassStats& stats : arena_->Stats()) used += stats.used_chunks;
    return used;
  }

  std::unique_ptr<SlabArena> arena_;
  ItemAllocator allocator_;
  RamTier tier_;
};

TEST_F(RamTierTest, ALinkedItemIsFoundAndSaysWhereItBelongs) {
  const Position draft = Draft("key", 10, 77);
  arena_->ItemAt(draft)->Set(kItemFetched | kItemStale);
  tier_.Link(draft, HashOf("key"), LruSegment::kCold, kEpoch);
  Item* const item = tier_.Find(HashOf("key"), "key");
  ASSERT_EQ(item, arena_->ItemAt(draft));
  EXPECT_TRUE(item->Has(kItemAllocated | kItemLinked | kItemFetched | kItemStale | kItemHasFlags));
  EXPECT_EQ(item->Shard(), kShard);
  EXPECT_EQ(item->Epoch(), kEpoch);
  EXPECT_EQ(item->Segment(), LruSegment::kCold);
  EXPECT_TRUE(tier_.IsLinked(HashOf("key"), draft));
  EXPECT_EQ(tier_.ItemCount(), 1U);
  EXPECT_EQ(tier_.ItemBytes(), kItemHeaderBytes + 4 + 4 + 3 + 10);
  EXPECT_EQ(tier_.List(allocator_.ListClass(*item), LruSegment::kCold).bytes,
            kItemHeaderBytes + 4 + 4 + 3 + 10);
  tier_.Unlink(item, HashOf("key"));
  EXPECT_EQ(tier_.Find(HashOf("key"), "key"), nullptr);
  EXPECT_FALSE(tier_.IsLinked(HashOf("key"), draft));
  EXPECT_EQ(tier_.ItemCount(), 0U);
  EXPECT_EQ(tier_.ItemBytes(), 0U);
  EXPECT_EQ(UsedChunks(), 0U);
}

TEST_F(RamTierTest, ReplacingChangesClassSegmentAndEpoch) {
  Item* const old = LinkNew("key", 10);
  const SlabClass old_class = allocator_.ListClass(*old);
  const Position draft = Draft("key", 1'000);
  tier_.ReplaceItem(old, draft, HashOf("key"), LruSegment::kTemp, kEpoch + 1);
  Item* const item = tier_.Find(HashOf("key"), "key");
  ASSERT_EQ(item, arena_->ItemAt(draft));
  EXPECT_EQ(item->Epoch(), kEpoch + 1);
  EXPECT_EQ(item->Segment(), LruSegment::kTemp);
  EXPECT_NE(allocator_.ListClass(*item), old_class);
  EXPECT_TRUE(Keys(old_class, LruSegment::kHot).empty());
  EXPECT_EQ(Keys(allocator_.ListClass(*item), LruSegment::kTemp).size(), 1U);
  EXPECT_EQ(tier_.ItemCount(), 1U);
  EXPECT_EQ(tier_.ItemBytes(), kItemHeaderBytes + 4 + 3 + 1'000);
  EXPECT_EQ(UsedChunks(), 1U);
}

TEST_F(RamTierTest, OverwritingKeepsChunkAndPlace) {
  LinkNew("above", 10, LruSegment::kCold);
  Item* const old = LinkNew("key", 10, LruSegment::kCold);
  LinkNew("below", 10, LruSegment::kCold);
  old->Set(kItemFetched | kItemClean | kItemStale);
  old->SetCleanSerial(7);
  const Position draft = Draft("key", 12, 77);
  Item* const fresh = arena_->ItemAt(draft);
  allocator_.Uniques().Set(fresh, 5);
  fresh->exptime_s = 6;
  fresh->last_access_s = 8;
  const uint64_t bytes = tier_.ItemBytes();
  ASSERT_EQ(allocator_.ListClass(*fresh), allocator_.ListClass(*old));
  ASSERT_TRUE(tier_.Overwrite(old, draft, kEpoch + 1));
  ASSERT_EQ(tier_.Find(HashOf("key"), "key"), old);
  EXPECT_EQ(Value(*old), ValueOf("key", 12));
  EXPECT_EQ(old->ClientFlags(), 77U);
  EXPECT_EQ(allocator_.Uniques().Unique(*old), 5U);
  EXPECT_EQ(old->exptime_s, 6U);
  EXPECT_EQ(old->last_access_s, 8U);
  EXPECT_EQ(old->Epoch(), kEpoch + 1);
  EXPECT_EQ(old->Shard(), kShard);
  EXPECT_TRUE(old->Has(kItemAllocated | kItemLinked | kItemActive | kItemHasFlags));
  EXPECT_EQ(old->Bits() & (kItemFetched | kItemClean | kItemStale), 0U);
  EXPECT_EQ(old->CleanSerial(), 7U);  // a batch that it was cancelled in still knows it
  EXPECT_EQ(Keys(allocator_.ListClass(*old), LruSegment::kCold),
            (std::vector<std::string>{"above", "key", "below"}));
  EXPECT_EQ(tier_.ItemBytes(), bytes + 2 + 4);
  EXPECT_EQ(UsedChunks(), 3U);  // the draft's went back
}

// Both ways, in the same chunk.
TEST_F(RamTierTest, OverwritingChangesHowTheUniqueIsHeld) {
  Item* const item = LinkNew("key", 10);
  for (const bool whole : {true, false}) {
    const Position draft = Draft("key", 10, {0, whole});
    const uint64_t unique = whole ? 0xffee'ddcc'bbaa'9988 : 99;
    allocator_.Uniques().Set(arena_->ItemAt(draft), unique);
    ASSERT_TRUE(tier_.Overwrite(item, draft, kEpoch));
    ASSERT_EQ(tier_.Find(HashOf("key"), "key"), item);
    EXPECT_EQ(item->HasWholeUnique(), whole);
    EXPECT_EQ(allocator_.Uniques().Unique(*item), unique);
    EXPECT_EQ(Value(*item), ValueOf("key", 10));
    EXPECT_EQ(tier_.ItemBytes(), kItemHeaderBytes + 4 + (whole ? 4 : 0) + 3 + 10);
  }
}

TEST_F(RamTierTest, OverwritingInHotIsNoSecondAccess) {
  Item* const old = LinkNew("key", 10, LruSegment::kHot);
  Position spare = kNoPosition;
  const Position draft = Draft("key", 10);
  ASSERT_TRUE(tier_.Overwrite(old, draft, kEpoch, &spare));
  EXPECT_FALSE(old->Has(kItemActive));
  EXPECT_EQ(spare, draft);
  EXPECT_EQ(UsedChunks(), 2U);
  arena_->Free(spare);
}

TEST_F(RamTierTest, NothingIsOverwrittenThatSomebodyNeedsAsItIs) {
  const auto refuses = [this](Item* old, uint32_t value_bytes) {
    const uint32_t bits = old->Bits();
    const std::string value = Value(*old);
    const Position draft = Draft(old->Key(), value_bytes);
    const bool overwritten = tier_.Overwrite(old, draft, kEpoch + 1);
    EXPECT_EQ(old->Bits(), bits);
    EXPECT_EQ(Value(*old), value);
    if (!overwritten) allocator_.Free(draft);
    return !overwritten;
  };
  EXPECT_TRUE(refuses(LinkNew("another class", 10), 1'000));
  EXPECT_TRUE(refuses(LinkNew("chunked", 200'000), 200'000));
  EXPECT_TRUE(refuses(LinkNew("becomes chunked", 60'000), 200'000));
  Item* const pinned = LinkNew("pinned", 10);
  const ItemRef ref(allocator_, arena_->PositionOf(pinned));
  EXPECT_TRUE(refuses(pinned, 10));
  Item* const in_batch = LinkNew("in a batch", 10);
  in_batch->Set(kItemInBatch);
  EXPECT_TRUE(refuses(in_batch, 10));
}

TEST_F(RamTierTest, APinnedItemOutlivesItsReplacement) {
  Item* const old = LinkNew("key", 100'000);
  const ItemRef ref(allocator_, arena_->PositionOf(old));
  tier_.ReplaceItem(old, Draft("key", 5), HashOf("key"), LruSegment::kHot, kEpoch);
  EXPECT_FALSE(old->Has(kItemLinked));
  EXPECT_EQ(Value(*ref), ValueOf("key", 100'000));
  EXPECT_EQ(Value(*tier_.Find(HashOf("key"), "key")), ValueOf("key", 5));
}

TEST_F(RamTierTest, ChunksOfALinkedChainNameShardAndHead) {
  Item* const item = LinkNew("key", 200'000);
  const Position position = arena_->PositionOf(item);
  std::vector<Position> chain;
  for (Position at = item->FirstChunk(); at != kNoPosition; at = arena_->ChunkAt(at)->next) {
    const uint32_t bits = arena_->ChunkAt(at)->state.load();
    EXPECT_EQ(bits & 0xffffU, kItemAllocated | kItemValueChunk | kItemLinked);
    EXPECT_EQ(static_cast<uint8_t>(bits >> kItemShardShift), kShard);
    EXPECT_EQ(arena_->ChunkAt(at)->head, position);
    chain.push_back(at);
  }
  EXPECT_EQ(chain.size(), 4U);
  EXPECT_EQ(tier_.List(arena_->LargestClass(), LruSegment::kHot).count, 1U);
  const ItemRef ref(allocator_, position);
  tier_.Unlink(item, HashOf("key"));
  for (const Position at : chain) {
    EXPECT_EQ(arena_->ChunkAt(at)->state.load(), kItemAllocated | kItemValueChunk);
  }
}

TEST_F(RamTierTest, ListsKeepTheOrderOfAReferenceModel) {
  std::mt19937 random(5);
  const std::vector<uint32_t> sizes = {10, 300, 2'000, 150'000};
  using ListKey = std::pair<SlabClass, LruSegment>;
  std::map<ListKey, std::list<std::string>> reference;  // front is the head
  std::map<std::string, ListKey> where;
  for (int step = 0; step < 6'000; ++step) {
    const std::string key = "key" + std::to_string(random() % 150);
    const LruSegment segment = kSegments[random() % kSegments.size()];
    const auto found = where.find(key);
    Item* const item = tier_.Find(HashOf(key), key);
    ASSERT_EQ(item != nullptr, found != where.end());
    if (item != nullptr) reference[found->second].remove(key);
    const uint32_t action = random() % 4;
    if (item != nullptr && action == 0) {
      tier_.Unlink(item, HashOf(key));
      where.erase(key);
      continue;
    }
    if (item != nullptr && action == 1) {
      tier_.MoveTo(item, segment);
    } else {
      const Position draft = Draft(key, sizes[random() % sizes.size()]);
      if (item == nullptr) {
        tier_.Link(draft, HashOf(key), segment, kEpoch);
      } else {
        tier_.ReplaceItem(item, draft, HashOf(key), segment, kEpoch);
      }
    }
    const ListKey list{allocator_.ListClass(*tier_.Find(HashOf(key), key)), segment};
    reference[list].push_front(key);
    where[key] = list;
  }
  for (const auto& [list, keys] : reference) {
    EXPECT_EQ(Keys(list.first, list.second), std::vector<std::string>(keys.rbegin(), keys.rend()));
  }
  uint64_t bytes = 0;
  uint64_t cursor = 0;
  while (tier_.Index().Walk(&cursor, 16, [&](Position position) {
    bytes += ItemAllocator::RequestedBytes(*arena_->ItemAt(position));
  })) {
  }
  EXPECT_EQ(tier_.ItemBytes(), bytes);
  EXPECT_EQ(tier_.ItemCount(), where.size());
}

TEST_F(RamTierTest, ARelocatedItemIsTheSameInTheSamePlace) {
  for (const uint32_t value_bytes : {50U, 200'000U}) {
    Item* const first = LinkNew("first", value_bytes);
    Item* const middle = LinkNew("middle", value_bytes, LruSegment::kHot, {0, true});
    LinkNew("last", value_bytes);
    constexpr uint64_t kUnique = 0x0123'4567'89ab'cdef;
    allocator_.Uniques().Set(middle, kUnique);
    middle->exptime_s = 1'234;
    middle->last_access_s = 1'200;
    middle->SetCleanSerial(17);
    middle->Set(kItemClean | kItemFetched);
    const uint32_t bits = middle->Bits();
    const SlabClass lists = allocator_.ListClass(*middle);
    const std::vector<std::string> order = {"first", "middle", "last"};
    EXPECT_EQ(Keys(lists, LruSegment::kHot), order);
    const uint64_t chunks = UsedChunks();
    for (const char* const key : {"middle", "first", "last"}) {
      Item* const item = tier_.Find(HashOf(key), key);
      const Position from = arena_->PositionOf(item);
      const Position to = arena_->Allocate(arena_->ClassOf(from));
      tier_.Relocate(item, to, HashOf(key));
      ASSERT_EQ(tier_.Find(HashOf(key), key), arena_->ItemAt(to));
      EXPECT_EQ(Value(*arena_->ItemAt(to)), ValueOf(key, value_bytes));
      EXPECT_EQ(arena_->ItemAt(from)->Bits(), 0U);
      EXPECT_EQ(Keys(lists, LruSegment::kHot), order);
    }
    const Item* const moved = tier_.Find(HashOf("middle"), "middle");
    EXPECT_EQ(moved->Bits(), bits);
    EXPECT_EQ(allocator_.Uniques().Unique(*moved), kUnique);
    EXPECT_EQ(moved->exptime_s, 1'234U);
    EXPECT_EQ(moved->last_access_s, 1'200U);
    EXPECT_EQ(moved->CleanSerial(), 17U);
    EXPECT_EQ(UsedChunks(), chunks);
    EXPECT_NE(tier_.Find(HashOf("first"), "first"), first);
    for (const std::string& key : order) tier_.Unlink(tier_.Find(HashOf(key), key), HashOf(key));
    EXPECT_EQ(UsedChunks(), 0U);
  }
}

// The whole of a page move as the slab mover does it: every live chunk of the leaving page, heads
// and ValueChunks alike, goes elsewhere in its class, and all values are the same afterwards.
TEST_F(RamTierTest, AFullPageIsEmptiedItemByItem) {
  std::mt19937 random(21);
  std::map<std::string, uint32_t> live;
  for (int i = 0; i < 60; ++i) {
    const std::string key = "large" + std::to_string(i);
    live[key] = static_cast<uint32_t>(100'000 + random() % 100'000);
    LinkNew(key, live[key], kSegments[random() % kSegments.size()]);
  }
  for (int i = 0; i < 20; ++i) {
    const std::string key = "large" + std::to_string(random() % 60);
    if (live.erase(key) > 0) tier_.Unlink(tier_.Find(HashOf(key), key), HashOf(key));
  }
  const SlabClass largest = arena_->LargestClass();
  for (int page = 0; page < 3; ++page) {
    ASSERT_TRUE(arena_->BeginPageMove(largest).ok());
    for (const Position from : arena_->LeavingChunks()) {
      const uint32_t bits = arena_->ItemAt(from)->Bits();
      ASSERT_NE(bits & kItemLinked, 0U);
      const Position to = arena_->Allocate(largest);
      ASSERT_NE(to, kNoPosition);
      ASSERT_NE(bits & kItemValueChunk, 0U);  // an item of this class would do for Relocate
      tier_.RelocateValueChunk(arena_->ItemAt(arena_->ChunkAt(from)->head), from, to);
    }
    ASSERT_TRUE(arena_->FinishPageMove(1));
  }
  // Pages of the smallest class hold the heads.
  ASSERT_TRUE(arena_->BeginPageMove(1).ok());
  for (const Position from : arena_->LeavingChunks()) {
    Item* const item = arena_->ItemAt(from);
    tier_.Relocate(item, arena_->Allocate(1), HashOf(std::string(item->Key())));
  }
  ASSERT_TRUE(arena_->FinishPageMove(kNoSlabClass));
  EXPECT_EQ(tier_.ItemCount(), live.size());
  for (const auto& [key, bytes] : live) {
    const Item* const item = tier_.Find(HashOf(key), key);
    ASSERT_NE(item, nullptr);
    EXPECT_TRUE(Value(*item) == ValueOf(key, bytes));
  }
  for (const LruSegment segment : kSegments) Keys(largest, segment);
  for (const auto& [key, bytes] : live) tier_.Unlink(tier_.Find(HashOf(key), key), HashOf(key));
  EXPECT_EQ(UsedChunks(), 0U);
}

}  // namespace
}  // namespace terraced::storage
