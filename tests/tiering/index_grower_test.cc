// Growth over lists that cannot be read: what it costs, and that it goes on; growth by itself, with commands in
// the middle of it.
#include "tiering/index_grower.h"

#include <set>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

std::string Name(int i) {
  return "key" + std::to_string(i);
}

class IndexGrowerTest : public testing::Test {
 protected:
  static constexpr int kFirst = 8'000;
  static constexpr int kAll = 20'000;

  IndexGrowerTest() { Fill(0, kFirst); }
  void Fill(int first, int last) {
    for (int i = first; i < last; ++i) {
      ASSERT_EQ(rig_->Set(Name(i), "value"), Outcome::kStored);
      if (i % 250 == 249) rig_.Demote();  // a batch
    }
    rig_.Demote();
  }
  // Keys that are gone, and that they are accounted for.
  uint64_t Missing() {
    rig_.InDemoter().Step();
    uint64_t missing = 0;
    for (int i = 0; i < kAll; ++i) missing += rig_->Get(Name(i)).Hit() ? 0 : 1;
    const CacheStats stats = rig_.Stats();
    EXPECT_EQ(missing, stats.evictions + stats.commands.flash_index_collisions);
    return missing;
  }
  uint64_t OldestSerial() {
    return rig_.InTiers().batches.Info(rig_.InTiers().batches.Living().front()).serial;
  }

  CacheRig rig_;
};

TEST_F(IndexGrowerTest, ADamagedListCostsItsOwnBatchOnly) {
  const uint64_t serial = OldestSerial();
  ASSERT_TRUE(rig_.memory->FailHashes(serial, Status(StatusCode::kCorruption, "damaged")));
  const uint64_t growths = rig_.Stats().flash.index_growths;
  Fill(kFirst, kAll);
  const CacheStats stats = rig_.Stats();
  EXPECT_EQ(stats.flash.batches_damaged, 1U);
  EXPECT_GT(stats.flash.index_growths, growths);
  EXPECT_EQ(stats.ram_items, 0U);
  EXPECT_NE(OldestSerial(), serial);
  EXPECT_GT(Missing(), 200U);
  EXPECT_LE(Missing(), 260U);
}

TEST_F(IndexGrowerTest, SeveralDamagedListsCostTheirBatchesOnly) {
  const std::vector<uint64_t> serials = rig_.memory->Serials();
  for (const size_t i : {size_t{3}, size_t{7}, size_t{8}, size_t{11}, size_t{20}, size_t{30}}) {
    rig_.memory->FailHashes(serials[i], Status(StatusCode::kNotFound, "no such list"));
  }
  Fill(kFirst, kAll);
  EXPECT_EQ(rig_.Stats().flash.batches_damaged, 6U);
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
  EXPECT_LE(Missing(), 6U * 250 + 30);
}

TEST_F(IndexGrowerTest, AListThatTheDiskRefusesIsAskedForThreeTimes) {
  const uint64_t serial = OldestSerial();
  ASSERT_TRUE(rig_.memory->FailHashes(serial, Status(StatusCode::kIoError, "EIO")));
  Fill(kFirst, kAll);
  EXPECT_EQ(rig_.Stats().flash.batches_damaged, 1U);
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
  EXPECT_LE(Missing(), 260U);
}

TEST_F(IndexGrowerTest, WhereMostListsAreRefusedTheDiskIsIllAndNothingIsDropped) {
  rig_.store->FailNth(BatchCall::kHashes, 1, Status(StatusCode::kIoError, "EIO"),
                      FaultyBatchStore::When::kBefore, UINT32_MAX);
  for (int i = kFirst; i < kAll; ++i) ASSERT_EQ(rig_->Set(Name(i), "value"), Outcome::kStored);
  rig_.Demote();
  EXPECT_GT(rig_.Stats().ram_items, 1'000U);
  EXPECT_EQ(rig_.Stats().flash.batches_damaged, 0U);
  EXPECT_EQ(rig_.Stats().evictions, 0U);
  rig_.store->Heal();
  rig_.Demote();
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
}

TEST_F(IndexGrowerTest, ABatchWhoseOwnListIsDamagedIsGivenUpAndItsItemsStay) {
  for (int i = kFirst; i < kAll; ++i) ASSERT_EQ(rig_->Set(Name(i), "value"), Outcome::kStored);
  {
    const Race race(SyncPoint::kDemoteIngested, [&] {
      rig_.memory->FailHashes(rig_.memory->Serials().back(),
                              Status(StatusCode::kCorruption, "damaged"));
    });
    rig_.Demote();
    ASSERT_TRUE(race.Ran());
  }
  EXPECT_EQ(rig_.Stats().flash.batches_damaged, 1U);
  EXPECT_EQ(rig_.Stats().evictions, 0U);
  rig_.Demote();
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
  EXPECT_LE(Missing(), 20U);
}

// --- Growth by itself, and commands in the middle of it -----------------------------------------------------------

class GrowthTest : public testing::TestWithParam<SyncPoint> {
 protected:
  static constexpr int kItems = 30'000;
};

TEST_F(GrowthTest, TheIndexGrowsByItselfAndLosesNothing) {
  CacheRig rig;
  rig.Fill(0, kItems);
  const CacheStats stats = rig.Stats();
  EXPECT_GT(stats.flash.index_growths, 255U);
  EXPECT_EQ(stats.evictions, 0U);
  EXPECT_EQ(rig.Missing(0, kItems), stats.commands.flash_index_collisions);
  EXPECT_LT(stats.commands.flash_index_collisions, 30U);
  EXPECT_EQ(stats.curr_items, kItems - stats.commands.flash_index_collisions);
  EXPECT_GT(stats.flash.index_slots, stats.flash.items);
}

TEST_P(GrowthTest, Rule7MutationsWhileAPartitionGrowsAreKept) {
  CacheRig rig;
  CacheClient other(*rig.cache);
  rig.Fill(0, 8'000);
  int next = 0;
  std::set<int> deleted;
  std::set<int> changed;
  SyncPoints::Attach(GetParam(), [&] {
    for (int i = 0; i < 300 && next + 3 < 8'000; ++i, next += 3) {
      if (other.Delete(Name(next)) == Outcome::kDeleted) deleted.insert(next);
      if (other.Set(Name(next + 1), "new") == Outcome::kStored) changed.insert(next + 1);
    }
  });
  rig.Fill(10'000, 10'000 + kItems);
  SyncPoints::Attach(GetParam(), nullptr);
  rig.InDemoter().Step();
  ASSERT_GT(deleted.size(), 1'000U);
  uint64_t missing = rig.Missing(10'000, 10'000 + kItems);
  for (int i = 0; i < 8'000; ++i) {
    const Got got = rig->Get(Name(i));
    if (deleted.contains(i)) {
      ASSERT_FALSE(got.Hit()) << i;
    } else if (!got.Hit()) {
      ++missing;
    } else {
      ASSERT_EQ(got, changed.contains(i) ? std::string("new")
                                         : std::string(150, static_cast<char>('a' + i % 26)));
    }
  }
  EXPECT_EQ(rig.Stats().evictions, 0U);
  // A key that was lost and stored again counts there, and is not missing.
  EXPECT_LE(missing, rig.Stats().commands.flash_index_collisions);
  EXPECT_LT(rig.Stats().commands.flash_index_collisions, 30U);
}
INSTANTIATE_TEST_SUITE_P(Points, GrowthTest,
                         testing::Values(SyncPoint::kGrowBegin, SyncPoint::kGrowSwitch),
                         [](const auto& info) {
                           return std::string(kSyncPointNames[static_cast<size_t>(info.param)]);
                         });

TEST_F(GrowthTest, AGrowthWhoseListsCannotBeReadIsGivenUpAndCostsNothing) {
  constexpr int kFewer = 20'000;
  CacheRig rig;
  rig.Fill(0, 8'000);
  rig.store->FailNth(BatchCall::kHashes, 1, Status(StatusCode::kIoError, "EIO"),
                     FaultyBatchStore::When::kBefore, UINT32_MAX);
  for (int i = 8'000; i < kFewer; ++i) rig->Set(Name(i), "v");
  rig.Demote();
  EXPECT_GT(rig.Stats().flash.index_full, 0U);
  const uint64_t missing = rig.Missing(0, kFewer);
  EXPECT_LE(missing,
            rig.Stats().flash.removals_not_verified);  // nor could collisions be told apart
  EXPECT_LT(missing, 10U);
  rig.store->Heal();
  rig.Demote();
  EXPECT_EQ(rig.Stats().ram_items, 0U);
  EXPECT_EQ(rig.Missing(0, kFewer), missing + rig.Stats().commands.flash_index_collisions);
}

TEST_F(GrowthTest, Rule3AFillSurvivesAGrowthDuringItsRead) {
  CacheRig rig;
  rig->Set("k", "value");
  rig.Demote();
  CacheClient other(*rig.cache);
  const Race race(SyncPoint::kFillRead, [&] {
    for (int i = 0; i < kItems; ++i) other.Set(Name(i), "v");
    rig.Demote();
  });
  EXPECT_EQ(rig->Get("k"), "value");
  EXPECT_GT(rig.Stats().flash.index_growths, 255U);
}

}  // namespace
}  // namespace terraced::tiering
