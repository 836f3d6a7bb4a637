#include "storage/base/yield_point.h"

#include <gtest/gtest.h>

#include <thread>

#include "storage/base/clock.h"

namespace terraced {
namespace {

void WorkFor(uint64_t us) {
  const uint64_t since_us = MonotonicUs();
  while (MonotonicUs() - since_us <= us) {
  }
}

TEST(YieldPointTest, AThreadThatHasNotSaidSoNeverGivesWay) {
  WorkFor(YieldPoint::kTurnUs);
  EXPECT_FALSE(YieldPoint::Pass());
}

TEST(YieldPointTest, GivesWayOnceATurn) {
  std::thread([] {
    const std::atomic<bool> gives_way{true};
    YieldPoint::Follow(gives_way);
    int given = 0;
    const uint64_t since_us = MonotonicUs();
    while (given < 5) given += YieldPoint::Pass() ? 1 : 0;
    EXPECT_GE(MonotonicUs() - since_us, 5 * YieldPoint::kTurnUs);
  }).join();
}

TEST(YieldPointTest, FollowsWhatIsSaidMeanwhile) {
  std::thread([] {
    std::atomic<bool> gives_way{false};
    YieldPoint::Follow(gives_way);
    WorkFor(YieldPoint::kTurnUs);
    EXPECT_FALSE(YieldPoint::Pass());
    gives_way = true;
    EXPECT_TRUE(YieldPoint::Pass());
    EXPECT_EQ(gives_way, true);
  }).join();
}

}  // namespace
}  // namespace terraced
