#include "storage/flash/extent_allocator.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace terraced::storage {
namespace {

TEST(ExtentAllocatorTest, TakesTheLowestPartThatFits) {
  ExtentAllocator extents({10, 100});
  EXPECT_EQ(extents.Take(20, 1), (Extent{10, 20}));
  EXPECT_EQ(extents.Take(5, 1), (Extent{30, 5}));
  EXPECT_EQ(extents.Give({10, 20}), (Extent{10, 20}));
  EXPECT_EQ(extents.Take(21, 1), (Extent{35, 21}));  // the hole is too small
  EXPECT_EQ(extents.Take(20, 1), (Extent{10, 20}));
  EXPECT_EQ(extents.Take(55, 1), std::nullopt);
  EXPECT_EQ(extents.Take(54, 1), (Extent{56, 54}));
}

TEST(ExtentAllocatorTest, AnAlignedPartLeavesWhatIsBeforeIt) {
  ExtentAllocator extents({1, 100});
  EXPECT_EQ(extents.Take(16, 16), (Extent{16, 16}));
  EXPECT_EQ(extents.Free(), (std::vector<Extent>{{1, 15}, {32, 69}}));
  EXPECT_EQ(extents.Take(15, 1), (Extent{1, 15}));
  EXPECT_EQ(extents.Take(16, 16), (Extent{32, 16}));
}

TEST(ExtentAllocatorTest, FreeNeighboursBecomeOne) {
  ExtentAllocator extents({0, 30});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(extents.Take(10, 1));
  EXPECT_EQ(extents.Give({0, 10}), (Extent{0, 10}));
  EXPECT_EQ(extents.Give({20, 10}), (Extent{20, 10}));
  EXPECT_EQ(extents.Give({10, 10}), (Extent{0, 30}));
  EXPECT_EQ(extents.Take(30, 1), (Extent{0, 30}));
}

TEST(ExtentAllocatorTest, APartMayBeTakenWhereItLies) {
  ExtentAllocator extents({0, 30});
  EXPECT_TRUE(extents.TakeAt({10, 10}));
  EXPECT_FALSE(extents.TakeAt({19, 2}));
  EXPECT_FALSE(extents.TakeAt({5, 10}));
  EXPECT_FALSE(extents.TakeAt({25, 6}));
  EXPECT_FALSE(extents.TakeAt({30, 1}));
  EXPECT_FALSE(extents.TakeAt({0, 0}));
  EXPECT_TRUE(extents.TakeAt({0, 10}));
  EXPECT_TRUE(extents.TakeAt({20, 10}));
}

TEST(ExtentAllocatorTest, NoTwoPartsOverlapAndNothingIsLost) {
  constexpr uint64_t kLength = 400;
  ExtentAllocator extents({0, kLength});
  std::mt19937_64 random(11);
  std::vector<Extent> taken;
  std::vector<bool> used(kLength, false);
  const auto mark = [&used](const Extent& extent, bool now) {
    for (uint64_t i = extent.begin; i < extent.End(); ++i) {
      ASSERT_NE(used[i], now);
      used[i] = now;
    }
  };
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 == 0) {
      const auto extent = extents.Take(1 + random() % 30, 1ULL << (random() % 4));
      if (!extent) continue;
      ASSERT_NO_FATAL_FAILURE(mark(*extent, true));
      taken.push_back(*extent);
    } else if (!taken.empty()) {
      std::swap(taken[random() % taken.size()], taken.back());
      ASSERT_NO_FATAL_FAILURE(mark(taken.back(), false));
      extents.Give(taken.back());
      taken.pop_back();
    }
  }
  for (const Extent& extent : taken) extents.Give(extent);
  EXPECT_EQ(extents.Take(kLength, 1), (Extent{0, kLength}));
}

TEST(ExtentAllocatorDeathTest, WhatIsFreeIsNotGivenBack) {
  ExtentAllocator extents({0, 30});
  ASSERT_TRUE(extents.Take(10, 1));
  EXPECT_DEATH(extents.Give({5, 10}), "");
}

}  // namespace
}  // namespace terraced::storage
