#include "tiering/crawler.h"

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

class CrawlerTest : public testing::Test {
 protected:
  uint64_t Linked() {
    uint64_t items = 0;
    for (const auto& shard : rig_.InTiers().shards) {
      const MutexLock lock(shard->mutex);
      items += shard->ram.ItemCount();
    }
    return items;
  }
  uint64_t Reclaimed() {
    uint64_t reclaimed = 0;
    for (const ClassCounters& counters : rig_.Stats().classes)
      reclaimed += counters.crawler_reclaimed;
    return reclaimed;
  }
  CacheRig rig_;
};

TEST_F(CrawlerTest, ReapsWhatExpiredAndNothingElse) {
  for (int i = 0; i < 5'000; ++i) {
    rig_->Set("k" + std::to_string(i), "v", 0, i % 2 == 0 ? kStartS + 10 : 0);
  }
  rig_.cache->CrawlerForTest().SweepNow();
  EXPECT_EQ(Linked(), 5'000U);
  rig_.clock.Set(kStartS + 10);
  rig_.cache->CrawlerForTest().SweepNow();
  EXPECT_EQ(Linked(), 2'500U);
  EXPECT_EQ(Reclaimed(), 2'500U);
  uint64_t unfetched = 0;
  for (const ClassCounters& counters : rig_.Stats().classes)
    unfetched += counters.expired_unfetched;
  EXPECT_EQ(unfetched, 2'500U);
  EXPECT_EQ(rig_.Stats().lru_crawler_starts, 2U);
  for (int i = 1; i < 5'000; i += 2) ASSERT_EQ(rig_->Get("k" + std::to_string(i)), "v");
}

TEST_F(CrawlerTest, AWholeWalkAfterAFlushProvesThatNoOlderItemIsLeft) {
  for (int i = 0; i < 3'000; ++i) rig_->Set("k" + std::to_string(i), std::string(1'000, 'v'));
  rig_.cache->FlushAll(0);
  rig_->Set("after", "v");
  EXPECT_TRUE(rig_.InTiers().flush.NeedsSweep());
  rig_.cache->CrawlerForTest().SweepNow();
  EXPECT_FALSE(rig_.InTiers().flush.NeedsSweep());
  EXPECT_EQ(Linked(), 1U);
  EXPECT_EQ(rig_->Get("after"), "v");
}

TEST_F(CrawlerTest, AnExpiredCleanItemLeavesItsSlotToTheNextReader) {
  rig_->Set("k", "v", 0, kStartS + 10);
  rig_.Demote();
  rig_->Get("k");
  rig_->Get("k");
  ASSERT_TRUE(rig_.InRam("k"));
  rig_.clock.Set(kStartS + 10);
  rig_.cache->CrawlerForTest().SweepNow();
  EXPECT_FALSE(rig_.InRam("k"));
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_.Stats().curr_items, 0U);
}

TEST_F(CrawlerTest, ItsThreadSweepsAfterAFlush) {
  for (int i = 0; i < 100; ++i) rig_->Set("k" + std::to_string(i), "v");
  ASSERT_TRUE(rig_.cache->CrawlerForTest().Start().ok());
  rig_.cache->FlushAll(0);  // wakes it
  while (rig_.InTiers().flush.NeedsSweep()) std::this_thread::yield();
  rig_.cache->CrawlerForTest().Join();
  EXPECT_EQ(Linked(), 0U);
}

TEST_F(CrawlerTest, CountsWhatItLooksAt) {
  for (int i = 0; i < 1'000; ++i) rig_->Set("k" + std::to_string(i), "v");
  rig_.cache->CrawlerForTest().SweepNow();
  uint64_t checked = 0;
  for (const ClassCounters& counters : rig_.Stats().classes)
    checked += counters.crawler_items_checked;
  EXPECT_EQ(checked, 1'000U);
}

// Its pauses are longer than any test lasts: who waits for the walk must not wait for them.
TEST(CrawlerPaceTest, NobodyWaitsForItsPauses) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  options.slabs.limit_bytes = 16U << 20;
  options.lru_crawler_sleep_us = UINT32_MAX;
  CacheRig rig(options);
  for (int i = 0; i < 80'000; ++i) rig->Set("k" + std::to_string(i), "v");
  const uint64_t steps = SyncPoints::Passed(SyncPoint::kCrawlStep);
  ASSERT_TRUE(rig.cache->CrawlerForTest().Start().ok());
  rig.cache->FlushAll(0);
  while (SyncPoints::Passed(SyncPoint::kCrawlStep) == steps) std::this_thread::yield();
  rig.cache->CrawlerForTest().SweepNow();  // the rest of the thread's walk
  EXPECT_FALSE(rig.InTiers().flush.NeedsSweep());
  rig.cache->CrawlerForTest().Join();
  EXPECT_GT(SyncPoints::Passed(SyncPoint::kCrawlStep), steps + 100);
}

TEST(CrawlerPaceTest, AFlushThatOutrunsItGoesOn) {
  CacheRig rig;
  for (int i = 0; i < 600; ++i) {
    rig->Set("k", "v");
    rig.cache->FlushAll(0);
    ASSERT_FALSE(rig->Get("k").Hit()) << i;
  }
  EXPECT_EQ(rig.Stats().lru_crawler_starts, 2U);  // every 255th sweeps
}

}  // namespace
}  // namespace terraced::tiering
