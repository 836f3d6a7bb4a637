#include "tiering/lru_maintainer.h"

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

using storage::LruSegment;

uint64_t ItemsIn(const CacheRig& rig, LruSegment segment) {
  uint64_t items = 0;
  for (const ClassGauges& gauges : rig.Stats().gauges)
    items += gauges.items[static_cast<size_t>(segment)];
  return items;
}

TEST(LruMaintainerTest, APassBringsHotDownToItsShareEverywhere) {
  CacheRig rig;
  for (int i = 0; i < 5'000; ++i) rig->Set("k" + std::to_string(i), "v");
  EXPECT_EQ(ItemsIn(rig, LruSegment::kHot), 5'000U);
  while (rig.cache->MaintainerForTest().Pass() > 0) {
  }
  EXPECT_LE(ItemsIn(rig, LruSegment::kHot), 1'000U);
  EXPECT_GE(ItemsIn(rig, LruSegment::kCold), 4'000U);
  EXPECT_GE(rig.Stats().lru_maintainer_juggles, 2U);
}

TEST(LruMaintainerTest, ItemsReadAgainGoToWarmUpToItsShare) {
  CacheRig rig;
  for (int i = 0; i < 5'000; ++i) rig->Set("k" + std::to_string(i), "v");
  for (int i = 0; i < 5'000; ++i) {
    rig->Get("k" + std::to_string(i));
    rig->Get("k" + std::to_string(i));
  }
  while (rig.cache->MaintainerForTest().Pass() > 0) {
  }
  EXPECT_GT(ItemsIn(rig, LruSegment::kWarm), 1'000U);
  EXPECT_LE(ItemsIn(rig, LruSegment::kWarm), 2'000U);
  for (int i = 0; i < 5'000; ++i) ASSERT_EQ(rig->Get("k" + std::to_string(i)), "v");
}

TEST(LruMaintainerTest, ItsThreadWorksAndStops) {
  CacheRig rig;
  for (int i = 0; i < 5'000; ++i) rig->Set("k" + std::to_string(i), "v");
  ASSERT_TRUE(rig.cache->MaintainerForTest().Start().ok());
  while (rig.Stats().lru_maintainer_juggles == 0) std::this_thread::yield();
  rig.cache->MaintainerForTest().Join();
  EXPECT_LT(ItemsIn(rig, LruSegment::kHot), 5'000U);
}

}  // namespace
}  // namespace terraced::tiering
