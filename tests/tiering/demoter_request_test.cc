// Requests to demote everything, which clients of a test or of the history checker make while others go on storing.
#include <gtest/gtest.h>

#include <string>

#include "tests/tiering/demoter_fixture.h"

namespace terraced::tiering {
namespace {

class DemoterRequestTest : public DemoterTest {};

TEST_F(DemoterRequestTest, ACancelledItemGoesWithTheNextBatchOfTheSame) {
  CacheRig rig;
  rig->Set("k", "old");
  const Race race(SyncPoint::kDemoteBuilt, [&] { rig->Set("k", "new"); });
  rig.Demote();
  EXPECT_FALSE(rig.InRam("k"));
  EXPECT_EQ(rig->Get("k"), "new");
  EXPECT_EQ(rig.Stats().flash.batches_written, 2U);
  EXPECT_EQ(rig.Stats().flash.batches, 1U);  // the first one held nothing that counts
  EXPECT_EQ(rig.Stats().commands.flash_demotions_cancelled, 1U);
}

TEST_F(DemoterRequestTest, TakesWhatWasThereHoweverMuchIsStoredMeanwhile) {
  CacheOptions options = Small();
  options.slabs.limit_bytes = 16U << 20;
  options.flash_size_bytes = 64U << 20;
  CacheRig rig(options);
  constexpr int kThere = 1'000;
  for (int i = 0; i < kThere; ++i) rig->Set(Name(i), std::string(1'000, 'a'));
  int next = kThere;
  SyncPoints::Attach(SyncPoint::kDemoteSlotted, [&] {  // more than a batch takes
    for (const int end = next + 200; next < end; ++next)
      rig->Set(Name(next), std::string(1'000, 'b'));
  });
  rig.Demote();
  SyncPoints::Attach(SyncPoint::kDemoteSlotted, nullptr);
  EXPECT_GT(next, 2 * kThere);
  uint64_t missing = 0;
  for (int i = 0; i < kThere; ++i) {
    EXPECT_FALSE(rig.InRam(Name(i))) << Name(i);
    missing += rig.OnFlash(Name(i)) ? 0U : 1U;
  }
  const CacheStats stats = rig.Stats();
  EXPECT_LE(missing,
            stats.commands.flash_index_collisions + stats.flash.removals_unverified);  // rule 1
}

TEST_F(DemoterRequestTest, LeavesAListThatIsFilledAsFastAsItIsEmptied) {
  CacheOptions options = Small();
  options.flash_item_max_bytes = options.slabs.item_bytes_max;  // more than a batch
  CacheRig rig(options);
  const std::string value(size_t{2} * options.flash_batch_bytes, 'v');
  rig->Set("k", value);
  SyncPoints::Attach(SyncPoint::kDemoteSlotted, [&] { rig->Set("k", value); });
  rig.Demote();
  SyncPoints::Attach(SyncPoint::kDemoteSlotted, nullptr);
  EXPECT_GT(rig.Stats().flash.batches_written, 4U);  // it was taken again and again
}

TEST_F(DemoterRequestTest, ItsThreadAnswersRequests) {
  CacheRig rig;
  rig->Set("k", "v");
  ASSERT_TRUE(rig.cache->StartThreads().ok());
  CrankedExecutor executor;
  Flag done;
  rig.cache->DemoteAll(executor, &done);
  executor.Run();
  EXPECT_TRUE(done.raised);
  EXPECT_FALSE(rig.InRam("k"));
  EXPECT_EQ(rig->Get("k"), "v");
}

TEST_F(DemoterRequestTest, JoinAnswersWhoIsStillWaiting) {
  CacheRig rig;
  rig->Set("k", "v");
  CrankedExecutor executor;
  Flag done;
  rig.cache->DemoteAll(executor, &done);
  rig.InDemoter().Join();
  executor.Run();
  EXPECT_TRUE(done.raised);
}

}  // namespace
}  // namespace terraced::tiering
