// Making room: what goes first, and when a client is told to wait or refused.
#include "tiering/reclaimer.h"

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

using storage::LruSegment;
using Room = Reclaimer::Room;

// Two pages, one class that matters, one shard's worth of keys: what is reclaimed can be foretold.
class ReclaimerTest : public testing::Test {
 protected:
  explicit ReclaimerTest(bool flash = false) : rig_(Options(flash)) {}
  static CacheOptions Options(bool flash) {
    CacheOptions options = RigOptions();
    options.slabs.limit_bytes = 1U << 20;
    options.slabs.slab_sizes = {128, 2'048, 512U << 10};
    if (!flash) options.flash_path.clear();
    return options;
  }
  static std::string Value() { return std::string(1'500, 'v'); }
  // Fills the page of the second class; keys "f0" and up.
  int FillUp() {
    int count = 0;
    const storage::SlabClass slab_class = rig_.InTiers().allocator.ClassFor(4, 0, 1'500);
    do {
      EXPECT_EQ(rig_->Set("f" + std::to_string(count++), Value()), Outcome::kStored);
    } while (rig_.InTiers().arena->FreeChunks(slab_class) > 0);
    return count;
  }
  Room NewItem(Reclaimer* reclaimer, bool may_wait) {
    storage::Position position = storage::kNoPosition;
    const Room room = reclaimer->NewItem("new", 0, 1'500, may_wait, &position);
    EXPECT_EQ(room == Room::kYes, position != storage::kNoPosition);
    if (position != storage::kNoPosition) rig_.InTiers().allocator.Free(position);
    return room;
  }
  CacheRig rig_;
};

TEST_F(ReclaimerTest, WithoutFlashTheColdestGoesAndIsCounted) {
  const int count = FillUp();
  EXPECT_EQ(rig_->Set("new", Value()), Outcome::kStored);
  EXPECT_EQ(rig_.Stats().evictions, 1U);
  EXPECT_EQ(rig_.Stats().curr_items, static_cast<uint64_t>(count));
  EXPECT_EQ(rig_->Get("new"), Value());
}

TEST_F(ReclaimerTest, ExpiredAndFlushedItemsGoBeforeAnybodyLive) {
  const int count = FillUp();
  for (int i = 0; i < count; i += 2) rig_->Touch("f" + std::to_string(i), kStartS + 10);
  rig_.clock.Set(kStartS + 10);
  uint64_t stored = 0;
  Reclaimer reclaimer(rig_.InTiers(), rig_.InDemoter());
  for (int i = 0; i < count / 4; ++i) {
    if (reclaimer.MakeRoom(2)) ++stored;
  }
  EXPECT_EQ(stored, static_cast<uint64_t>(count / 4));
  uint64_t reclaimed = 0;
  for (const ClassCounters& counters : rig_.Stats().classes) reclaimed += counters.reclaimed;
  EXPECT_GT(reclaimed, 0U);
  EXPECT_EQ(reclaimed + rig_.Stats().evictions, stored);
}

TEST_F(ReclaimerTest, AnItemThatIsBeingSentIsPassedOver) {
  const int count = FillUp();
  std::vector<storage::ItemRef> pins;
  for (int i = 0; i < count; ++i) {
    const std::string key = "f" + std::to_string(i);
    const storage::Position position = rig_.InTiers().arena->PositionOf(rig_.ItemOf(key));
    Shard& shard = rig_.InTiers().ShardOf(rig_->KeyOf(key).hash);
    const MutexLock lock(shard.mutex);
    pins.emplace_back(rig_.InTiers().allocator, position);
  }
  EXPECT_EQ(rig_->Set("new", Value()), Outcome::kNoMemory);
  EXPECT_EQ(rig_.Stats().store_no_memory, 1U);
  EXPECT_EQ(rig_.Stats().evictions, 0U);
  uint64_t locked = 0;
  uint64_t out_of_memory = 0;
  for (const ClassCounters& counters : rig_.Stats().classes) {
    locked += counters.lrutail_reflocked;
    out_of_memory += counters.out_of_memory;
  }
  EXPECT_GT(locked, 0U);
  EXPECT_EQ(out_of_memory, 1U);
  pins.pop_back();
  EXPECT_EQ(rig_->Set("new", Value()), Outcome::kStored);
}

TEST_F(ReclaimerTest, ChunksOfLargeItemsAreFoundInTheirLargestClass) {
  rig_->Set("large", std::string(600'000, 'l'));
  ASSERT_EQ(rig_.ClassOf("large"), rig_.InTiers().arena->LargestClass());
  for (int i = 0; i < 20; ++i) {
    const std::string key = "large" + std::to_string(i);
    ASSERT_EQ(rig_->Set(key, std::string(600'000, static_cast<char>('a' + i))), Outcome::kStored)
        << i;
    ASSERT_EQ(rig_->Get(key), std::string(600'000, static_cast<char>('a' + i)));
  }
}

class FlashReclaimerTest : public ReclaimerTest {
 protected:
  FlashReclaimerTest() : ReclaimerTest(true), reclaimer_(rig_.InTiers(), rig_.InDemoter()) {}
  Reclaimer reclaimer_;
};

TEST_F(FlashReclaimerTest, WhatIsOnFlashTooGoesFirstAndCostsNothing) {
  for (int i = 0; i < 200; ++i) rig_->Set("c" + std::to_string(i), Value());
  rig_.Demote();
  int clean = 0;
  for (int i = 0; i < 200; ++i) {
    rig_->Get("c" + std::to_string(i));
    rig_->Get("c" + std::to_string(i));
    clean += rig_.InRam("c" + std::to_string(i)) ? 1 : 0;
  }
  ASSERT_GT(clean, 100);
  FillUp();
  for (int i = 0; i < clean / 2; ++i)
    EXPECT_EQ(rig_->Set("n" + std::to_string(i), Value()), Outcome::kStored);
  EXPECT_GT(rig_.Stats().flash.clean_drops, 0U);
  uint64_t missing = 0;
  for (int i = 0; i < 200; ++i) missing += rig_->Get("c" + std::to_string(i)).Hit() ? 0 : 1;
  EXPECT_EQ(missing, rig_.Stats().commands.flash_index_collisions);
}

TEST_F(FlashReclaimerTest, WhoMayWaitWaitsWhereOnlyDemotionHelps) {
  FillUp();
  EXPECT_EQ(NewItem(&reclaimer_, true), Room::kWait);
  EXPECT_EQ(rig_.Stats().evictions, 0U);
  EXPECT_EQ(NewItem(&reclaimer_, false), Room::kYes);
  EXPECT_EQ(rig_.Stats().evictions, 1U);
}

TEST_F(FlashReclaimerTest, NobodyWaitsForAFlashThatIsOff) {
  FillUp();
  rig_.InTiers().flash_online.store(false);
  EXPECT_EQ(NewItem(&reclaimer_, true), Room::kYes);
  EXPECT_EQ(rig_.Stats().evictions, 1U);
}

// Rule 2: an eviction cancels the demotion like any other change.
TEST_F(FlashReclaimerTest, WhatIsInABatchIsEvictedBeforeAClientIsRefused) {
  const int count = FillUp();
  const Race race(SyncPoint::kDemoteBuilt,
                  [&] { EXPECT_EQ(NewItem(&reclaimer_, false), Room::kYes); });
  rig_.InDemoter().Drain(UINT64_MAX, [] { return false; });  // everything in one batch
  EXPECT_TRUE(race.Ran());
  EXPECT_EQ(rig_.Stats().evictions, 1U);
  EXPECT_EQ(rig_.Stats().commands.flash_demotions_cancelled, 1U);
  EXPECT_EQ(rig_.Stats().curr_items, static_cast<uint64_t>(count) - 1);
  uint64_t missing = 0;
  for (int i = 0; i < count; ++i) missing += rig_->Get("f" + std::to_string(i)) == Value() ? 0 : 1;
  EXPECT_EQ(missing, 1U + rig_.Stats().commands.flash_index_collisions);
}

TEST_F(FlashReclaimerTest, WhatIsInABatchGoesAfterWhatIsNot) {
  FillUp();
  const Race race(SyncPoint::kDemoteBuilt,
                  [&] { EXPECT_EQ(NewItem(&reclaimer_, false), Room::kYes); });
  rig_.InDemoter().Step();  // an eighth of the class
  EXPECT_TRUE(race.Ran());
  EXPECT_EQ(rig_.Stats().evictions, 1U);
  EXPECT_EQ(rig_.Stats().commands.flash_demotions_cancelled, 0U);
}

class TooLargeForFlashTest : public testing::Test {
 protected:
  static CacheOptions Options() {
    CacheOptions options = RigOptions();
    options.slabs.limit_bytes = 1U << 20;
    options.slabs.slab_sizes = {128, 2'048, 512U << 10};
    options.flash_item_max_bytes = 1'000;
    return options;
  }
  AllocateResult Allocate(std::string_view key, size_t value_bytes) {
    Draft draft;
    return rig_.cache->Allocate(rig_->KeyOf(key), {.value_bytes = value_bytes, .may_wait = true},
                                &draft);
  }
  void FillUp() {
    for (int i = 0; i < 512; ++i) {
      ASSERT_EQ(rig_->Set("f" + std::to_string(i), std::string(1'500, 'f')), Outcome::kStored);
    }
  }
  CacheRig rig_{Options()};
};

TEST_F(TooLargeForFlashTest, NobodyWaitsForABatchThatCannotCome) {
  FillUp();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Allocate("new", 1'500), AllocateResult::kWait);  // nobody has looked yet
    rig_.InDemoter().Step();
  }
  EXPECT_EQ(Allocate("new", 1'500), AllocateResult::kOk);
  EXPECT_EQ(rig_.Stats().evictions, 1U);
}

TEST_F(TooLargeForFlashTest, OnceWhatFlashTakesHasComeItIsWaitedForAgain) {
  FillUp();
  for (int i = 0; i < 3; ++i) rig_.InDemoter().Step();
  EXPECT_FALSE(rig_.InDemoter().BatchMayCome(2));
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_EQ(rig_->Set("s" + std::to_string(i), std::string(900, 's')), Outcome::kStored);
  }
  rig_.InDemoter().Step();
  EXPECT_TRUE(rig_.InDemoter().BatchMayCome(2));
  EXPECT_GT(rig_.Stats().flash.demoted_items, 0U);
}

TEST_F(TooLargeForFlashTest, WhatCannotGoIsNotLookedAtForEver) {
  FillUp();
  for (int i = 0; i < 3; ++i) rig_.InDemoter().Step();
  for (int i = 0; i < 2; ++i) rig_->Get("f0");
  ASSERT_TRUE(rig_.ItemOf("f0")->Has(storage::kItemActive));
  for (int i = 0; i < 10; ++i) rig_.InDemoter().Step();
  EXPECT_TRUE(rig_.ItemOf("f0")->Has(storage::kItemActive));  // a look would have taken it off
}

TEST_F(TooLargeForFlashTest, AnItemIsCountedOnceHoweverOftenItIsLookedAt) {
  FillUp();
  for (int i = 0; i < 10; ++i) {
    rig_.InDemoter().Step();
    for (int j = 0; j < 32; ++j) rig_->Set("f" + std::to_string(j), std::string(1'500, 'f'));
  }
  // Each of the first, and each that was stored since and seen.
  EXPECT_GE(rig_.Stats().flash.items_too_large, 512U);
  EXPECT_LE(rig_.Stats().flash.items_too_large, 512U + 10 * 32);
}

TEST(ReclaimerBudgetTest, NobodyWaitsWhileTheWriteBudgetIsSpent) {
  CacheOptions options = RigOptions();
  options.slabs.limit_bytes = 1U << 20;
  options.slabs.slab_sizes = {128, 2'048, 512U << 10};
  options.flash_write_day_bytes = 1'000;
  CacheRig rig(options);
  for (int i = 0; i < 512; ++i) rig->Set("f" + std::to_string(i), std::string(1'500, 'f'));
  rig.InDemoter().Step();  // one batch overdraws it
  ASSERT_GT(rig.Stats().flash.batches_written, 0U);
  for (int i = 0; i < 512; ++i) rig->Set("g" + std::to_string(i), std::string(1'500, 'g'));
  rig.InDemoter().Step();
  Draft draft;
  EXPECT_EQ(
      rig.cache->Allocate(rig->KeyOf("new"), {.value_bytes = 1'500, .may_wait = true}, &draft),
      AllocateResult::kOk);
}

}  // namespace
}  // namespace terraced::tiering
