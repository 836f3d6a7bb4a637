// Quota, second chances, sweep and the telling apart of collisions, cranked through the demoter's rounds.
#include "tiering/flash_keeper.h"

#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

std::string Name(int i) {
  return "key" + std::to_string(i);
}

class FlashKeeperTest : public testing::Test {
 protected:
  static CacheOptions SmallQuota() {
    CacheOptions options = RigOptions();
    options.flash_batch_bytes = 64U << 10;
    options.flash_size_bytes = 1U << 20;
    return options;
  }
  static uint64_t Accounted(const CacheStats& stats) {
    return stats.evictions + stats.commands.flash_index_collisions;
  }
};

// --- Quota --------------------------------------------------------------------------------------------------------

TEST_F(FlashKeeperTest, TheOldestBatchesGoBeforeTheQuotaIsPassed) {
  CacheOptions options = SmallQuota();
  options.second_chance_pct = 0;
  CacheRig rig(options);
  uint64_t peak = 0;
  for (int i = 0; i < 20'000; i += 250) {
    rig.Fill(i, i + 250);
    peak = std::max(peak, rig.Stats().flash.bytes_used);
  }
  EXPECT_LE(peak, options.flash_size_bytes);
  const CacheStats stats = rig.Stats();
  EXPECT_GT(stats.flash.batches_dropped, 30U);
  EXPECT_GT(stats.flash.records_evicted, 10'000U);
  EXPECT_LE(rig.Missing(20'000 - 3'500, 20'000),
            stats.commands.flash_index_collisions);  // 0.7 of the quota
  EXPECT_EQ(rig.Missing(0, 10'000), 10'000U);
  EXPECT_EQ(rig.Missing(0, 20'000), Accounted(stats));  // exactly
  EXPECT_EQ(rig.Stats().curr_items, 20'000U - Accounted(stats));
}

TEST_F(FlashKeeperTest, TheQuotaHasRoomForTheIndexFileOfACleanStop) {
  CacheOptions options = SmallQuota();
  options.flash_batch_bytes = 16U << 10;
  options.second_chance_pct = 0;
  CacheRig rig(options);
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_EQ(rig->Set(Name(i), "v"), Outcome::kStored);
    if (i % 500 != 499) continue;
    rig.Demote();
    const CacheStats stats = rig.Stats();
    ASSERT_LE(stats.flash.bytes_used + stats.flash.index_slots * 4, options.flash_size_bytes) << i;
  }
  EXPECT_GT(rig.Stats().flash.batches_dropped, 10U);
  EXPECT_GT(rig.Stats().flash.index_slots * 4, 64U << 10);
}

TEST_F(FlashKeeperTest, ABatchThatIsMostlyDeadGoesBeforeTheOldest) {
  CacheOptions options = SmallQuota();
  options.second_chance_pct = 0;
  CacheRig rig(options);
  rig.Fill(0, 500);
  for (int i = 250; i < 490; ++i) ASSERT_EQ(rig->Delete(Name(i)), Outcome::kDeleted);
  int i = 1'000;
  while (rig.Stats().flash.batches_dropped == 0) {
    rig.Fill(i, i + 250);
    i += 250;
  }
  EXPECT_EQ(rig.Missing(0, 250), 0U);
  EXPECT_EQ(rig.Missing(490, 500), 10U);
  EXPECT_EQ(rig.Stats().evictions, 10U);
}

TEST_F(FlashKeeperTest, WhatIsInRamTooIsNotLostWithItsBatch) {
  CacheOptions options = SmallQuota();
  options.second_chance_pct = 0;
  CacheRig rig(options);
  rig.Fill(0, 250);
  for (int i = 0; i < 10; ++i) {
    rig->Get(Name(i));
    rig->Get(Name(i));
    ASSERT_TRUE(rig.InRam(Name(i)));
  }
  const storage::BatchNumber number = rig.SlotsOf(Name(0)).slots[0].number;
  FlashKeeper keeper(rig.InTiers(), options.flash_batch_bytes);
  keeper.Drop({number});
  EXPECT_EQ(rig.Stats().evictions, 240U);
  EXPECT_EQ(rig.Stats().curr_items, 10U);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(rig->Get(Name(i)).Hit());
  // The hint is void: they are written again, not dropped (rule 4).
  rig.Demote();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(rig.OnFlash(Name(i)));
  EXPECT_EQ(rig.Stats().flash.clean_drops, 0U);
}

TEST_F(FlashKeeperTest, FlushedBatchesGoWithTheNextStepAndAreNoEvictions) {
  CacheRig rig;
  rig.Fill(0, 500);
  ASSERT_GT(rig.memory->Serials().size(), 0U);
  rig.cache->FlushAll(0);
  rig.InDemoter().Step();
  EXPECT_EQ(rig.memory->Serials().size(), 0U);
  EXPECT_EQ(rig.Stats().evictions, 0U);
  EXPECT_EQ(rig.Stats().flash.bytes_used, 0U);
}

TEST_F(FlashKeeperTest, AFileThatCannotBeRemovedIsDeadAllTheSame) {
  CacheRig rig;
  rig->Set("k", "old");
  rig.Demote();
  rig.store->FailNth(BatchCall::kDrop, 1, Status(StatusCode::kIoError, "EIO"));
  rig.cache->FlushAll(0);
  rig.InDemoter().Step();
  EXPECT_EQ(rig.memory->Serials().size(), 1U);
  EXPECT_FALSE(rig->Get("k").Hit());
  rig->Set("k", "new");
  rig.Demote();
  EXPECT_EQ(rig->Get("k"), "new");
}

TEST_F(FlashKeeperTest, AFileThatCouldNotBeRemovedGoesWithTheNextStep) {
  CacheRig rig;
  rig->Set("k", "old");
  rig.Demote();
  rig.store->FailNth(BatchCall::kDrop, 1, Status(StatusCode::kIoError, "EIO"));
  rig.cache->FlushAll(0);
  rig.InDemoter().Step();
  ASSERT_EQ(rig.memory->Serials().size(), 1U);
  rig.InDemoter().Step();
  EXPECT_EQ(rig.memory->Serials().size(), 0U);
  EXPECT_EQ(rig.Stats().flash.state, "online");
}

TEST_F(FlashKeeperTest, OrphansThatCouldNotBeRemovedAreLookedForAgainAfterAWhile) {
  CacheRig rig;
  std::string bytes;
  storage::EncodeRecord(77, "k", {}, "value", &bytes);
  const storage::BatchRecord record{.key = "k", .record = bytes, .hash = rig->KeyOf("k").hash};
  ASSERT_TRUE(rig.memory->Write(77, {&record, 1}, nullptr).ok());
  rig.store->FailNth(BatchCall::kRetain, 1, Status(StatusCode::kIoError, "EIO"));
  rig.InDemoter().Step();
  rig.InDemoter().Step();
  EXPECT_EQ(rig.store->Calls(BatchCall::kRetain), 1U);
  EXPECT_EQ(rig.Stats().flash.state, "online");
  rig.clock.Set(kStartS + 20);
  rig.InDemoter().Step();
  EXPECT_TRUE(rig.memory->Serials().empty());
  rig.clock.Set(kStartS + 40);
  rig.InDemoter().Step();
  EXPECT_EQ(rig.store->Calls(BatchCall::kRetain), 2U);  // and no more
}

TEST_F(FlashKeeperTest, OrphansGoWithTheFirstStep) {
  CacheRig rig;
  std::string bytes;
  storage::EncodeRecord(77, "k", {}, "value", &bytes);
  const storage::BatchRecord record{.key = "k", .record = bytes, .hash = rig->KeyOf("k").hash};
  ASSERT_TRUE(rig.memory->Write(77, {&record, 1}, nullptr).ok());
  rig.InDemoter().Step();
  EXPECT_TRUE(rig.memory->Serials().empty());
}

TEST_F(FlashKeeperTest, NumbersAreReusedOnlyAfterASweep) {
  CacheRig rig;
  rig->Set("k", "v");
  rig.Demote();
  const storage::BatchNumber number = rig.SlotsOf("k").slots[0].number;
  FlashKeeper keeper(rig.InTiers(), 1U << 20);
  keeper.Drop({number});
  EXPECT_EQ(rig.InTiers().batches.UsedNumbers(), 1U);
  EXPECT_FALSE(rig.OnFlash("k"));
  EXPECT_EQ(rig.InTiers().batches.Live(number), 1);  // the slot is still there, and does not stand
  keeper.SweepIfNeeded(false);                       // one dead batch is not worth a sweep
  EXPECT_EQ(rig.InTiers().batches.UsedNumbers(), 1U);
  keeper.SweepIfNeeded(true);
  EXPECT_EQ(rig.InTiers().batches.UsedNumbers(), 0U);
}

TEST_F(FlashKeeperTest, SmallBatchesAreMergedWhenTheirNumbersRunOut) {
  CacheOptions options = RigOptions();
  options.slabs.slab_sizes = {128, 512U << 10};  // fewer lists to walk at each of these demotions
  CacheRig rig(options);
  constexpr int kItems = static_cast<int>(storage::kBatchesMax) + 200;
  for (int i = 0; i < kItems; ++i) {
    rig->Set(Name(i), "value");
    rig.Demote();
  }
  EXPECT_LT(rig.InTiers().batches.UsedNumbers(), storage::kBatchesMax);
  EXPECT_GT(rig.Stats().flash.second_chances, 200U);
  EXPECT_EQ(rig.Stats().evictions, 0U);
  EXPECT_EQ(rig.Missing(0, kItems), rig.Stats().commands.flash_index_collisions);
}

// --- Drops and their races ------------------------------------------------------------------------------------------

class DropTest : public FlashKeeperTest {
 protected:
  void SetUp() override {
    rig_->Set("k", "value");
    rig_.Demote();
    number_ = rig_.SlotsOf("k").slots[0].number;
  }
  CacheRig rig_;
  CacheClient other_{*rig_.cache};
  FlashKeeper keeper_{rig_.InTiers(), 1U << 20};
  storage::BatchNumber number_ = storage::kNoBatch;
};

TEST_F(DropTest, AGetBeforeTheSerialDiesHits) {
  const Race race(SyncPoint::kDropBegin, [&] { EXPECT_EQ(other_.Get("k"), "value"); });
  keeper_.Drop({number_});
  EXPECT_TRUE(race.Ran());
  EXPECT_FALSE(rig_->Get("k").Hit());
}

TEST_F(DropTest, AGetAfterTheSerialDiedMissesWhileTheFileIsStillThere) {
  const Race race(SyncPoint::kDropDead, [&] {
    EXPECT_FALSE(other_.Get("k").Hit());
    EXPECT_EQ(other_.Store(StoreMode::kAdd, "k", "new"), Outcome::kStored);
  });
  keeper_.Drop({number_});
  EXPECT_EQ(rig_->Get("k"), "new");
}

TEST_F(DropTest, Rule3AFillOfABatchThatWasDroppedDuringTheReadIsAMiss) {
  const Race race(SyncPoint::kFillRead, [&] { keeper_.Drop({number_}); });
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_FALSE(rig_->Get("k").Hit());
}

TEST_F(DropTest, Rule5AFillIsNotTakenForABatchThatGotTheSameNumber) {
  const Race race(SyncPoint::kFillRead, [&] {
    keeper_.Drop({number_});
    keeper_.SweepIfNeeded(true);
    // Every other number is taken, so that the next batch gets the one that was freed.
    uint64_t serial = 1ULL << 30;
    std::vector<storage::BatchNumber> taken;
    while (const auto number = rig_.InTiers().batches.Open({.serial = ++serial, .epoch = 1})) {
      if (*number == number_) break;
      rig_.InTiers().batches.Kill(*number);
      rig_.InTiers().batches.Free(*number);
    }
    ASSERT_NE(rig_.InTiers().batches.SerialOf(number_), storage::kNoSerial);
    const uint64_t hash = rig_->KeyOf("k").hash;
    Shard& shard = rig_.InTiers().ShardOf(hash);
    const MutexLock lock(shard.mutex);
    rig_.InTiers().index.Add(shard.Number(), hash, number_, false);
  });
  EXPECT_FALSE(rig_->Get("k").Hit());  // what the new batch holds of it: nothing
  EXPECT_GE(rig_.Stats().commands.flash_reads_retried, 1U);
}

// --- Second chances ---------------------------------------------------------------------------------------------------

class SecondChanceTest : public FlashKeeperTest {
 protected:
  explicit SecondChanceTest(uint32_t pct = 25) : rig_(Options(pct)) {}
  static CacheOptions Options(uint32_t pct) {
    CacheOptions options = SmallQuota();
    options.second_chance_pct = pct;
    options.promote_hits = 0;
    return options;
  }
  // Fills until the first batch has gone.
  void DropTheFirst() {
    const storage::BatchNumber first = rig_.InTiers().batches.Living().front();
    const uint64_t serial = rig_.InTiers().batches.SerialOf(first);
    for (int i = 10'000; rig_.InTiers().batches.SerialOf(first) == serial; i += 250)
      rig_.Fill(i, i + 250);
  }
  CacheRig rig_;
};

TEST_F(SecondChanceTest, RecordsThatWereHitOutliveTheirBatch) {
  rig_.Fill(0, 250);
  for (int i = 0; i < 20; ++i) rig_->Get(Name(i));
  const uint64_t serial = rig_.SlotsOf(Name(0)).slots[0].serial;
  DropTheFirst();
  EXPECT_EQ(rig_.Missing(0, 20), 0U);
  EXPECT_EQ(rig_.Missing(20, 250), 230U);
  EXPECT_GT(rig_.SlotsOf(Name(0)).slots[0].serial, serial);
  EXPECT_EQ(rig_.Stats().flash.second_chances, 20U);
  EXPECT_EQ(rig_.Stats().evictions, 230U);
}

TEST_F(SecondChanceTest, OnlyUpToItsShareOfTheBatch) {
  rig_.Fill(0, 250);
  for (int i = 0; i < 250; ++i) rig_->Get(Name(i));
  DropTheFirst();
  const uint64_t kept = rig_.Stats().flash.second_chances;
  EXPECT_GT(kept, 50U);
  EXPECT_LT(kept, 70U);
  EXPECT_EQ(rig_.Missing(0, 250), 250U - kept);
  EXPECT_EQ(rig_.Stats().evictions, 250U - kept);
}

TEST_F(SecondChanceTest, ExpiredRecordsGetNone) {
  rig_->Set("k", std::string(150, 'k'), 0, kStartS + 10);
  rig_.Fill(0, 200);
  rig_->Get("k");
  rig_.clock.Set(kStartS + 10);
  DropTheFirst();
  EXPECT_EQ(rig_.Stats().flash.second_chances, 0U);
}

TEST_F(SecondChanceTest, I4ARewrittenRecordKeepsItsMeta) {
  rig_->Set("k", std::string(150, 'k'), 77, kStartS + 10'000);
  const uint64_t cas_unique = rig_->cas_unique;
  rig_.Fill(0, 200);
  rig_->Get("k");
  DropTheFirst();
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, std::string(150, 'k'));
  EXPECT_EQ(got.meta.client_flags, 77U);
  EXPECT_EQ(got.meta.exptime_s, kStartS + 10'000);
  EXPECT_EQ(got.meta.cas_unique, cas_unique);
  EXPECT_TRUE(got.meta.fetched);  // by the get that earned it
}

TEST_F(SecondChanceTest, Rule6ASetBetweenReadAndSlotWins) {
  rig_.Fill(0, 250);
  rig_->Get(Name(3));
  const Race race(SyncPoint::kSecondChanceRead, [&] { rig_->Set(Name(3), "new"); });
  DropTheFirst();
  ASSERT_TRUE(race.Ran());
  EXPECT_EQ(rig_->Get(Name(3)), "new");
  EXPECT_EQ(rig_.Stats().flash.second_chances, 0U);
}

TEST_F(SecondChanceTest, Rule6ADeleteBetweenReadAndSlotStays) {
  rig_.Fill(0, 250);
  rig_->Get(Name(3));
  const Race race(SyncPoint::kSecondChanceRead,
                  [&] { EXPECT_EQ(rig_->Delete(Name(3)), Outcome::kDeleted); });
  DropTheFirst();
  EXPECT_FALSE(rig_->Get(Name(3)).Hit());
}

TEST_F(SecondChanceTest, Rule6AFlushBetweenReadAndSlotStays) {
  rig_.Fill(0, 250);
  rig_->Get(Name(3));
  const Race race(SyncPoint::kSecondChanceRead, [&] { rig_.cache->FlushAll(0); });
  DropTheFirst();
  EXPECT_FALSE(rig_->Get(Name(3)).Hit());
}

TEST_F(SecondChanceTest, Rule6AMutationWhileTheNewBatchIsIngestedStays) {
  rig_.Fill(0, 250);
  rig_->Get(Name(3));
  rig_->Get(Name(4));
  SyncPoints::Attach(SyncPoint::kSecondChanceRead, [&] {
    SyncPoints::Attach(SyncPoint::kDemoteIngested, [&] {
      SyncPoints::Attach(SyncPoint::kDemoteIngested, nullptr);
      EXPECT_EQ(rig_->Delete(Name(3)), Outcome::kDeleted);
      EXPECT_EQ(rig_->Touch(Name(4), kStartS + 77), Outcome::kHit);
    });
  });
  DropTheFirst();
  SyncPoints::Attach(SyncPoint::kSecondChanceRead, nullptr);
  EXPECT_FALSE(rig_->Get(Name(3)).Hit());
  EXPECT_EQ(rig_->Get(Name(4)).meta.exptime_s, kStartS + 77);
}

TEST_F(SecondChanceTest, Rule6ASourceOutlivesAFailedRewrite) {
  rig_.Fill(0, 250);
  rig_->Get(Name(3));
  {
    const Race race(SyncPoint::kSecondChanceRead, [&] {
      rig_.store->FailNth(BatchCall::kWrite, 1, Status(StatusCode::kNoSpace, "full"));
    });
    for (int i = 20'000; !race.Ran(); i += 250) rig_.Fill(i, i + 250);
  }
  EXPECT_EQ(rig_->Get(Name(3)), std::string(150, 'd'));
  EXPECT_GE(rig_.Stats().flash.batches_failed, 1U);
  rig_->Get(Name(3));
  DropTheFirst();
  EXPECT_TRUE(rig_->Get(Name(3)).Hit());
}

class NoSecondChanceTest : public SecondChanceTest {
 protected:
  NoSecondChanceTest() : SecondChanceTest(0) {}
};
TEST_F(NoSecondChanceTest, NoneIsGiven) {
  rig_.Fill(0, 250);
  for (int i = 0; i < 20; ++i) rig_->Get(Name(i));
  DropTheFirst();
  EXPECT_EQ(rig_.Stats().flash.second_chances, 0U);
  EXPECT_EQ(rig_.Missing(0, 250), 250U);
}

// --- Collisions -----------------------------------------------------------------------------------------------------------

class CollisionTest : public FlashKeeperTest {
 protected:
  uint64_t Collisions() {
    rig_.InDemoter().Step();
    EXPECT_EQ(rig_.Stats().flash.removals_unverified, 0U);
    return rig_.Stats().commands.flash_index_collisions;
  }
  CacheRig rig_;
};

TEST_F(CollisionTest, OverwritingOnesOwnRecordIsNone) {
  rig_->Set("k", "old");
  rig_.Demote();
  rig_->Set("k", "new");
  EXPECT_EQ(rig_.Stats().flash.removals_unverified, 1U);
  EXPECT_EQ(Collisions(), 0U);
}

TEST_F(CollisionTest, TheRemovalsOfABatchAreLookedUpInOnePass) {
  for (int i = 0; i < 3'000; ++i) rig_->Set(Name(i), "old");
  rig_.Demote();
  const uint64_t batches = rig_.Stats().flash.batches;
  const uint64_t before = rig_.store->Calls(BatchCall::kHashes);
  for (int i = 0; i < 3'000; ++i) rig_->Set(Name(i), "new");
  EXPECT_GT(rig_.Stats().flash.removals_unverified, 2'990U);
  const uint64_t collisions = Collisions();
  EXPECT_LE(rig_.store->Calls(BatchCall::kHashes), before + batches);
  EXPECT_LT(collisions, 10U);
}

TEST_F(CollisionTest, RemovalsAreToldApartBeforeTheirBatchGoes) {
  const auto [key, twin] = rig_.TwoOfOneIdentity();
  rig_->Set(twin, "twin");
  rig_->Set("left", "v");
  rig_.Demote();
  rig_->Set(key, "value");
  rig_.Demote();
  rig_->Set("left", "new");
  const storage::BatchNumber first = rig_.InTiers().batches.Living().front();
  FlashKeeper keeper(rig_.InTiers(), 1U << 20);
  keeper.Drop({first});
  EXPECT_EQ(rig_.Stats().flash.removals_unverified, 0U);
  EXPECT_EQ(rig_.Stats().flash.removals_not_verified, 0U);
  EXPECT_EQ(rig_.Stats().commands.flash_index_collisions, 1U);
}

TEST_F(CollisionTest, Rule1ASetTakesTheNeighboursSlotAndItIsCounted) {
  const auto [key, twin] = rig_.TwoOfOneIdentity();
  rig_->Set(twin, "twin");
  rig_.Demote();
  rig_->Set(key, "value");
  EXPECT_FALSE(rig_->Get(twin).Hit());
  EXPECT_EQ(Collisions(), 1U);
  EXPECT_EQ(rig_->Get(key), "value");
}

// Their batch has both hashes, so looking them up does not tell that one was lost with the other.
TEST_F(CollisionTest, ANeighbourOfTheSameBatchIsCountedWhateverTakesTheSlot) {
  const auto [key, twin] = rig_.TwoOfOneIdentity();
  const auto both_on_flash = [&, key = key, twin = twin] {
    rig_->Set(key, "1", 0, kStartS + 100);
    rig_->Set(twin, "twin");
    rig_.Demote();
    ASSERT_EQ(rig_->Get(twin), "twin");
    ASSERT_EQ(rig_->Get(key), "1");
    rig_.Demote();
  };
  ASSERT_NO_FATAL_FAILURE(both_on_flash());
  rig_->Set(key, "new");
  EXPECT_FALSE(rig_->Get(twin).Hit());
  EXPECT_EQ(Collisions(), 1U);
  ASSERT_NO_FATAL_FAILURE(both_on_flash());
  EXPECT_EQ(rig_->Increment(key, 1), Outcome::kStored);
  EXPECT_FALSE(rig_->Get(twin).Hit());
  EXPECT_EQ(Collisions(), 2U);
  ASSERT_NO_FATAL_FAILURE(both_on_flash());
  rig_.clock.Set(kStartS + 1'000);  // the key expires
  EXPECT_FALSE(rig_->Get(key).Hit());
  EXPECT_FALSE(rig_->Get(twin).Hit());
  EXPECT_EQ(Collisions(), 3U);
}

TEST_F(CollisionTest, ACommandThatHasReadItsRecordKnowsAtOnce) {
  const auto [key, twin] = rig_.TwoOfOneIdentity();
  rig_->Set(twin, "twin");
  rig_.Demote();
  rig_->Set(key, "1");  // one collision
  rig_.Demote();
  rig_->Set(twin, "twin");  // another
  EXPECT_EQ(Collisions(), 2U);
  EXPECT_FALSE(rig_->Get(key).Hit());
  // Both at once, in two batches: touching one loses the other.
  rig_->Set(key, "1");
  const Race race(SyncPoint::kDemoteSlotted, [&, twin = twin] { rig_->Set(twin + "x", "v"); });
  rig_.Demote();
  EXPECT_EQ(rig_->Increment(key, 1), Outcome::kStored);
  EXPECT_EQ(rig_->Get(key), "2");
}

TEST_F(CollisionTest, AMutationInRamLosesTheNeighboursRecordAndCountsIt) {
  const auto [key, twin] = rig_.TwoOfOneIdentity();
  rig_->Set(key, "1");
  rig_->Set(twin, "twin");
  // The twin's record gets a slot of its own, while the key stays in RAM.
  AdmissionPolicy admission(rig_.InTiers().live);
  BatchBuilder builder(rig_.InTiers(), admission, 5, rig_.InTiers().flush.Current(),
                       {.ram_bytes = 1U << 20});
  Shard& shard = rig_.InTiers().ShardOf(rig_->KeyOf(key).hash);
  CollectRules rules;
  rules.everything = true;
  rules.item_bytes_max = 1'000;
  const storage::SlabClass slab_class = rig_.ClassOf(key);
  {
    const MutexLock lock(shard.mutex);
    shard.ram.MoveTo(shard.ram.Find(rig_->KeyOf(twin).hash, twin), storage::LruSegment::kWarm);
  }
  ASSERT_EQ(builder.Collect(shard, slab_class, storage::LruSegment::kWarm, 1, rules), 1U);
  ASSERT_TRUE(builder.Write().ok());
  builder.Slot(rig_.InTiers().batches.Open({.serial = 5, .epoch = 1, .record_count = 1}).value(),
               InRam::kNone);
  ASSERT_EQ(rig_->Get(twin), "twin");
  EXPECT_EQ(rig_->Increment(key, 1), Outcome::kStored);
  EXPECT_EQ(rig_.Stats().commands.flash_index_collisions, 1U);
  EXPECT_FALSE(rig_->Get(twin).Hit());
}

}  // namespace
}  // namespace terraced::tiering
