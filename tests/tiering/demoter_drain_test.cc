// The demoter's drain of a clean stop, and items so large that the quota has to be asked for each.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/tiering/demoter_fixture.h"

namespace terraced::tiering {
namespace {

class DemoterDrainTest : public DemoterTest {};

TEST_F(DemoterDrainTest, TakesEverythingOfAnySize) {
  CacheRig rig(Small());
  rig->Set("huge", std::string(900'000, 'h'));  // over flash_item_max
  rig->Set("small", "v");
  rig->Set("wasread", "v");
  for (int i = 0; i < 3; ++i) rig->Get("wasread");
  rig.Demote();
  EXPECT_TRUE(rig.InRam("huge"));
  EXPECT_EQ(rig.InDemoter().Drain(UINT64_MAX, [] { return false; }), 0U);
  for (const std::string_view key : {"huge", "small", "wasread"}) {
    EXPECT_TRUE(rig.OnFlash(key)) << key;
    EXPECT_FALSE(rig.InRam(key)) << key;
  }
  EXPECT_EQ(rig->Get("huge"), std::string(900'000, 'h'));
}

class LargeItemTest : public DemoterTest {
 protected:
  static constexpr uint64_t kQuota = 8U << 20;
  static CacheOptions Options() {
    CacheOptions options = RigOptions();
    options.slabs.limit_bytes = 48U << 20;
    options.slabs.item_bytes_max = 12U << 20;
    options.flash_item_max_bytes = 12U << 20;
    options.flash_size_bytes = kQuota;
    return options;
  }
  LargeItemTest() {
    SyncPoints::Attach(SyncPoint::kDemoteIngested,
                       [this] { peak_ = std::max(peak_, rig_.store->Stats().live_sst_bytes); });
  }
  ~LargeItemTest() override { SyncPoints::Attach(SyncPoint::kDemoteIngested, nullptr); }
  static std::string Random(size_t bytes) {  // what LZ4 cannot shrink
    std::mt19937_64 random(bytes);
    std::string text(bytes, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  }
  CacheRig rig_{Options()};
  uint64_t peak_ = 0;
};

TEST_F(LargeItemTest, TheQuotaIsKeptForBatchesOfAnySize) {
  for (int i = 0; i < 6; ++i) {
    rig_->Set(Name(i), Random((4U << 20) + static_cast<size_t>(i)));
    rig_.Demote();
    EXPECT_TRUE(rig_.OnFlash(Name(i)));
    EXPECT_LE(rig_.Stats().flash.bytes_used, kQuota);
  }
  EXPECT_LE(peak_, kQuota);
  EXPECT_EQ(rig_.Stats().evictions, 5U);
  EXPECT_EQ(rig_->Get(Name(5)), Random((4U << 20) + 5));
}

TEST_F(LargeItemTest, WhatTheQuotaDoesNotAllowStaysInRamAndIsCounted) {
  rig_->Set("huge", Random(7U << 20));
  rig_.Demote();
  EXPECT_TRUE(rig_.InRam("huge"));
  EXPECT_GE(rig_.Stats().flash.items_too_large, 1U);
  EXPECT_EQ(rig_.InDemoter().Drain(UINT64_MAX, [] { return false; }), 1U);
  EXPECT_EQ(rig_.store->Calls(BatchCall::kWrite), 0U);
}

TEST_F(LargeItemTest, DrainNeverDropsWhatItHasWritten) {
  rig_->Set("earlier", Random(1'000));
  rig_.Demote();
  for (int i = 0; i < 3; ++i) rig_->Set(Name(i), Random((4U << 20) + static_cast<size_t>(i)));
  rig_->Set("small", "v");
  EXPECT_EQ(rig_.InDemoter().Drain(UINT64_MAX, [] { return false; }), 2U);
  EXPECT_LE(peak_, kQuota);
  int kept = 0;
  for (int i = 0; i < 3; ++i) kept += rig_.OnFlash(Name(i)) ? 1 : 0;
  EXPECT_EQ(kept, 1);
  EXPECT_TRUE(rig_.OnFlash("small"));
  EXPECT_EQ(rig_.Stats().evictions, 0U);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rig_->Get(Name(i)).Hit());
}

TEST_F(DemoterDrainTest, WritesTheHottestFirst) {
  CacheOptions options = Small();
  options.flash_batch_bytes = 1;  // full with its first item
  CacheRig rig(options);
  const std::vector<std::string> coldest_first = {"cold", "hot", "warm"};
  const std::vector<storage::LruSegment> segments = {
      storage::LruSegment::kCold, storage::LruSegment::kHot, storage::LruSegment::kWarm};
  for (size_t i = 0; i < coldest_first.size(); ++i) {
    rig->Set(coldest_first[i], "v");
    rig.MoveTo(coldest_first[i], segments[i]);
  }
  for (size_t left = coldest_first.size(); left > 0; --left) {
    EXPECT_EQ(rig.InDemoter().Drain(UINT64_MAX, [calls = 0]() mutable { return ++calls > 1; }),
              left - 1);
    EXPECT_TRUE(rig.OnFlash(coldest_first[left - 1])) << coldest_first[left - 1];
  }
}

TEST_F(DemoterDrainTest, TriesOnceWhatFindsNoSlot) {
  CacheOptions options = RigOptions();
  options.flash_batch_bytes = 128U << 10;
  CacheRig rig(options);
  // Nothing grows: the items that come first find no slots, those that come last must all the same.
  rig.store->FailNth(BatchCall::kHashes, 1, Status(StatusCode::kIoError, "EIO"),
                     FaultyBatchStore::When::kBefore, UINT32_MAX);
  for (int i = 0; i < 30'000; ++i) rig->Set(Name(i), "v");
  const uint64_t left = rig.InDemoter().Drain(UINT64_MAX, [] { return false; });
  const CacheStats stats = rig.Stats();
  EXPECT_GT(left, 10'000U);
  EXPECT_EQ(left, stats.ram_items);
  const uint64_t slots = stats.flash.items;
  EXPECT_GT(slots, 15'000U);  // nearly all there are: every item had its turn
  EXPECT_LE(stats.flash.index_full, left);
  // So many batches hold everything once.
  EXPECT_LE(stats.flash.batches_written, 30'000U * 96 / options.flash_batch_bytes + 2);
}

TEST_F(DemoterDrainTest, TriesAgainWhatABatchThatFailedHeld) {
  CacheRig rig;
  rig->Set("k", "v");
  FailWrites(&rig, 1);
  EXPECT_EQ(rig.InDemoter().Drain(UINT64_MAX, [] { return false; }), 0U);
  EXPECT_TRUE(rig.OnFlash("k"));
}

TEST_F(DemoterDrainTest, StopsInAHurryAndAtTheDeadline) {
  CacheRig rig;
  rig->Set("k", "v");
  EXPECT_EQ(rig.InDemoter().Drain(UINT64_MAX, [] { return true; }), 1U);
  EXPECT_EQ(rig.InDemoter().Drain(0, [] { return false; }), 1U);
  EXPECT_EQ(rig.store->Calls(BatchCall::kWrite), 0U);
  EXPECT_EQ(rig->Get("k"), "v");
}

TEST_F(DemoterDrainTest, GivesUpAfterFailures) {
  CacheRig rig;
  rig->Set("k", "v");
  FailWrites(&rig, 100);
  EXPECT_EQ(rig.InDemoter().Drain(UINT64_MAX, [] { return false; }), 1U);
  EXPECT_EQ(rig->Get("k"), "v");
}

}  // namespace
}  // namespace terraced::tiering
