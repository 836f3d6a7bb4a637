#include "tiering/cache_administration.h"

#include <string>
#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

TEST(CacheAdministrationTest, TheModeOfTheLruDecidesWhereNewItemsGo) {
  CacheRig rig;
  Administration& admin = rig.cache->Admin();
  rig->Set("hot", "v");
  EXPECT_EQ(rig.ItemOf("hot")->Segment(), storage::LruSegment::kHot);
  admin.Settings().lru_segmented.Set(false);
  rig->Set("flat", "v");
  EXPECT_EQ(rig.ItemOf("flat")->Segment(), storage::LruSegment::kCold);
  admin.Settings().lru_segmented.Set(true);
  admin.Settings().temporary_ttl_s.Set(60);
  rig->Set("brief", "v", 0, kStartS + 60);
  EXPECT_EQ(rig.ItemOf("brief")->Segment(), storage::LruSegment::kTemp);
}

TEST(CacheAdministrationTest, ColdItemsAreListedByClass) {
  CacheRig rig;
  for (int i = 0; i < 10; ++i) {
    rig->Set(CacheRig::NameOf(i), "value", 0, i == 3 ? kStartS + 10 : 0);
    rig.Cool(CacheRig::NameOf(i));
  }
  rig->Set("hot", "value");
  const auto list = [&](storage::SlabClass slab_class, size_t most) {
    std::vector<std::string> keys;
    rig.cache->Admin().ListCold(slab_class, [&](std::string_view key, uint32_t bytes, uint32_t) {
      EXPECT_EQ(bytes, 5U);
      keys.emplace_back(key);
      return keys.size() < most;
    });
    return keys.size();
  };
  const storage::SlabClass slab_class = rig.ClassOf("hot");
  EXPECT_EQ(list(slab_class, 100), 10U);
  EXPECT_EQ(list(slab_class, 4), 4U);
  rig.clock.Set(kStartS + 10);
  EXPECT_EQ(list(slab_class, 100), 9U);
  EXPECT_EQ(list(static_cast<storage::SlabClass>(slab_class + 1), 100), 0U);
  EXPECT_EQ(list(0, 100), 0U);
  EXPECT_EQ(list(storage::kSlabClassesMax - 1, 100), 0U);
}

TEST(CacheAdministrationTest, SizesCountWhatIsStoredFromThenOn) {
  CacheRig rig;
  Administration& admin = rig.cache->Admin();
  rig->Set("before", "v");
  EXPECT_FALSE(admin.TracksSizes());
  EXPECT_TRUE(admin.Sizes().empty());
  admin.TrackSizes(true);
  rig->Set("a", std::string(10, 'v'));
  rig->Set("b", std::string(10, 'v'));
  rig->Set("c", std::string(5'000, 'v'));
  const uint64_t small = (kItemOverhead + 11 + 31) / 32 * 32;
  const uint64_t large = (kItemOverhead + 5'001 + 31) / 32 * 32;
  EXPECT_EQ(admin.Sizes(), (std::map<uint64_t, uint64_t>{{small, 2}, {large, 1}}));
  rig->Delete("before");
  rig->Delete("a");
  rig->Set("c", std::string(10, 'v'));
  EXPECT_EQ(admin.Sizes(), (std::map<uint64_t, uint64_t>{{small, 2}}));
  rig->Set("b", std::string(11, 'v'));  // into the old chunk
  uint64_t all = 0;
  for (const auto& [bytes, count] : admin.Sizes()) all += count;
  EXPECT_EQ(all, 2U);
  admin.TrackSizes(false);
  EXPECT_TRUE(admin.Sizes().empty());
}

TEST(CacheAdministrationTest, TheMemoryLimitGrowsAndShrinks) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  CacheRig rig(options);
  Administration& admin = rig.cache->Admin();
  ASSERT_TRUE(admin.SetMemoryLimit(32ULL << 20).ok());
  for (int i = 0; i < 20'000; ++i) rig->Set(CacheRig::NameOf(i), std::string(1'000, 'v'));
  EXPECT_EQ(rig.Stats().limit_maxbytes, 32ULL << 20);
  EXPECT_EQ(rig.Stats().evictions, 0U);
  EXPECT_GT(rig.Stats().total_malloced, 16ULL << 20);
  ASSERT_TRUE(admin.SetMemoryLimit(8ULL << 20).ok());
  for (int round = 0; round < 100 && rig.Stats().total_malloced > (8ULL << 20); ++round) {
    EXPECT_TRUE(rig.cache->MoverForTest().Round());
  }
  EXPECT_EQ(rig.Stats().total_malloced, 8ULL << 20);
  EXPECT_GT(rig.Stats().evictions, 10'000U);
  EXPECT_GT(20'000U - rig.Missing(0, 20'000), 5'000U);
  EXPECT_FALSE(admin.SetMemoryLimit(1ULL << 40).ok());
}

TEST(CacheAdministrationTest, TheMemoryLimitIsFixedWhereMemoryWasPreallocated) {
  CacheOptions options = RigOptions();
  options.slabs.preallocate = true;
  CacheRig rig(options);
  EXPECT_FALSE(rig.cache->Admin().SetMemoryLimit(8ULL << 20).ok());
}

TEST(CacheAdministrationTest, APageIsReassignedByOrder) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  CacheRig rig(options);
  Administration& admin = rig.cache->Admin();
  SlabMover& mover = rig.cache->MoverForTest();
  EXPECT_EQ(admin.ReassignPage(kAnySlabClass, 2), ReassignResult::kBadClass);
  // No page is left for it to grow again.
  for (int i = 0; i < 12'000; ++i) rig->Set(CacheRig::NameOf(i), std::string(1'000, 'v'));
  const int from = rig.ClassOf(CacheRig::NameOf(11'999));
  const int to = from + 3;
  const auto pages = [&](int slab_class) {
    return rig.Stats().slabs[static_cast<size_t>(slab_class)].total_pages;
  };
  const uint32_t before = pages(from);
  ASSERT_GE(before, 3U);
  EXPECT_EQ(admin.ReassignPage(from, from), ReassignResult::kSame);
  EXPECT_EQ(admin.ReassignPage(to, from), ReassignResult::kNoSpare);
  EXPECT_EQ(admin.ReassignPage(from, 64), ReassignResult::kBadClass);
  EXPECT_EQ(admin.ReassignPage(-2, to), ReassignResult::kBadClass);
  EXPECT_EQ(admin.ReassignPage(kPagePool, to), ReassignResult::kNoSpare);
  ASSERT_EQ(admin.ReassignPage(from, to), ReassignResult::kOk);
  EXPECT_EQ(admin.ReassignPage(from, to), ReassignResult::kBusy);
  EXPECT_TRUE(mover.Round());
  EXPECT_EQ(pages(from), before - 1);
  EXPECT_EQ(pages(to), 1U);
  EXPECT_EQ(rig.Stats().slabs_moved, 1U);
  ASSERT_EQ(admin.ReassignPage(kAnySlabClass, kPagePool), ReassignResult::kOk);
  EXPECT_TRUE(mover.Round());
  EXPECT_EQ(pages(from), before - 2);
  EXPECT_EQ(rig.InTiers().arena->PooledPages(), 1U);
}

TEST(CacheAdministrationTest, ACrawlIsOneWalk) {
  CacheRig rig;
  EXPECT_TRUE(rig.cache->Admin().StartCrawl());
  EXPECT_TRUE(rig.cache->Admin().StartCrawl());  // none is under way yet: they are one
}

}  // namespace
}  // namespace terraced::tiering
