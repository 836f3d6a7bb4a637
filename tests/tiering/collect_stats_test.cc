// What the statistics say, and that they say it exactly (TwoTierCache::Stats).
#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

class CollectStatsTest : public testing::Test {
 protected:
  CacheRig rig_;
};

TEST_F(CollectStatsTest, AnEmptyCacheCountsNothing) {
  const CacheStats stats = rig_.Stats();
  EXPECT_EQ(stats.curr_items, 0U);
  EXPECT_EQ(stats.bytes, 0U);
  EXPECT_EQ(stats.flash.items, 0U);
  EXPECT_TRUE(stats.flash.enabled);
  EXPECT_TRUE(stats.flash.online);
  EXPECT_EQ(stats.flash.state, "online");
  EXPECT_EQ(stats.limit_maxbytes, rig_.InTiers().options.slabs.limit_bytes);
  EXPECT_EQ(stats.flash.limit_bytes, rig_.InTiers().options.flash_size_bytes);
  EXPECT_GT(stats.flash.index_bytes, 0U);
  EXPECT_GT(stats.flash.index_slots, 0U);
}

TEST_F(CollectStatsTest, KeysInBothTiersCountOnce) {
  for (int i = 0; i < 100; ++i) rig_->Set("k" + std::to_string(i), "v");
  EXPECT_EQ(rig_.Stats().curr_items, 100U);
  rig_.Demote();
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
  EXPECT_EQ(rig_.Stats().flash.items, 100U);
  EXPECT_EQ(rig_.Stats().curr_items, 100U);
  for (int i = 0; i < 30; ++i) {
    rig_->Get("k" + std::to_string(i));
    rig_->Get("k" + std::to_string(i));
  }
  EXPECT_EQ(rig_.Stats().ram_items, 30U);
  EXPECT_EQ(rig_.Stats().flash.items, 100U);
  EXPECT_EQ(rig_.Stats().curr_items, 100U);
  for (int i = 0; i < 10; ++i) rig_->Delete("k" + std::to_string(i));       // in both
  for (int i = 30; i < 40; ++i) rig_->Delete("k" + std::to_string(i));      // on flash
  for (int i = 10; i < 20; ++i) rig_->Set("k" + std::to_string(i), "new");  // clean to dirty
  for (int i = 40; i < 50; ++i) rig_->Touch("k" + std::to_string(i), 0);    // flash to RAM
  EXPECT_EQ(rig_.Stats().curr_items, 80U);
  rig_.Demote();
  EXPECT_EQ(rig_.Stats().curr_items, 80U);
  EXPECT_EQ(rig_.Stats().flash.items, 80U);
  EXPECT_EQ(rig_.Stats().evictions, 0U);
}

// As memcached counts it: what was asked for, not what the chunks take.
TEST_F(CollectStatsTest, MemRequestedIsHeaderFlagsKeyAndValue) {
  rig_->Set("key", "value", 1);
  rig_->Set("large", std::string(700'000, 'v'));
  const storage::SlabClass small = rig_.ClassOf("key");
  EXPECT_EQ(rig_.Stats().gauges[small].mem_requested, kItemOverhead + 4 + 8);
  EXPECT_EQ(rig_.Stats().gauges[rig_.InTiers().arena->LargestClass()].mem_requested,
            kItemOverhead + 5 + 700'000);
  rig_->Delete("key");
  EXPECT_EQ(rig_.Stats().gauges[small].mem_requested, 0U);
}

TEST_F(CollectStatsTest, BytesAreHeaderKeyAndValueInRam) {
  rig_->Set("key", "value");
  EXPECT_EQ(rig_.Stats().bytes, kItemOverhead + 8);
  rig_.Demote();
  EXPECT_EQ(rig_.Stats().bytes, 0U);
  const FlashStats flash = rig_.Stats().flash;
  EXPECT_EQ(flash.demoted_items, 1U);
  EXPECT_EQ(flash.demoted_bytes, 8U);
  EXPECT_EQ(flash.batches, 1U);
  EXPECT_EQ(flash.batches_written, 1U);
  EXPECT_GT(flash.bytes_written, 8U);
  EXPECT_EQ(flash.bytes_used, flash.bytes_written);
}

TEST_F(CollectStatsTest, ClassesHaveTheirCountersAndGauges) {
  rig_->Set("k", "5");
  const storage::SlabClass slab_class = rig_.ClassOf("k");
  rig_->Get("k");
  rig_->Touch("k", 0);
  rig_->Increment("k", 1);
  rig_->Decrement("k", 1);
  rig_->Cas("k", "7", 1);
  rig_->Cas("k", "7", rig_->Get("k").meta.cas_unique);
  rig_.clock.Set(kStartS + 30);
  CacheStats stats = rig_.Stats();
  const ClassCounters& counters = stats.classes[slab_class];
  EXPECT_EQ(counters.cmd_set, 3U);
  EXPECT_EQ(counters.get_hits, 2U);
  EXPECT_EQ(counters.touch_hits, 1U);
  EXPECT_EQ(counters.incr_hits, 1U);
  EXPECT_EQ(counters.decr_hits, 1U);
  EXPECT_EQ(counters.cas_badval, 1U);
  EXPECT_EQ(counters.cas_hits, 1U);
  const ClassGauges& gauges = stats.gauges[slab_class];
  EXPECT_EQ(gauges.items[static_cast<size_t>(storage::LruSegment::kHot)], 1U);
  EXPECT_EQ(gauges.age_s[static_cast<size_t>(storage::LruSegment::kHot)], 30U);
  EXPECT_EQ(stats.slabs[slab_class].used_chunks, 1U);
  rig_->Delete("k");
  EXPECT_EQ(rig_.Stats().classes[slab_class].delete_hits, 1U);
}

TEST_F(CollectStatsTest, EvictionsSayHowOldTheItemWas) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  options.slabs.limit_bytes = 1U << 20;
  CacheRig rig(options);
  rig->Set("k", std::string(1'000, 'v'));
  const storage::SlabClass slab_class = rig.ClassOf("k");
  for (int i = 0; i < 10'000 && rig.InTiers().counters.evictions.load() == 0; ++i) {
    rig->Set("k" + std::to_string(i), std::string(1'000, 'v'), 0, kStartS + 1'000);
    if (i == 100) rig.clock.Set(kStartS + 50);
  }
  const ClassCounters counters = rig.Stats().classes[slab_class];
  EXPECT_EQ(counters.evicted, 1U);
  EXPECT_EQ(counters.evicted_unfetched, 1U);
  EXPECT_LE(counters.evicted_time, 50U);
}

TEST_F(CollectStatsTest, ResetZeroesCountersAndKeepsGauges) {
  for (int i = 0; i < 10; ++i) rig_->Set("k" + std::to_string(i), "v");
  rig_.Demote();
  rig_->Get("k0");
  rig_->Get("k0");
  rig_.cache->ResetStats();
  const CacheStats stats = rig_.Stats();
  EXPECT_EQ(stats.commands.cmd_get, 0U);
  EXPECT_EQ(stats.commands.cmd_set, 0U);
  EXPECT_EQ(stats.flash.reads, 0U);
  EXPECT_EQ(stats.flash.demoted_items, 0U);
  EXPECT_EQ(stats.curr_items, 10U);
  EXPECT_EQ(stats.ram_items, 1U);
  EXPECT_EQ(stats.flash.items, 10U);
  EXPECT_EQ(stats.flash.batches, 1U);
}

TEST_F(CollectStatsTest, ReadsThatWereJoinedAreNamed) {
  rig_->Set("k", "v");
  rig_.Demote();
  rig_->Get("k");
  const FlashStats flash = rig_.Stats().flash;
  EXPECT_EQ(flash.reads, 1U);
  EXPECT_EQ(flash.reads_coalesced, 0U);
  EXPECT_EQ(flash.read_queue, 0U);
  EXPECT_EQ(flash.store.reads, 1U);
}

}  // namespace
}  // namespace terraced::tiering
