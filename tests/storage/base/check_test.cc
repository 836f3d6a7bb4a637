#include "storage/base/check.h"

#include <gtest/gtest.h>

namespace terraced {
namespace {

TEST(CheckTest, LetsTrueConditionsPassOnce) {
  int evaluations = 0;
  TERRACED_CHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
}

TEST(CheckDeathTest, StopsWithConditionAndPlace) {
  const int apples = 2;
  EXPECT_DEATH(TERRACED_CHECK(apples == 3), "check_test.cc:[0-9]+: check failed: apples == 3");
}

TEST(CheckDeathTest, DebugChecksFollowTheBuild) {
  int evaluations = 0;
#ifdef NDEBUG
  TERRACED_DCHECK(++evaluations == 2);
  EXPECT_EQ(evaluations, 0);
#else
  EXPECT_DEATH(TERRACED_DCHECK(++evaluations == 2), "check failed");
#endif
}

}  // namespace
}  // namespace terraced
