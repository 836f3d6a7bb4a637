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
    EXPECT_TRUE(runs.HasNumberFor(unique));
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
  while (runs.HasNumberFor(run * kRun + 5)) ++run;
  EXPECT_GT(run, 90U);
  EXPECT_TRUE(runs.HasNumberFor(17 * kRun + 9));  // one that is known
  runs.Set(&item, 17 * kRun + 9);
  EXPECT_EQ(runs.Unique(item), 17 * kRun + 9);
  runs.Set(&item, run * kRun + 1);
  EXPECT_EQ(runs.Unique(item), run * kRun + 1);
  EXPECT_TRUE(runs.HasNumberFor(run * kRun + 2));  // its own, beyond those of others
  EXPECT_FALSE(runs.HasNumberFor((run + 1) * kRun));
}

// Nanoseconds as uniques have higher upper bits than the daemon's own, random numbers any.
TEST(CasRunsTest, WhatClientsChoseDoesNotCrowdOutTheNewestRuns) {
  constexpr uint64_t kOwn = 1'000;
  CasRunTable table{};
  {
    CasRuns runs(&table);
    Item item{};
    for (uint64_t i = 1; runs.HasNumberFor((kOwn + 1'000 * i) * kRun); ++i) {
      runs.Set(&item, (kOwn + 1'000 * i) * kRun);
    }
  }
  Item newest{};
  uint64_t run = kOwn;
  for (int starts = 0; starts < 300; ++starts, ++run) {
    ASSERT_TRUE(CasRuns::HasRoom(table, true));
    for (size_t i = 0; i < kCasRuns; ++i) {
      if (table.runs[i] != 0) table.in_use[i] = 1;  // nothing was replaced
    }
    CasRuns runs(&table);
    runs.TakeOver(true, run * kRun);
    if (starts > 0) {
      EXPECT_FALSE(runs.IsRetiring(newest)) << starts;
    }
    // As the items of retiring runs are adopted, their numbers fall out of use.
    for (size_t i = 0; i < kCasRuns; ++i) {
      Item item{};
      item.cas_run = static_cast<uint8_t>(i);
      if (table.runs[i] != 0 && runs.IsRetiring(item)) table.runs[i] = 0;
    }
    runs.Set(&newest, run * kRun + 1);
  }
}

TEST(CasRunsTest, AnItemWithRoomHoldsAnyUniqueAndTakesNoNumber) {
  CasRunTable table{};
  CasRuns runs(&table);
  struct {
    Item item;
    char more[8];
  } wide{};
  wide.item.value_high = kWholeUnique;
  for (const uint64_t unique : {uint64_t{0}, kRun + 7, UINT64_MAX, 0x0123'4567'89ab'cdefU}) {
    runs.Set(&wide.item, unique);
    EXPECT_EQ(runs.Unique(wide.item), unique);
  }
  runs.NoteUse(wide.item);
  EXPECT_FALSE(runs.IsRetiring(wide.item));
  for (const auto& run : table.runs) EXPECT_EQ(run, 0U);
  for (const auto& in_use : table.in_use) EXPECT_EQ(in_use, 0U);
}

}  // namespace
}  // namespace terraced::storage
