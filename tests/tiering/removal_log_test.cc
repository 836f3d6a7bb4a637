#include "tiering/removal_log.h"

#include <gtest/gtest.h>

namespace terraced::tiering {
namespace {

TEST(RemovalLogTest, WhatIsTakenIsPendingUntilItIsDone) {
  RemovalLog log;
  EXPECT_TRUE(log.Empty());
  log.Add({.serial = 1, .hash = 10});
  log.Add({.serial = 2, .hash = 20});
  EXPECT_EQ(log.Pending(), 2U);
  const std::vector<Removal> taken = log.Take();
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[1].serial, 2U);
  EXPECT_EQ(taken[1].hash, 20U);
  EXPECT_TRUE(log.Empty());
  log.Add({.serial = 3, .hash = 30});
  EXPECT_EQ(log.Pending(), 3U);
  log.Done(taken.size(), 1);
  EXPECT_EQ(log.Pending(), 1U);
  EXPECT_EQ(log.Lost(), 1U);
}

TEST(RemovalLogTest, BeyondItsRoomRemovalsAreCountedAsLost) {
  RemovalLog log;
  for (size_t i = 0; i < RemovalLog::kEntriesMax + 3; ++i) log.Add({.serial = 1, .hash = i});
  EXPECT_EQ(log.Pending(), RemovalLog::kEntriesMax);
  EXPECT_EQ(log.Lost(), 3U);
  log.Done(log.Take().size(), 0);
  log.Add({.serial = 1, .hash = 1});
  EXPECT_EQ(log.Pending(), 1U);
  EXPECT_EQ(log.Lost(), 3U);
}

}  // namespace
}  // namespace terraced::tiering
