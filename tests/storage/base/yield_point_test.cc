#include "storage/base/yield_point.h"

#include <gtest/gtest.h>

#include <thread>

#include "storage/base/clock.h"
#include "tests/support/work_for.h"

namespace terraced {
namespace {

TEST(YieldPointTest, AThreadThatHasNotSaidSoNeverGivesWay) {
  support::WorkFor(YieldPoint::kTurnUs);
  EXPECT_FALSE(YieldPoint::Pass());
}

// As one that stands back and as one that does not.
TEST(YieldPointTest, GivesWayOnceATurn) {
  std::thread([] {
    std::atomic<bool> stands_back{true};
    YieldPoint::Follow(stands_back);
    for (const bool now : {true, false}) {
      stands_back = now;
      const uint64_t since_us = MonotonicUs();
      for (int given = 0; given < 5;) given += YieldPoint::Pass() ? 1 : 0;
      EXPECT_GE(MonotonicUs() - since_us, 4 * YieldPoint::kTurnUs);  // the first turn began before
    }
  }).join();
}

TEST(YieldPointTest, WhoDoesNotStandBackKeepsTheCoreForAsLongAsItWasAway) {
  constexpr uint64_t kTick = 4'000;
  EXPECT_EQ(YieldPoint::TurnUs(false, kTick), kTick);
  EXPECT_EQ(YieldPoint::TurnUs(false, 0), YieldPoint::kTurnUs);
  EXPECT_EQ(YieldPoint::TurnUs(false, 10'000'000), YieldPoint::kTurnMaxUs);
}

// EEVDF lets a thread of nice 19 that yields wait for 200 ms behind one that never sleeps.
TEST(YieldPointTest, WhoStandsBackHasASmallShareWhereNothingIsLeftOver) {
  EXPECT_EQ(YieldPoint::TurnUs(true, 0), YieldPoint::kTurnUs);
  EXPECT_EQ(YieldPoint::TurnUs(true, 4'000), YieldPoint::kTurnUs);
  EXPECT_EQ(YieldPoint::TurnUs(true, 200'000), 200'000 / YieldPoint::kStandBackShare);
  EXPECT_EQ(YieldPoint::TurnUs(true, 10'000'000), YieldPoint::kTurnMaxUs);
}

}  // namespace
}  // namespace terraced
