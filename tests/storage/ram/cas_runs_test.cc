#include "storage/ram/cas_runs.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace terraced::storage {
namespace {

constexpr uint64_t kRun = 1ULL << 40;

TEST(CasRunsTest, GivesBackAll64Bits) {
  CasRuns runs;
  Item item{};
  for (const uint64_t unique :
       {uint64_t{0}, uint64_t{1}, kRun - 1, kRun, 1'595'000 * kRun + 7, UINT64_MAX >> 1}) {
    runs.Set(&item, unique);
    EXPECT_EQ(runs.Unique(item), unique);
    EXPECT_TRUE(runs.SetForeign(&item, unique));
    EXPECT_EQ(runs.Unique(item), unique);
  }
}

TEST(CasRunsTest, RunsThatDifferBy256AreNotTheSame) {
  CasRuns runs;
  Item one{};
  Item other{};
  runs.Set(&one, 255 * kRun + 3);
  runs.Set(&other, (255 + 256) * kRun + 3);
  EXPECT_NE(runs.Unique(one), runs.Unique(other));
}

TEST(CasRunsTest, HasPlaceForItsOwnRunWhenOthersHaveTakenAllTheirs) {
  CasRuns runs;
  Item item{};
  uint64_t run = 1;
  while (runs.SetForeign(&item, run * kRun + 5)) ++run;
  EXPECT_GT(run, 200U);
  EXPECT_EQ(runs.Unique(item), (run - 1) * kRun + 5);  // as it was
  EXPECT_TRUE(runs.SetForeign(&item, 17 * kRun + 9));  // one that is known
  EXPECT_EQ(runs.Unique(item), 17 * kRun + 9);
  runs.Set(&item, run * kRun + 1);
  EXPECT_EQ(runs.Unique(item), run * kRun + 1);
  EXPECT_FALSE(runs.SetForeign(&item, (run + 1) * kRun));
}

TEST(CasRunsTest, WhatClientsChooseLeavesPlacesForRecords) {
  CasRuns runs;
  Item item{};
  uint64_t run = 1;
  while (runs.SetChosen(&item, run * kRun)) ++run;
  EXPECT_GT(run, 100U);
  for (uint64_t more = 0; more < 100; ++more) {
    EXPECT_TRUE(runs.SetForeign(&item, (run + more) * kRun + 1));
    EXPECT_EQ(runs.Unique(item), (run + more) * kRun + 1);
  }
}

}  // namespace
}  // namespace terraced::storage
