// Growth over lists that cannot be read: what it costs, and that it goes on.
#include "tiering/index_grower.h"

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

}  // namespace
}  // namespace terraced::tiering
