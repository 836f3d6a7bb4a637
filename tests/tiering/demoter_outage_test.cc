// I6: outages of the disk, how they begin and how they end.
#include "tests/tiering/demoter_fixture.h"

namespace terraced::tiering {
namespace {

constexpr auto kBefore = FaultyBatchStore::When::kBefore;

class DemoterOutageTest : public DemoterTest {
 protected:
  static void FailForGood(CacheRig* rig, BatchCall call) {
    rig->store->FailNth(call, 1, Status(StatusCode::kNoSpace, "full"), kBefore, UINT32_MAX);
  }
  // A batch fails, and the disk is found to be full.
  static void TurnOff(CacheRig* rig) {
    FailForGood(rig, BatchCall::kWrite);
    FailForGood(rig, BatchCall::kRecover);
    ASSERT_EQ((*rig)->Set("lost to a batch", "v"), Outcome::kStored);
    rig->Demote();
    ASSERT_EQ(rig->Stats().flash.state, "offline: full");
  }
  static size_t Lines(const std::string& log, const std::string& words) {
    size_t lines = 0;
    for (size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) {
      ++lines;
    }
    return lines;
  }
};

TEST_F(DemoterOutageTest, EndsWithTheProbeSoThatTheNextOneIsSaidAndCounted) {
  CacheRig rig;
  testing::internal::CaptureStderr();
  for (int outage = 0; outage < 3; ++outage) {
    TurnOff(&rig);
    rig.InDemoter().TryAtOnce();
    EXPECT_EQ(rig.Stats().flash.state, "offline: full");
    rig.store->Heal();
    rig.InDemoter().TryAtOnce();
    EXPECT_EQ(rig.Stats().flash.state, "online");
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(rig.Stats().flash.outages, 3U);
  EXPECT_EQ(Lines(log, "flash tier turned off"), 3U) << log;
  EXPECT_EQ(Lines(log, "flash tier is back"), 3U) << log;
  EXPECT_EQ(Lines(log, "\n"), 7U) << log;  // and the first of the batches
}

TEST_F(DemoterOutageTest, BatchesThatFailNowAndThenAreSaidOnceInAWhile) {
  CacheRig rig;
  testing::internal::CaptureStderr();
  for (int i = 0; i < 20; ++i) {
    rig->Set(Name(i), "v");
    FailWrites(&rig, 1);
    rig.Demote();
    rig.Demote();
    EXPECT_TRUE(rig.OnFlash(Name(i)));
  }
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(rig.Stats().flash.batches_failed, 20U);
  EXPECT_EQ(rig.Stats().flash.outages, 0U);
  EXPECT_EQ(Lines(log, "flash batch failed"), 1U) << log;
}

// The disk is asked once in a pause, whatever has to be dropped.
TEST_F(DemoterOutageTest, AFlushMeanwhileKillsBatchesAndLeavesTheirFilesForTheEnd) {
  CacheRig rig;
  rig.Fill(0, 5'000);
  const size_t files = rig.memory->Serials().size();
  ASSERT_GT(files, 10U);
  TurnOff(&rig);
  rig.store->Heal();
  const uint64_t recovers = rig.store->Calls(BatchCall::kRecover);
  const uint64_t retains = rig.store->Calls(BatchCall::kRetain);
  const uint64_t drops = rig.store->Calls(BatchCall::kDrop);
  rig.cache->FlushAll(0);
  for (int i = 0; i < 20; ++i) rig.InDemoter().Step();
  ASSERT_EQ(rig.Stats().flash.state, "offline: full");
  EXPECT_EQ(rig.store->Calls(BatchCall::kDrop), drops);
  EXPECT_EQ(rig.store->Calls(BatchCall::kRetain), retains);
  EXPECT_EQ(rig.store->Calls(BatchCall::kRecover), recovers);
  EXPECT_EQ(rig.Stats().flash.batches, 0U);
  EXPECT_EQ(rig.memory->Serials().size(), files);
  EXPECT_EQ(rig.Missing(0, 5'000), 5'000U);
  rig.InDemoter().TryAtOnce();
  EXPECT_EQ(rig.Stats().flash.state, "online");
  EXPECT_TRUE(rig.memory->Serials().empty());
}

TEST_F(DemoterOutageTest, LastsUntilFilesThatHaveToGoAreGone) {
  CacheRig rig;
  rig.Fill(0, 500);
  TurnOff(&rig);
  rig.cache->FlushAll(0);
  rig.InDemoter().Step();
  rig.store->Heal();
  FailForGood(&rig, BatchCall::kRetain);
  for (int i = 0; i < 3; ++i) rig.InDemoter().TryAtOnce();
  EXPECT_EQ(rig.Stats().flash.state, "offline: dropped batches cannot be removed: full");
  EXPECT_EQ(rig.Stats().flash.outages, 1U);
  // They may be what the disk is full of.
  rig.store->Heal();
  FailForGood(&rig, BatchCall::kRecover);
  rig.InDemoter().TryAtOnce();
  EXPECT_TRUE(rig.memory->Serials().empty());
}

TEST_F(DemoterOutageTest, WhatCannotBeReplacedIsReadAsLongAsItLasts) {
  CacheRig rig;
  rig.Fill(0, 2'000);
  TurnOff(&rig);
  for (int i = 0; i < 5; ++i) rig.InDemoter().Step();
  EXPECT_EQ(rig.Missing(0, 2'000), 0U);
}

TEST_F(DemoterOutageTest, AStopTriesAtOnceAndDrains) {
  CacheRig rig;
  TurnOff(&rig);
  rig->Set("k", "v");
  rig.store->Heal();
  EXPECT_TRUE(rig.cache->Stop([] { return false; }).ok());
  EXPECT_TRUE(rig.OnFlash("k"));
}

TEST_F(DemoterOutageTest, AStopThatIsHurriedTriesNothing) {
  CacheRig rig;
  TurnOff(&rig);
  const uint64_t recovers = rig.store->Calls(BatchCall::kRecover);
  EXPECT_FALSE(rig.cache->Stop([] { return true; }).ok());
  EXPECT_EQ(rig.store->Calls(BatchCall::kRecover), recovers);
}

TEST_F(DemoterOutageTest, AStopThatCannotSaveAnythingSaysThatFlashIsOffline) {
  CacheRig rig;
  TurnOff(&rig);
  FailForGood(&rig, BatchCall::kClose);
  const Status status = rig.cache->Stop([] { return false; });
  EXPECT_EQ(status.message(), "the flash tier is offline: full: flash will start empty");
}

}  // namespace
}  // namespace terraced::tiering
