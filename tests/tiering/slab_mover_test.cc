#include "tiering/slab_mover.h"

#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

std::string Name(int i) {
  return "key" + std::to_string(i);
}

class SlabMoverTest : public testing::Test {
 protected:
  static CacheOptions RamOnly(uint64_t limit_bytes) {
    CacheOptions options = RigOptions();
    options.flash_path.clear();
    options.slabs.limit_bytes = limit_bytes;
    return options;
  }
  static storage::SlabClass ClassOf(CacheRig* rig, uint64_t value_bytes) {
    return rig->InTiers().allocator.ClassFor(6, 0, value_bytes);
  }
  static uint64_t PagesOf(CacheRig* rig, storage::SlabClass slab_class) {
    return rig->Stats().slabs[slab_class].total_pages;
  }
};

TEST_F(SlabMoverTest, AClassThatIsShortGetsThePagesOfOneThatWasFull) {
  CacheRig rig(RamOnly(8U << 20));
  for (int i = 0; i < 12'000; ++i)
    ASSERT_EQ(rig->Set(Name(i), std::string(1'000, 'a')), Outcome::kStored);
  const storage::SlabClass small = ClassOf(&rig, 1'000);
  const storage::SlabClass large = ClassOf(&rig, 5'000);
  ASSERT_GE(PagesOf(&rig, small), 7U);
  SlabMover& mover = rig.cache->MoverForTest();
  mover.Round();  // what was lost so far is history
  rig.clock.Set(kStartS + 100);
  int moved = 0;
  for (int i = 0; i < 4'000; ++i) {
    ASSERT_EQ(rig->Set("large" + std::to_string(i), std::string(5'000, 'b')), Outcome::kStored);
    if (i % 20 == 0 && mover.Round()) ++moved;
  }
  EXPECT_GE(moved, 4);
  EXPECT_GE(PagesOf(&rig, large), 5U);
  EXPECT_GE(PagesOf(&rig, small), 1U);  // the last one stays
  EXPECT_EQ(rig.Stats().slabs_moved, static_cast<uint64_t>(moved));
  int kept = 0;
  for (int i = 3'500; i < 4'000; ++i) kept += rig->Get("large" + std::to_string(i)).Hit() ? 1 : 0;
  EXPECT_GT(kept, 400);  // shards take turns, so the order is not that of one list
}

TEST_F(SlabMoverTest, NothingMovesWhileThereAreFreePagesOrNobodyIsShort) {
  CacheRig rig(RamOnly(8U << 20));
  for (int i = 0; i < 1'000; ++i) rig->Set(Name(i), std::string(1'000, 'a'));
  EXPECT_FALSE(rig.cache->MoverForTest().Round());
  EXPECT_EQ(rig.Stats().slabs_moved, 0U);
}

TEST_F(SlabMoverTest, LiveItemsAreRescuedWithEverythingTheyAre) {
  CacheRig rig(RamOnly(16U << 20));
  for (int i = 0; i < 6'000; ++i)
    rig->Set(Name(i), std::string(1'000, static_cast<char>('a' + i % 26)), 5, kStartS + 99);
  for (int i = 0; i < 6'000; i += 2) rig->Delete(Name(i));  // room in the other pages
  const storage::SlabClass from = ClassOf(&rig, 1'000);
  const uint64_t pages = PagesOf(&rig, from);
  ASSERT_TRUE(rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100)));
  EXPECT_EQ(PagesOf(&rig, from), pages - 1);
  EXPECT_GT(rig.Stats().slab_reassign_rescues, 100U);
  EXPECT_EQ(rig.Stats().evictions, 0U);
  for (int i = 1; i < 6'000; i += 2) {
    const Got got = rig->Get(Name(i));
    ASSERT_EQ(got, std::string(1'000, static_cast<char>('a' + i % 26)));
    EXPECT_EQ(got.meta.client_flags, 5U);
    EXPECT_EQ(got.meta.exptime_s, kStartS + 99);
  }
}

TEST_F(SlabMoverTest, WithoutRoomTheyAreEvictedAndCounted) {
  CacheRig rig(RamOnly(2U << 20));
  int stored = 0;
  while (rig.InTiers().counters.evictions.load() == 0)
    rig->Set(Name(stored++), std::string(1'000, 'a'));
  const storage::SlabClass from = ClassOf(&rig, 1'000);
  ASSERT_TRUE(rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100)));
  uint64_t missing = 0;
  for (int i = 0; i < stored; ++i) missing += rig->Get(Name(i)).Hit() ? 0 : 1;
  EXPECT_EQ(missing, rig.Stats().evictions);
  EXPECT_GT(missing, 500U);
}

TEST_F(SlabMoverTest, AnItemThatIsBeingSentHoldsItsPage) {
  CacheRig rig(RamOnly(16U << 20));
  for (int i = 0; i < 3'000; ++i) rig->Set(Name(i), std::string(1'000, 'a'));
  std::vector<storage::ItemRef> pins;
  for (int i = 0; i < 3'000; ++i) {
    const storage::Position position = rig.InTiers().arena->PositionOf(rig.ItemOf(Name(i)));
    Shard& shard = rig.InTiers().ShardOf(rig->KeyOf(Name(i)).hash);
    const MutexLock lock(shard.mutex);
    pins.emplace_back(rig.InTiers().allocator, position);
  }
  const storage::SlabClass from = ClassOf(&rig, 1'000);
  EXPECT_FALSE(rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100)));
  EXPECT_GT(rig.Stats().slab_reassign_busy_items, 0U);
  for (int i = 0; i < 3'000; ++i) ASSERT_EQ(rig->Get(Name(i)), std::string(1'000, 'a'));
  pins.clear();
  EXPECT_TRUE(rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100)));
}

TEST_F(SlabMoverTest, ChunkedItemsAreMovedPieceByPiece) {
  CacheRig rig(RamOnly(32U << 20));
  std::vector<std::string> values;
  for (int i = 0; i < 10; ++i) {
    std::string value;
    for (int at = 0; at < 900'000 + i; ++at) value.push_back(static_cast<char>(at * (i + 3)));
    ASSERT_EQ(rig->Set(Name(i), value), Outcome::kStored);
    values.push_back(std::move(value));
  }
  const storage::SlabClass largest = rig.InTiers().arena->LargestClass();
  for (storage::SlabClass from = 1; from <= largest; ++from) {
    while (PagesOf(&rig, from) > 1 &&
           rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100))) {
      for (size_t i = 0; i < values.size(); ++i) {
        const Got got = rig->Get(Name(static_cast<int>(i)));
        ASSERT_TRUE(!got.Hit() || got.value == values[i]) << i;
      }
      if (rig.Stats().evictions > 0) break;
    }
  }
  EXPECT_GT(rig.Stats().slab_reassign_rescues, 0U);
}

TEST_F(SlabMoverTest, AClassWhoseItemsNeverFittedGetsPagesToo) {
  CacheOptions options = RamOnly(16U << 20);
  options.slabs.item_bytes_max = 8U << 20;
  CacheRig rig(options);
  for (int i = 0; i < 20'000; ++i) rig->Set(Name(i), std::string(1'000, 'a'));
  const std::string large(3'000'000, 'b');  // six chunks of the largest class, which may have two
  ASSERT_EQ(rig->Set("large", large), Outcome::kNoMemory);
  EXPECT_GT(rig.Stats().classes[rig.InTiers().arena->LargestClass()].out_of_memory, 0U);
  bool stored = false;
  for (uint32_t i = 1; i < 20 && !stored; ++i) {
    rig.clock.Set(kStartS + i);
    rig.cache->MoverForTest().Round();
    stored = rig->Set("large", large) == Outcome::kStored;
  }
  EXPECT_EQ(rig->Get("large"), large);
}

TEST_F(SlabMoverTest, AStalledUploadCostsNobodyElseAnything) {
  CacheRig rig(RamOnly(4U << 20));
  Draft stalled;  // in the first page of its class
  ASSERT_EQ(rig.cache->Allocate(rig->KeyOf("stalled"), {.value_bytes = 1'000}, &stalled),
            AllocateResult::kOk);
  for (int i = 0; rig.InTiers().counters.evictions.load() == 0; ++i) {
    rig->Set(Name(i), std::string(1'000, 'a'));
  }
  const uint64_t evictions = rig.Stats().evictions;
  const storage::SlabClass from = ClassOf(&rig, 1'000);
  EXPECT_FALSE(rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100)));
  EXPECT_EQ(rig.Stats().evictions, evictions);
  EXPECT_TRUE(rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100)));  // another page
}

TEST_F(SlabMoverTest, WhatFlashMayStillTakeIsNotEvicted) {
  CacheOptions options = RigOptions();
  options.slabs.limit_bytes = 4U << 20;
  options.flash_batch_bytes = 128U << 10;
  CacheRig rig(options);
  const storage::SlabClass from = ClassOf(&rig, 1'000);
  int stored = 0;
  do {
    ASSERT_EQ(rig->Set(Name(stored++), std::string(1'000, 'a')), Outcome::kStored);
  } while (rig.InTiers().arena->FreeChunks(from) > 0);
  ASSERT_TRUE(rig.InDemoter().Start().ok());
  // The demoter stands back: on a busy machine it may be later than a move waits for it.
  bool moved = false;
  for (int i = 0; i < 100 && !moved; ++i) {
    moved = rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100));
  }
  EXPECT_TRUE(moved);
  rig.InDemoter().Join();
  EXPECT_EQ(rig.Stats().evictions, 0U);
  EXPECT_GT(rig.Stats().flash.demoted_items, 500U);
  uint64_t missing = 0;
  for (int i = 0; i < stored; ++i) missing += rig->Get(Name(i)) == std::string(1'000, 'a') ? 0 : 1;
  EXPECT_EQ(missing, rig.Stats().commands.flash_index_collisions);
}

TEST_F(SlabMoverTest, Rule2AnItemThatMovesLeavesItsBatch) {
  CacheOptions options = RigOptions();
  CacheRig rig(options);
  for (int i = 0; i < 3'000; ++i) rig->Set(Name(i), std::string(1'000, 'a'));
  const storage::SlabClass from = ClassOf(&rig, 1'000);
  const Race race(SyncPoint::kDemoteIngested, [&] {
    EXPECT_TRUE(rig.cache->MoverForTest().MovePage(from, ClassOf(&rig, 100)));
  });
  rig.Demote();
  ASSERT_TRUE(race.Ran());
  EXPECT_EQ(rig.Stats().evictions, 0U);
  uint64_t missing = 0;
  for (int i = 0; i < 3'000; ++i) missing += rig->Get(Name(i)) == std::string(1'000, 'a') ? 0 : 1;
  EXPECT_EQ(missing, rig.Stats().commands.flash_index_collisions);
}

}  // namespace
}  // namespace terraced::tiering
