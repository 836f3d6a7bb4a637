// The demoter's rounds: batches ahead of need, failures of the disk (I6).
#include "tiering/demoter.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <vector>

#include "storage/base/clock.h"
#include "tests/tiering/demoter_fixture.h"

namespace terraced::tiering {
namespace {

TEST_F(DemoterTest, BatchesAreChosenFromRamAndQuota) {
  CacheOptions options;
  options.slabs.limit_bytes = 64ULL << 20;
  options.flash_size_bytes = 4ULL << 30;
  EXPECT_EQ(Demoter::BatchBytes(options), 4U << 20);  // a sixteenth of -m
  options.slabs.limit_bytes = 1ULL << 30;
  EXPECT_EQ(Demoter::BatchBytes(options), 16U << 20);
  options.flash_size_bytes = 1ULL << 40;
  EXPECT_EQ(Demoter::BatchBytes(options),
            128U << 20);  // numbers for a terabyte: up to an eighth of -m
  options.flash_size_bytes = 64ULL << 30;
  options.slabs.limit_bytes = 8ULL << 30;
  EXPECT_EQ(Demoter::BatchBytes(options), 64U << 20);
  options.slabs.limit_bytes = 1U << 20;
  options.flash_size_bytes = 1U << 20;
  EXPECT_EQ(Demoter::BatchBytes(options), 64U << 10);
  options.flash_batch_bytes = 12'345;
  EXPECT_EQ(Demoter::BatchBytes(options), 12'345U);
}

TEST_F(DemoterTest, DemotesAheadOfNeedSoThatNothingIsEvicted) {
  CacheRig rig(Small());
  SetMany(&rig, 0, 12'000);  // three times what RAM holds
  const CacheStats stats = rig.Stats();
  EXPECT_EQ(stats.evictions, 0U);
  EXPECT_GT(stats.flash.demoted_items, 8'000U);
  EXPECT_EQ(stats.curr_items, 12'000U - stats.commands.flash_index_collisions);
  uint64_t missing = 0;
  for (int i = 0; i < 12'000; ++i) missing += rig->Get(Name(i)).Hit() ? 0 : 1;
  EXPECT_EQ(missing, rig.Stats().commands.flash_index_collisions);
}

TEST_F(DemoterTest, RestsWhileThereIsRoom) {
  CacheRig rig(Small());
  for (int i = 0; i < 100; ++i) rig->Set(Name(i), "value");
  rig.InDemoter().Step();
  EXPECT_EQ(rig.store->Calls(BatchCall::kWrite), 0U);
}

TEST_F(DemoterTest, AStoringClientIsToldToWaitWhenTheReserveIsNearlyGone) {
  CacheRig rig(Small());
  AllocateResult result = AllocateResult::kOk;
  std::vector<Draft> held;
  for (int i = 0; i < 20'000 && result == AllocateResult::kOk; ++i) {
    Draft draft;
    result =
        rig.cache->Allocate(rig->KeyOf(Name(i)), {.value_bytes = 1'000, .may_wait = true}, &draft);
    if (result != AllocateResult::kOk) break;
    draft.FillValue({std::string(1'000, 'v')});
    Evidence evidence;
    ItemMeta item;
    ASSERT_EQ(rig.cache->Store(rig->KeyOf(Name(i)), {}, &draft, &evidence, &item),
              Outcome::kStored);
  }
  ASSERT_EQ(result, AllocateResult::kWait);
  EXPECT_EQ(rig.Stats().flash.demotion_waits, 1U);
  EXPECT_EQ(rig.Stats().evictions, 0U);
  rig.InDemoter().Step();
  Draft draft;
  EXPECT_EQ(rig.cache->Allocate(rig->KeyOf("k"), {.value_bytes = 1'000, .may_wait = true}, &draft),
            AllocateResult::kOk);
}

TEST_F(DemoterTest, WhereDemotionCannotKeepUpRamEvictsAndCountsIt) {
  CacheRig rig(Small());
  for (int i = 0; i < 8'000; ++i)
    ASSERT_EQ(rig->Set(Name(i), std::string(1'000, 'v')), Outcome::kStored);
  const uint64_t evictions = rig.Stats().evictions;
  EXPECT_GT(evictions, 3'000U);
  uint64_t missing = 0;
  for (int i = 0; i < 8'000; ++i) missing += rig->Get(Name(i)).Hit() ? 0 : 1;
  EXPECT_EQ(missing, evictions);
}

TEST_F(DemoterTest, ItemsThatDeserveNoWriteAreEvictedInstead) {
  CacheOptions options = Small();
  options.flash_item_min_bytes = 600;
  CacheRig rig(options);
  SetMany(&rig, 0, 20'000, 300);
  const CacheStats stats = rig.Stats();
  EXPECT_GT(stats.evictions, 5'000U);
  EXPECT_EQ(stats.flash.demoted_items, 0U);
  EXPECT_GT(stats.flash.items_not_admitted, 5'000U);
  EXPECT_EQ(stats.curr_items, 20'000U - stats.evictions);
}

TEST_F(DemoterTest, WithoutEvictionsWhatIsNotAdmittedStays) {
  CacheOptions options = Small();
  options.flash_item_min_bytes = 600;
  options.evict_to_free = false;
  CacheRig rig(options);
  int stored = 0;
  while (rig->Set(Name(stored), std::string(300, 'v')) == Outcome::kStored) {
    if (++stored % 16 == 0) rig.InDemoter().Step();
  }
  EXPECT_GT(stored, 5'000);
  EXPECT_EQ(rig.Stats().evictions, 0U);
  EXPECT_EQ(rig.Stats().curr_items, static_cast<uint64_t>(stored));
}

TEST_F(DemoterTest, ABatchLeavesAClassOfTwoChunksSomethingToEvict) {
  CacheOptions options = RigOptions();
  options.slabs.limit_bytes = 1U << 20;
  options.slabs.slab_sizes = {128, 512U << 10};
  CacheRig rig(options);
  ASSERT_EQ(rig->Set("x", std::string(400'000, 'x')), Outcome::kStored);
  ASSERT_EQ(rig->Set("y", std::string(400'000, 'y')), Outcome::kStored);
  const Race race(SyncPoint::kDemoteCollected, [&] {
    EXPECT_NE(rig.ItemOf("x")->Has(storage::kItemInBatch),
              rig.ItemOf("y")->Has(storage::kItemInBatch));
    EXPECT_EQ(rig->Set("z", std::string(400'000, 'z')), Outcome::kStored);
  });
  rig.InDemoter().Step();
  ASSERT_TRUE(race.Ran());
  EXPECT_EQ(rig.Stats().evictions, 1U);
  EXPECT_EQ(rig.Stats().commands.flash_demotions_cancelled, 0U);
  EXPECT_TRUE(rig->Get("z").Hit());
  EXPECT_NE(rig->Get("x").Hit(), rig->Get("y").Hit());  // one went to flash, one was lost
}

TEST_F(DemoterTest, ABatchTakesNoMoreThanAnEighthOfAClass) {
  CacheOptions options = Small();
  options.flash_batch_bytes = 2U << 20;
  CacheRig rig(options);
  const storage::SlabClass slab_class = rig.InTiers().allocator.ClassFor(7, 0, 1'000);
  const storage::SlabArena& arena = *rig.InTiers().arena;
  for (int i = 0; HasRoom(arena, slab_class); ++i) {
    ASSERT_EQ(rig->Set(Name(i), std::string(1'000, 'v')), Outcome::kStored);
  }
  rig.InDemoter().Step();
  EXPECT_GT(rig.Stats().flash.demoted_items, 0U);
  EXPECT_LE(rig.Stats().flash.demoted_items, arena.TotalChunks(slab_class) / 8);
}

TEST_F(DemoterTest, AClassHasOneTurnABatch) {
  CacheOptions options = Small();
  options.flash_batch_bytes = 2U << 20;
  CacheRig rig(options);
  const storage::SlabArena& arena = *rig.InTiers().arena;
  constexpr int kClean = 2'000;  // what drops of them set free lifts the class over its reserve
  for (int i = 0; i < kClean; ++i) rig->Set(Name(i), std::string(1'000, 'v'));
  const storage::SlabClass slab_class = rig.ClassOf(Name(0));
  rig.Demote();
  for (int i = 0; i < kClean; ++i) {
    rig->Get(Name(i));
    rig->Get(Name(i));
    ASSERT_TRUE(rig.InRam(Name(i)));
    rig.Cool(Name(i));
  }
  for (int i = kClean; HasRoom(arena, slab_class); ++i) rig->Set(Name(i), std::string(1'000, 'v'));
  const CacheStats before = rig.Stats();
  rig.InDemoter().Step();
  const CacheStats after = rig.Stats();
  EXPECT_GT(after.flash.clean_drops, before.flash.clean_drops);
  EXPECT_GT(after.flash.demoted_items, before.flash.demoted_items);
  EXPECT_LE(before.ram_items - after.ram_items, arena.TotalChunks(slab_class) / 8 + 32);
}

TEST_F(DemoterTest, ABatchIsNotMuchLargerThanWhatIsOnFlashAlready) {
  CacheOptions options = RigOptions();
  options.slabs.limit_bytes = 16U << 20;
  options.flash_batch_bytes = 4U << 20;
  CacheRig rig(options);
  const storage::BatchTable& table = rig.InTiers().batches;
  for (int i = 0; table.UsedNumbers() < 9; i += 512) {
    ASSERT_LT(i, 1'000'000);
    SetMany(&rig, i, i + 512, 1);
  }
  constexpr uint64_t kFirst = 16U << 10;
  constexpr uint64_t kPerHold = 32;
  uint64_t before = 0;
  uint64_t largest = 0;
  for (const storage::BatchNumber number : table.Living()) {
    const uint64_t records = table.Info(number).record_count;
    EXPECT_LT(records, std::max(kFirst, before / 3) + kPerHold);
    largest = std::max(largest, records);
    before += records;
  }
  EXPECT_GT(largest, kFirst + kPerHold);
}

// Classes that are used alike run short one a little after the other: a batch for each would be one of many.
TEST_F(DemoterTest, ClassesThatWillSoonBeShortComeAlong) {
  CacheOptions options = RigOptions();
  options.slabs.limit_bytes = 12U << 20;
  options.flash_batch_bytes = 1U << 20;
  CacheRig rig(options);
  constexpr std::array<size_t, 6> kSizes = {100, 250, 500, 800, 1'300, 2'000};
  for (int i = 0; i < 30'000; ++i) {
    SetMany(&rig, i, i + 1, kSizes[static_cast<size_t>(i) % kSizes.size()]);
  }
  const CacheStats stats = rig.Stats();
  EXPECT_EQ(stats.evictions, 0U);
  EXPECT_GT(stats.flash.demoted_items, 10'000U);
  EXPECT_LT(stats.flash.batches_written, 30U);  // each class by itself: 56
}

TEST_F(DemoterTest, AClassThatHoldsNothingForFlashIsNotDisturbedByTheBatchesOfOthers) {
  CacheOptions options = Small();
  options.slabs.limit_bytes = 16U << 20;  // lists longer than what is looked at in one go
  options.flash_batch_bytes = 1U << 20;
  options.flash_item_max_bytes = 200;
  CacheRig rig(options);
  const storage::SlabArena& arena = *rig.InTiers().arena;
  const auto set_small = [&](int first, int last) { SetMany(&rig, first, last, 100); };
  set_small(0, 40'000);
  int large = 0;
  const auto name = [](int i) { return "large" + std::to_string(i); };
  while (arena.FreePages() > 0) rig->Set(name(large++), std::string(300, 'v'));
  const storage::SlabClass slab_class = rig.ClassOf(name(0));
  const uint64_t reserve = std::min<uint64_t>(
      options.flash_batch_bytes / arena.ChunkBytes(slab_class), arena.TotalChunks(slab_class) / 8);
  while (arena.FreeChunks(slab_class) > reserve) {
    rig->Set(name(large++), std::string(300, 'v'));
  }
  rig->Delete(name(0));  // short of nothing, and close to it
  for (int i = 1; i < large; ++i) rig.Cool(name(i));
  const auto tails = [&] {
    std::vector<storage::Position> found;
    for (const auto& shard : rig.InTiers().shards) {
      const MutexLock lock(shard->mutex);
      found.push_back(shard->ram.List(slab_class, storage::LruSegment::kCold).tail);
    }
    return found;
  };
  set_small(40'000, 80'000);
  const uint64_t batches = rig.Stats().flash.batches_written;
  const std::vector<storage::Position> before = tails();
  set_small(80'000, 100'000);
  EXPECT_GT(rig.Stats().flash.batches_written, batches + 3);
  EXPECT_GE(arena.FreeChunks(slab_class), reserve);
  EXPECT_EQ(tails(), before);
}

// Their last parts lie in a small class of one page, which runs short long before the largest does.
TEST_F(DemoterTest, AClassThatHoldsPartsOfChunkedItemsIsRelievedOfThem) {
  CacheOptions options = RigOptions();
  options.slabs.limit_bytes = 16U << 20;
  options.slabs.slab_sizes = {128, 128U << 10, 512U << 10};
  options.flash_batch_bytes = 2U << 20;
  CacheRig rig(options);
  for (int i = 0; i < 30; ++i) rig->Set("page" + std::to_string(i), std::string(500'000, 'p'));
  for (int i = 0; i < 30; ++i) rig->Delete("page" + std::to_string(i));
  ASSERT_EQ(rig.Stats().evictions, 0U);
  for (int i = 0; i < 40; ++i) {
    const std::string value(600'000, static_cast<char>('a' + i % 26));
    ASSERT_EQ(rig->Set(Name(i), value), Outcome::kStored) << i;
    rig.InDemoter().Step();
  }
  EXPECT_EQ(rig.Stats().evictions, 0U);
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(rig->Get(Name(i)).Hit()) << i;
}

TEST_F(DemoterTest, TheWriteBudgetIsKept) {
  CacheOptions options = Small();
  options.flash_write_day_bytes = 512U << 10;
  CacheRig rig(options);
  SetMany(&rig, 0, 12'000);
  EXPECT_GT(rig.Stats().flash.bytes_written, 100U << 10);
  EXPECT_LT(rig.Stats().flash.bytes_written, (512U + 128U) << 10);
  EXPECT_GT(rig.Stats().evictions, 0U);
}

TEST_F(DemoterTest, EverySyncPointOfADemotionIsPassed) {
  CacheRig rig;
  const std::vector<SyncPoint> points = {SyncPoint::kDemoteCollected, SyncPoint::kDemoteBuilt,
                                         SyncPoint::kDemoteIngested, SyncPoint::kDemoteSlotted};
  std::vector<uint64_t> before;
  for (const SyncPoint point : points) before.push_back(SyncPoints::Passed(point));
  rig->Set("k", "v");
  rig.Demote();
  for (size_t i = 0; i < points.size(); ++i)
    EXPECT_EQ(SyncPoints::Passed(points[i]), before[i] + 1);
}

TEST_F(DemoterTest, RoundsThatFindNothingToWriteUseNoSerials) {
  CacheOptions options = Small();
  options.flash_item_max_bytes = 500;
  CacheRig rig(options);
  const uint64_t first = rig.InDemoter().NextSerial();
  SetMany(&rig, 0, 6'000);  // under pressure, but too large for flash
  for (int i = 0; i < 100; ++i) rig.InDemoter().Step();
  EXPECT_GT(rig.Stats().flash.items_too_large, 100U);
  EXPECT_EQ(rig.InDemoter().NextSerial(), first);
  rig->Set("k", "v");
  rig.Demote();
  ASSERT_TRUE(rig.OnFlash("k"));
  EXPECT_EQ(rig.SlotsOf("k").slots[0].serial, first);
}

// Nobody looks again at classes that had nothing for flash, unless what may go there has changed.
TEST_F(DemoterTest, AWiderFloorOrCeilingIsHeededWithoutAnotherStore) {
  CacheOptions options = Small();
  options.flash_item_max_bytes = 500;
  CacheRig rig(options);
  SetMany(&rig, 0, 6'000);
  for (int i = 0; i < 100; ++i) rig.InDemoter().Step();
  ASSERT_EQ(rig.Stats().flash.demoted_items, 0U);
  options.flash_item_max_bytes = 0;  // half a batch
  ASSERT_TRUE(rig.cache->ChangeSettings(options).ok());
  for (int i = 0; i < 100; ++i) rig.InDemoter().Step();
  const uint64_t demoted = rig.Stats().flash.demoted_items;
  EXPECT_GT(demoted, 100U);
  options.flash_item_min_bytes = 2'000;
  ASSERT_TRUE(rig.cache->ChangeSettings(options).ok());
  SetMany(&rig, 6'000, 8'000);
  EXPECT_EQ(rig.Stats().flash.demoted_items, demoted);
}

TEST_F(DemoterTest, ASerialThatStateDoesNotCoverIsNeverUsed) {
  CacheRig rig;
  constexpr uint64_t kLast = (uint64_t{2} << storage::kSerialCounterBits) - 1;
  Demoter demoter(rig.InTiers(), kLast);
  const auto drain = [&] { return demoter.Drain(UINT64_MAX, [] { return false; }); };
  rig->Set("first", "v");
  EXPECT_EQ(drain(), 0U);
  rig->Set("second", "v");
  EXPECT_EQ(drain(), 1U);
  EXPECT_EQ(rig.store->Calls(BatchCall::kWrite), 1U);
  EXPECT_EQ(rig->Get("second"), "v");
  rig.InTiers().flash_online.store(true);
  demoter.AllowSerialsBelow(kLast + 2);
  EXPECT_EQ(drain(), 0U);
  EXPECT_EQ(rig.SlotsOf("first").slots[0].serial, kLast);
  EXPECT_EQ(rig.SlotsOf("second").slots[0].serial, kLast + 1);
}

// --- I6: the disk fails -----------------------------------------------------------------------------------------

TEST_F(DemoterTest, I6AFailedBatchCostsADemotionAndNothingElse) {
  CacheRig rig;
  for (int i = 0; i < 50; ++i) rig->Set(Name(i), "value");
  FailWrites(&rig, 1);
  rig.Demote();
  EXPECT_EQ(rig.Stats().flash.batches_failed, 1U);
  EXPECT_EQ(rig.Stats().flash.state, "online");
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(rig.InRam(Name(i)));
  rig.Demote();
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(rig.InRam(Name(i)));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(rig->Get(Name(i)), "value");
}

TEST_F(DemoterTest, I6AFileIngestedInSpiteOfItsErrorIsNeverReadAndGoesWithTheNextStep) {
  CacheRig rig;
  rig->Set("k", "old");
  FailWrites(&rig, 1, FaultyBatchStore::When::kAfter);
  rig.Demote();
  ASSERT_EQ(rig.memory->Serials().size(), 1U);
  const uint64_t orphan = rig.memory->Serials()[0];
  rig->Set("k", "new");
  rig.Demote();
  EXPECT_EQ(rig->Get("k"), "new");
  rig.InDemoter().Step();
  ASSERT_EQ(rig.memory->Serials().size(), 1U);
  EXPECT_GT(rig.memory->Serials()[0], orphan);  // its serial is burnt
  EXPECT_EQ(rig->Get("k"), "new");
}

TEST_F(DemoterTest, I6ThreeFailuresInARowTurnFlashOffAndRamServesOn) {
  CacheRig rig(Small());
  rig->Set("flash", "value");
  rig.Demote();
  FailWrites(&rig, UINT32_MAX);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(rig.Stats().flash.state, "online");
    rig->Set("k" + std::to_string(i), "value");
    rig.Demote();
  }
  const CacheStats stats = rig.Stats();
  EXPECT_FALSE(stats.flash.online);
  EXPECT_EQ(stats.flash.state, "offline: no space left on device");
  EXPECT_EQ(stats.flash.batches_failed, 3U);
  const uint64_t writes = rig.store->Calls(BatchCall::kWrite);
  rig.Demote();  // answered, and nothing is tried
  EXPECT_EQ(rig.store->Calls(BatchCall::kWrite), writes);
  SetMany(&rig, 0, 8'000);
  EXPECT_GT(rig.Stats().evictions, 0U);
  EXPECT_EQ(rig->Get(Name(7'999)), std::string(1'000, static_cast<char>('a' + 7'999 % 26)));
  EXPECT_EQ(rig->Get("flash"), "value");  // reading still works
}

TEST_F(DemoterTest, I6ADatabaseThatCannotBeReopenedTurnsFlashOffAtOnce) {
  CacheRig rig;
  rig->Set("k", "value");
  FailWrites(&rig, 1);
  rig.store->FailNth(BatchCall::kRecover, 1, Status(StatusCode::kIoError, "EIO"));
  rig.Demote();
  EXPECT_FALSE(rig.Stats().flash.online);
  EXPECT_EQ(rig->Get("k"), "value");
}

TEST_F(DemoterTest, Rule8MutationsRemoveSlotsWhileFlashIsOff) {
  CacheRig rig;
  for (const std::string_view key : {"set", "delete", "incr", "touch", "left"}) rig->Set(key, "10");
  rig.Demote();
  FailWrites(&rig, 3);
  for (int i = 0; i < 3; ++i) {
    rig->Set("other", "v");
    rig.Demote();
  }
  ASSERT_FALSE(rig.Stats().flash.online);
  EXPECT_EQ(rig->Set("set", "new"), Outcome::kStored);
  EXPECT_EQ(rig->Delete("delete"), Outcome::kDeleted);
  EXPECT_EQ(rig->Increment("incr", 1), Outcome::kStored);
  EXPECT_EQ(rig->Touch("touch", kStartS + 5), Outcome::kHit);
  for (const std::string_view key : {"set", "delete", "incr", "touch"})
    EXPECT_FALSE(rig.OnFlash(key)) << key;
  EXPECT_TRUE(rig.OnFlash("left"));
  rig.InTiers().flash_online.store(true);  // the disk is well again
  rig.Demote();
  EXPECT_EQ(rig->Get("set"), "new");
  EXPECT_FALSE(rig->Get("delete").Hit());
  EXPECT_EQ(rig->Get("incr"), "11");
  EXPECT_EQ(rig->Get("touch").meta.exptime_s, kStartS + 5);
  EXPECT_EQ(rig->Get("left"), "10");
}

TEST_F(DemoterTest, I6NothingIsWrittenBeyondFilesThatCannotBeRemoved) {
  CacheRig rig;
  rig->Set("old", "v");
  rig.Demote();
  const Status error(StatusCode::kIoError, "EIO");
  const auto kBefore = FaultyBatchStore::When::kBefore;
  rig.store->FailNth(BatchCall::kDrop, 1, error, kBefore, UINT32_MAX);
  rig.store->FailNth(BatchCall::kRetain, 1, error, kBefore, UINT32_MAX);
  rig.cache->FlushAll(0);
  rig.InDemoter().Step();
  const uint64_t writes = rig.store->Calls(BatchCall::kWrite);
  rig->Set("new", "v");
  for (int i = 0; i < 3; ++i) rig.Demote();
  EXPECT_EQ(rig.store->Calls(BatchCall::kWrite), writes);
  EXPECT_EQ(rig.Stats().flash.batches_failed, 0U);
  EXPECT_EQ(rig.Stats().flash.state, "offline: dropped batches cannot be removed: EIO");
  EXPECT_EQ(rig->Get("new"), "v");
  rig.store->Heal();
  rig.InTiers().flash_online.store(true);  // the disk is well again
  rig.Demote();
  EXPECT_TRUE(rig.OnFlash("new"));
  EXPECT_EQ(rig.memory->Serials().size(), 1U);
}

// --- Its thread ---------------------------------------------------------------------------------------------------

// All but the first sets and the end happens at sync points, on the demoter's own thread.
TEST_F(DemoterTest, ItsThreadComesForwardWhileItIsBehindAndNoLonger) {
  CacheRig rig(Small());
  storage::SlabArena& arena = *rig.InTiers().arena;
  ASSERT_EQ(rig->Set("k", std::string(1'000, 'v')), Outcome::kStored);
  const storage::SlabClass slab_class = rig.ClassOf("k");
  const uint64_t reserve = Small().flash_batch_bytes / arena.ChunkBytes(slab_class);
  int stored = 0;
  const auto store_until_half_is_left = [&] {
    while ((arena.FreePages() > 0 || arena.FreeChunks(slab_class) > reserve / 2) &&
           rig->Set(Name(stored++), std::string(1'000, 'v')) == Outcome::kStored) {
    }
  };
  const auto let_it_fall_behind = [&](uint64_t share) {  // by what no set sees
    while (share * arena.FreeChunks(slab_class) >= reserve) arena.Allocate(slab_class);
  };
  const auto told_to_wait = [&] {
    Draft draft;
    return rig.cache->Allocate(rig->KeyOf("k"), {.value_bytes = 1'000, .may_wait = true}, &draft) ==
           AllocateResult::kWait;
  };
  std::vector<bool> stands_back;
  const auto look = [&] { stands_back.push_back(rig.InDemoter().StandsBack()); };
  int batch = 0;
  std::promise<void> done;
  SyncPoints::Attach(SyncPoint::kDemoteCollected, [&] {
    if (++batch <= 3) look();
    if (batch == 3) done.set_value();
  });
  SyncPoints::Attach(SyncPoint::kDemoteBuilt, [&] {
    if (batch > 2) return;
    let_it_fall_behind(4);
    const uint64_t since_us = MonotonicUs();
    EXPECT_TRUE(told_to_wait());
    look();
    if (batch == 2) let_it_fall_behind(8);
    while (told_to_wait() && rig.InDemoter().StandsBack() &&
           MonotonicUs() - since_us < 10'000'000) {
    }
    if (batch == 1) {
      EXPECT_GT(MonotonicUs() - since_us, 100'000U);
    }
    look();
  });
  SyncPoints::Attach(SyncPoint::kDemoteSlotted, [&] {
    store_until_half_is_left();
    if (batch == 2) let_it_fall_behind(4);
  });
  store_until_half_is_left();
  ASSERT_TRUE(rig.cache->StartThreads().ok());
  const bool three =
      done.get_future().wait_for(std::chrono::minutes(1)) == std::future_status::ready;
  rig.InDemoter().Join();
  for (const SyncPoint point :
       {SyncPoint::kDemoteCollected, SyncPoint::kDemoteBuilt, SyncPoint::kDemoteSlotted}) {
    SyncPoints::Attach(point, nullptr);
  }
  ASSERT_TRUE(three);
  // When a batch begins, when a set waits, and when that takes too long or leaves too little. The second batch begins
  // with room again, the third one without.
  EXPECT_EQ(stands_back, (std::vector<bool>{true, true, false, true, true, false, false}));
}

}  // namespace
}  // namespace terraced::tiering
