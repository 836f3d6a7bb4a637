#include "storage/base/clock.h"

#include <gtest/gtest.h>

#include <ctime>
#include <limits>

namespace terraced {
namespace {

constexpr uint32_t kStartS = 1'700'000'000;

TEST(ClockTest, MovesOnlyByHandWhenToldATime) {
  Clock clock(kStartS);
  EXPECT_EQ(clock.NowS(), kStartS);
  EXPECT_EQ(clock.UptimeS(), 0U);
  clock.Set(kStartS + 90);
  EXPECT_EQ(clock.NowS(), kStartS + 90);
  EXPECT_EQ(clock.StartS(), kStartS);
  EXPECT_EQ(clock.UptimeS(), 90U);
}

TEST(ClockTest, TakesTheSystemsTime) {
  const std::time_t before = std::time(nullptr);
  Clock clock;
  clock.Set(1);
  clock.Tick();
  const std::time_t after = std::time(nullptr);
  EXPECT_GE(clock.NowS(), static_cast<uint32_t>(before));
  EXPECT_LE(clock.NowS(), static_cast<uint32_t>(after));
}

TEST(ClockTest, MonotonicTimeDoesNotGoBack) {
  const uint64_t first = MonotonicUs();
  EXPECT_GE(MonotonicUs(), first);
}

TEST(ClockTest, ZeroExptimeNeverExpires) {
  const Clock clock(kStartS);
  EXPECT_EQ(AbsoluteExptime(0, clock), kExptimeNever);
  EXPECT_FALSE(IsExpired(kExptimeNever, std::numeric_limits<uint32_t>::max()));
}

TEST(ClockTest, NegativeExptimeHasExpired) {
  const Clock clock(kStartS);
  EXPECT_EQ(AbsoluteExptime(-1, clock), kExptimePast);
  EXPECT_EQ(AbsoluteExptime(std::numeric_limits<int64_t>::min(), clock), kExptimePast);
  EXPECT_TRUE(IsExpired(kExptimePast, clock.NowS()));
}

TEST(ClockTest, ThirtyDaysAreRelativeAndOneSecondMoreIsADate) {
  Clock clock(kStartS);
  clock.Set(kStartS + 50);
  EXPECT_EQ(AbsoluteExptime(1, clock), kStartS + 51);
  EXPECT_EQ(AbsoluteExptime(2'592'000, clock), kStartS + 50 + 2'592'000);
  EXPECT_EQ(AbsoluteExptime(2'592'001, clock), kExptimePast);  // a day in 1970
}

TEST(ClockTest, DatesUpToTheStartHaveExpired) {
  Clock clock(kStartS);
  clock.Set(kStartS + 50);
  EXPECT_EQ(AbsoluteExptime(kStartS, clock), kExptimePast);
  EXPECT_EQ(AbsoluteExptime(kStartS + 1, clock), kStartS + 1);
  EXPECT_TRUE(IsExpired(kStartS + 1, clock.NowS()));
  EXPECT_EQ(AbsoluteExptime(kStartS + 1000, clock), kStartS + 1000);
}

TEST(ClockTest, DatesBeyond32BitsAreTheLastOne) {
  const Clock clock(kStartS);
  constexpr int64_t kLast = std::numeric_limits<uint32_t>::max();
  EXPECT_EQ(AbsoluteExptime(kLast, clock), kLast);
  EXPECT_EQ(AbsoluteExptime(kLast + 1, clock), kLast);
  EXPECT_EQ(AbsoluteExptime(std::numeric_limits<int64_t>::max(), clock), kLast);
}

TEST(ClockTest, AnItemIsGoneInTheSecondOfItsExptime) {
  EXPECT_FALSE(IsExpired(kStartS + 1, kStartS));
  EXPECT_TRUE(IsExpired(kStartS + 1, kStartS + 1));
  EXPECT_TRUE(IsExpired(kStartS + 1, kStartS + 2));
}

}  // namespace
}  // namespace terraced
