#include "storage/base/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace terraced {
namespace {

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { Log::SetVerbosity(0); }

  static std::string Captured(LogLevel level, const std::string& text) {
    testing::internal::CaptureStderr();
    Log::Write(level, "%s", text.c_str());
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, WritesOneLinePerEvent) {
  testing::internal::CaptureStderr();
  Log::Write(LogLevel::kNotice, "batch %d of %s", 7, "flash");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "batch 7 of flash\n");
}

TEST_F(LogTest, KeepsQuietBelowItsVerbosity) {
  EXPECT_EQ(Captured(LogLevel::kVerbose, "hidden"), "");
  Log::SetVerbosity(1);
  EXPECT_EQ(Captured(LogLevel::kVerbose, "shown"), "shown\n");
  EXPECT_EQ(Captured(LogLevel::kDebug, "hidden"), "");
  EXPECT_TRUE(Log::On(LogLevel::kNotice));
  EXPECT_FALSE(Log::On(LogLevel::kDebug));
}

TEST_F(LogTest, CutsALineThatIsTooLong) {
  const std::string line = Captured(LogLevel::kNotice, std::string(10'000, 'x'));
  EXPECT_LE(line.size(), 2048U);
  EXPECT_GE(line.size(), 2000U);
  EXPECT_EQ(line.back(), '\n');
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST_F(LogTest, ALimitLetsTheFirstThroughAndThenOneInAWhile) {
  LogLimit limit;
  uint64_t unsaid = 99;
  ASSERT_TRUE(limit.AllowsAt(5, &unsaid));
  EXPECT_EQ(unsaid, 0U);
  for (uint64_t i = 0; i < 40; ++i) EXPECT_FALSE(limit.AllowsAt(6 + i, &unsaid));
  EXPECT_FALSE(limit.AllowsAt(4 + LogLimit::kIntervalUs, &unsaid));
  ASSERT_TRUE(limit.AllowsAt(5 + LogLimit::kIntervalUs, &unsaid));
  EXPECT_EQ(unsaid, 41U);
  EXPECT_FALSE(limit.AllowsAt(6 + LogLimit::kIntervalUs, &unsaid));
}

}  // namespace
}  // namespace terraced
