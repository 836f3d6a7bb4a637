#include "storage/ram/item_allocator.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "storage/ram/ram_tier.h"

namespace terraced::storage {
namespace {

class ItemAllocatorTest : public testing::Test {
 protected:
  // 64 KiB chunks at most, so that chains are long and cheap to try; pages enough for every class
  // to have a few, whatever sizes come first.
  static SlabOptions Options() {
    SlabOptions options;
    options.limit_bytes = 96ULL * kSlabPageBytes;
    options.slab_chunk_bytes_max = 64U << 10;
    options.item_bytes_max = 4U << 20;
    return options;
  }

  explicit ItemAllocatorTest(const SlabOptions& options = Options())
      : arena_(std::move(SlabArena::Create(options)).value()),
        allocator_(*arena_, options.item_bytes_max) {}

  Position New(std::string_view key, ItemPrefix prefix, uint32_t value_bytes) {
    SlabClass short_of = kNoSlabClass;
    return allocator_.New(key, prefix, value_bytes, &short_of);
  }
  Item* ItemAt(Position position) { return arena_->ItemAt(position); }
  uint64_t UsedChunks() const {
    uint64_t used = 0;
    for (const SlabClassStats& stats : arena_->Stats()) used += stats.used_chunks;
    return used;
  }
  uint64_t UsedBytes() const {
    uint64_t used = 0;
    for (const SlabClassStats& stats : arena_->Stats()) {
      used += uint64_t{stats.used_chunks} * stats.chunk_bytes;
    }
    return used;
  }

  std::unique_ptr<SlabArena> arena_;
  ItemAllocator allocator_;
};

std::string Pattern(size_t bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::string pattern(bytes, '\0');
  for (char& byte : pattern) byte = static_cast<char>(random());
  return pattern;
}

TEST_F(ItemAllocatorTest, ASpareChunkOfTheClassIsTakenFirst) {
  Position spare = New("old", 7, 20);
  const Position old = spare;
  ItemAt(old)->Set(kItemStale | kItemKeptOff);
  const uint32_t handed_out = arena_->HandedOut(arena_->ClassOf(old));
  SlabClass short_of = kNoSlabClass;
  const Position position = allocator_.New("new", 0, 22, &short_of, &spare);
  EXPECT_EQ(position, old);
  EXPECT_EQ(spare, kNoPosition);
  EXPECT_EQ(ItemAt(position)->Bits(), kItemAllocated);
  EXPECT_EQ(ItemAt(position)->Key(), "new");
  EXPECT_EQ(ItemAt(position)->ValueBytes(), 22U);
  EXPECT_EQ(arena_->HandedOut(arena_->ClassOf(old)), handed_out + 1);
  EXPECT_EQ(UsedChunks(), 1U);
  allocator_.Free(position);
}

TEST_F(ItemAllocatorTest, ASpareChunkOfAnotherClassGoesBack) {
  Position spare = New("old", 0, 20);
  SlabClass short_of = kNoSlabClass;
  const Position position = allocator_.New("new", 0, 2'000, &short_of, &spare);
  EXPECT_NE(position, kNoPosition);
  EXPECT_EQ(spare, kNoPosition);
  EXPECT_EQ(UsedChunks(), 1U);
  allocator_.Free(position);
}

TEST_F(ItemAllocatorTest, RetiringLeavesASpareOfWhatIsFreeAndWhole) {
  Position spare = kNoPosition;
  const Position small = New("small", 0, 20);
  allocator_.Retire(small, &spare);
  EXPECT_EQ(spare, small);
  EXPECT_EQ(UsedChunks(), 1U);
  arena_->Free(spare);
  spare = kNoPosition;
  allocator_.Retire(New("chunked", 0, 200'000), &spare);
  EXPECT_EQ(spare, kNoPosition);
  EXPECT_EQ(UsedChunks(), 0U);
  // Of a page that is leaving nothing is taken into use again.
  const Position first = New("first", 0, 20);
  const SlabClass slab_class = arena_->ClassOf(first);
  std::vector<Position> filling;
  while (arena_->Stats()[slab_class].total_pages < 2) filling.push_back(New("x", 0, 20));
  ASSERT_TRUE(arena_->BeginPageMove(slab_class).ok());
  const std::vector<Position> leaving = arena_->LeavingChunks();
  ASSERT_FALSE(leaving.empty());
  allocator_.Retire(leaving.front(), &spare);
  EXPECT_EQ(spare, kNoPosition);
  arena_->CancelPageMove();
  filling.push_back(first);
  for (const Position position : filling) {
    if (position != leaving.front()) allocator_.Free(position);
  }
  EXPECT_EQ(UsedChunks(), 0U);
}

TEST_F(ItemAllocatorTest, LaysOutKeyFlagsAndValueWithoutGaps) {
  const Position position = New("some_key", 0, 5);
  ASSERT_NE(position, kNoPosition);
  Item* const item = ItemAt(position);
  EXPECT_EQ(item->Bits(), kItemAllocated);
  EXPECT_EQ(item->Key(), "some_key");
  EXPECT_EQ(item->ClientFlags(), 0U);
  EXPECT_EQ(item->ValueBytes(), 5U);
  EXPECT_EQ(item->AfterKey(), item->Data() + 8);
  EXPECT_EQ(ItemAllocator::RequestedBytes(*item), kItemHeaderBytes + 8 + 5);

  const Position with_flags = New("some_key", 0xdeadbeef, 5);
  Item* const other = ItemAt(with_flags);
  EXPECT_EQ(other->Bits(), kItemAllocated | kItemHasFlags);
  EXPECT_EQ(other->Key(), "some_key");
  EXPECT_EQ(other->ClientFlags(), 0xdeadbeefU);
  EXPECT_EQ(ItemAllocator::RequestedBytes(*other), kItemHeaderBytes + 4 + 8 + 5);

  const Position with_unique = New("some_key", {0xdeadbeef, true}, 5);
  Item* const whole = ItemAt(with_unique);
  allocator_.Uniques().Set(whole, 0x0123'4567'89ab'cdef);
  EXPECT_EQ(whole->Bits(), kItemAllocated | kItemHasFlags);
  EXPECT_EQ(whole->Key(), "some_key");
  EXPECT_EQ(whole->ClientFlags(), 0xdeadbeefU);
  EXPECT_EQ(whole->ValueBytes(), 5U);
  EXPECT_EQ(whole->AfterKey(), whole->Data() + 4 + 4 + 8);
  EXPECT_EQ(allocator_.Uniques().Unique(*whole), 0x0123'4567'89ab'cdefU);
  EXPECT_EQ(ItemAllocator::RequestedBytes(*whole), kItemHeaderBytes + 4 + 4 + 8 + 5);
  allocator_.Free(position);
  allocator_.Free(with_flags);
  allocator_.Free(with_unique);
  EXPECT_EQ(UsedChunks(), 0U);
}

TEST_F(ItemAllocatorTest, AnUnchunkedValueIsOnePieceEvenWhenEmpty) {
  const Position position = New("k", 7, 0);
  std::vector<std::span<char>> pieces;
  allocator_.ValuePieces(*ItemAt(position), &pieces);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(pieces[0].size(), 0U);
  EXPECT_EQ(allocator_.Value(*ItemAt(position)), "");
  allocator_.Free(position);
}

TEST_F(ItemAllocatorTest, TheLimitCoversHeaderFlagsKeyAndValue) {
  const uint32_t limit = Options().item_bytes_max;
  const uint32_t value_max = limit - static_cast<uint32_t>(kItemHeaderBytes) - 10;
  EXPECT_TRUE(allocator_.Fits(10, 0, value_max));
  EXPECT_FALSE(allocator_.Fits(10, 0, value_max + 1));
  EXPECT_FALSE(allocator_.Fits(10, 1, value_max));
  EXPECT_FALSE(allocator_.Fits(11, 0, value_max));
  EXPECT_FALSE(allocator_.Fits(10, 0, UINT64_MAX));
}

// Every size around each boundary: of a class, of the largest chunk, of a chain's second and third
// chunk.
TEST_F(ItemAllocatorTest, ValuesOfEverySizeSurviveTheRoundTrip) {
  const std::string key = "round_trip_key";
  const uint32_t chunk_max = arena_->ChunkBytes(arena_->LargestClass());
  const uint32_t head = static_cast<uint32_t>(kItemHeaderBytes + key.size());
  const uint32_t capacity = chunk_max - static_cast<uint32_t>(sizeof(ValueChunk));
  std::vector<uint32_t> sizes = {0, 1, 2, 7, 8, 9, 100, 1000, 10'000};
  for (const uint32_t edge : {chunk_max - head, chunk_max, capacity, 2 * capacity, 3 * capacity,
                              3 * capacity + 64, 2U << 20, (4U << 20) - head - 4}) {
    for (uint32_t size = edge - 3; size <= edge + 3; ++size) {
      if (allocator_.Fits(key.size(), 9, size)) sizes.push_back(size);
    }
  }
  for (const uint32_t size : sizes) {
    for (const ItemPrefix prefix : {ItemPrefix{0}, ItemPrefix{9}, ItemPrefix{0, true}}) {
      const uint32_t client_flags = prefix.client_flags;
      const Position position = New(key, prefix, size);
      ASSERT_NE(position, kNoPosition) << size;
      const Item& item = *ItemAt(position);
      const std::string value = Pattern(size, size + client_flags);
      std::vector<std::span<char>> pieces;
      allocator_.ValuePieces(item, &pieces);
      size_t written = 0;
      for (const std::span<char> piece : pieces) {
        value.copy(piece.data(), piece.size(), written);
        written += piece.size();
      }
      ASSERT_EQ(written, size);
      EXPECT_EQ(item.Has(kItemChunked), head + prefix.Bytes() + size > chunk_max);
      EXPECT_EQ(item.Key(), key);
      EXPECT_EQ(item.ClientFlags(), client_flags);
      std::string read(size, '\0');
      allocator_.CopyValue(item, read.data());
      EXPECT_TRUE(read == value) << size;
      EXPECT_EQ(allocator_.FootprintBytes(item), UsedBytes()) << size;
      EXPECT_EQ(allocator_.ListClass(item), allocator_.ClassFor(key.size(), prefix, size));
      allocator_.Free(position);
      ASSERT_EQ(UsedChunks(), 0U) << size;
    }
  }
}

TEST_F(ItemAllocatorTest, AChainIsOfLargestChunksAndOneSmallRest) {
  const SlabClass largest = arena_->LargestClass();
  const uint32_t capacity = arena_->ChunkBytes(largest) - static_cast<uint32_t>(sizeof(ValueChunk));
  const Position position = New("key", 0, 2 * capacity + 50);
  std::vector<SlabClass> classes;
  for (Position at = ItemAt(position)->FirstChunk(); at != kNoPosition;
       at = arena_->ChunkAt(at)->next) {
    EXPECT_EQ(arena_->ChunkAt(at)->state.load(), kItemAllocated | kItemValueChunk);
    EXPECT_EQ(arena_->ChunkAt(at)->head, position);
    classes.push_back(arena_->ClassOf(at));
  }
  EXPECT_EQ(classes, (std::vector<SlabClass>{largest, largest, 1}));
  EXPECT_EQ(allocator_.ListClass(*ItemAt(position)), largest);
  EXPECT_EQ(arena_->ClassOf(position), 1);
  allocator_.Free(position);
}

TEST_F(ItemAllocatorTest, SaysWhichClassIsShortAndGivesAPartialChainBack) {
  const SlabClass largest = arena_->LargestClass();
  std::vector<Position> filler;
  while (true) {
    const Position position = arena_->Allocate(largest);
    if (position == kNoPosition) break;
    filler.push_back(position);
  }
  // Three chunks are free, the value needs more.
  for (int i = 0; i < 3; ++i) {
    arena_->Free(filler.back());
    filler.pop_back();
  }
  SlabClass short_of = kNoSlabClass;
  EXPECT_EQ(allocator_.New("key", 0, 300U << 10, &short_of), kNoPosition);
  EXPECT_EQ(short_of, largest);
  EXPECT_EQ(UsedChunks(), filler.size());
  EXPECT_NE(New("key", 0, 150U << 10), kNoPosition);
}

TEST_F(ItemAllocatorTest, ChunksUpToAWholePageWork) {
  SlabOptions options;
  options.limit_bytes = 8ULL * kSlabPageBytes;
  options.slab_chunk_bytes_max = kSlabPageBytes;
  const auto arena = std::move(SlabArena::Create(options)).value();
  ItemAllocator allocator(*arena, options.item_bytes_max);
  const uint32_t largest_value = kSlabPageBytes - static_cast<uint32_t>(kItemHeaderBytes) - 3;
  ASSERT_TRUE(allocator.Fits(3, 0, largest_value));
  SlabClass short_of = kNoSlabClass;
  const Position position = allocator.New("key", 0, largest_value, &short_of);
  ASSERT_NE(position, kNoPosition);
  EXPECT_FALSE(arena->ItemAt(position)->Has(kItemChunked));
  EXPECT_EQ(allocator.FootprintBytes(*arena->ItemAt(position)), kSlabPageBytes);
  allocator.Free(position);
}

TEST_F(ItemAllocatorTest, AKeyThatNoChunkHoldsDoesNotFit) {
  SlabOptions options;
  options.limit_bytes = 8ULL * kSlabPageBytes;
  options.slab_sizes = {96};
  options.slab_chunk_bytes_max = 256;
  const auto arena = std::move(SlabArena::Create(options)).value();
  ItemAllocator allocator(*arena, 1024);
  EXPECT_TRUE(allocator.Fits(200, 0, 300));
  EXPECT_FALSE(allocator.Fits(250, 0, 300));
}

// --- Pins --------------------------------------------------------------------------------------

class ItemRefTest : public ItemAllocatorTest {
 protected:
  ItemRefTest() : tier_(allocator_, 3) {}
  Item* LinkNew(std::string_view key, uint64_t hash, uint32_t value_bytes) {
    const Position position = New(key, 0, value_bytes);
    TERRACED_CHECK(position != kNoPosition);
    tier_.Link(position, hash, LruSegment::kHot, 1);
    return ItemAt(position);
  }
  RamTier tier_;
};

TEST_F(ItemRefTest, AnUnpinnedItemGoesWithItsUnlinking) {
  Item* const item = LinkNew("key", 5, 200'000);
  EXPECT_FALSE(item->IsPinned());
  tier_.Unlink(item, 5);
  EXPECT_EQ(UsedChunks(), 0U);
}

TEST_F(ItemRefTest, TheLastPinFreesAnUnlinkedItem) {
  Item* const item = LinkNew("key", 5, 200'000);
  const uint64_t chunks = UsedChunks();
  const Position position = arena_->PositionOf(item);
  ItemRef first(allocator_, position);
  ItemRef second(allocator_, position);
  EXPECT_TRUE(item->IsPinned());
  tier_.Unlink(item, 5);
  EXPECT_EQ(UsedChunks(), chunks);
  EXPECT_EQ(tier_.Find(5, "key"), nullptr);
  first.Reset();
  EXPECT_FALSE(first);
  EXPECT_EQ(UsedChunks(), chunks);
  EXPECT_EQ((*second).Key(), "key");
  second.Reset();
  EXPECT_EQ(UsedChunks(), 0U);
}

TEST_F(ItemRefTest, DroppingPinsOfALinkedItemFreesNothing) {
  Item* const item = LinkNew("key", 5, 10);
  { const ItemRef ref(allocator_, arena_->PositionOf(item)); }
  EXPECT_FALSE(item->IsPinned());
  EXPECT_EQ(tier_.Find(5, "key"), item);
  EXPECT_EQ(UsedChunks(), 1U);
}

TEST_F(ItemRefTest, MovingAPinKeepsIt) {
  Item* const item = LinkNew("key", 5, 10);
  const Position position = arena_->PositionOf(item);
  ItemRef first(allocator_, position);
  ItemRef second(std::move(first));
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(second.At(), position);
  ItemRef third;
  third = std::move(second);
  EXPECT_TRUE(third);
  EXPECT_TRUE(item->IsPinned());
  third = ItemRef();
  EXPECT_FALSE(item->IsPinned());
}

TEST_F(ItemRefTest, PinsHaveALimit) {
  Item* const item = LinkNew("key", 5, 10);
  std::vector<ItemRef> refs;
  while (ItemRef::CanPin(allocator_, *item))
    refs.emplace_back(allocator_, arena_->PositionOf(item));
  EXPECT_EQ(refs.size(), kPinsMax);
  refs.pop_back();
  EXPECT_TRUE(ItemRef::CanPin(allocator_, *item));
  tier_.Unlink(item, 5);
  refs.clear();
  EXPECT_EQ(UsedChunks(), 0U);
}

// One thread replaces and deletes items under the shard mutex, others pin them there, read outside,
// and unpin at any moment: every chunk is freed exactly once, no value changes under a reader. For
// ASan, TSan.
TEST_F(ItemRefTest, ReadersOutliveUnlinkingInOtherThreads) {
  constexpr uint32_t kKeys = 8;
  constexpr int kRounds = 4'000;
  Mutex shard;
  std::atomic<bool> stop{false};
  const auto key_of = [](uint32_t i) { return "key" + std::to_string(i); };
  std::vector<std::thread> readers;
  for (unsigned seed = 0; seed < 3; ++seed) {
    readers.emplace_back([&, seed] {
      std::mt19937 random(seed);
      std::vector<ItemRef> held(4);
      std::vector<std::span<char>> pieces;
      while (!stop.load(std::memory_order_relaxed)) {
        ItemRef& ref = held[random() % held.size()];
        ref.Reset();
        const uint32_t i = static_cast<uint32_t>(random() % kKeys);
        {
          MutexLock lock(shard);
          Item* const item = tier_.Find(i, key_of(i));
          if (item == nullptr) continue;
          ref = ItemRef(allocator_, arena_->PositionOf(item));
        }
        allocator_.ValuePieces(*ref, &pieces);
        const char expected = static_cast<char>((*ref).exptime_s);
        for (const std::span<char> piece : pieces) {
          TERRACED_CHECK(piece.front() == expected && piece.back() == expected);
        }
      }
    });
  }
  std::mt19937 random(99);
  for (int round = 1; round <= kRounds; ++round) {
    const uint32_t i = static_cast<uint32_t>(random() % kKeys);
    const Position draft = New(key_of(i), 0, static_cast<uint32_t>(1 + random() % 100'000));
    TERRACED_CHECK(draft != kNoPosition);
    std::vector<std::span<char>> pieces;
    allocator_.ValuePieces(*ItemAt(draft), &pieces);
    ItemAt(draft)->exptime_s = static_cast<uint32_t>(round);
    for (const std::span<char> piece : pieces) {
      std::fill(piece.begin(), piece.end(), static_cast<char>(round));
    }
    MutexLock lock(shard);
    Item* const old = tier_.Find(i, key_of(i));
    if (old == nullptr) {
      tier_.Link(draft, i, LruSegment::kHot, 1);
    } else if (round % 3 == 0) {
      tier_.Unlink(old, i);
      tier_.Link(draft, i, LruSegment::kHot, 1);
    } else {
      tier_.ReplaceItem(old, draft, i, LruSegment::kHot, 1);
    }
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  for (uint32_t i = 0; i < kKeys; ++i) {
    Item* const item = tier_.Find(i, key_of(i));
    if (item != nullptr) tier_.Unlink(item, i);
  }
  EXPECT_EQ(UsedChunks(), 0U);
  EXPECT_EQ(tier_.ItemBytes(), 0U);
}

}  // namespace
}  // namespace terraced::storage
