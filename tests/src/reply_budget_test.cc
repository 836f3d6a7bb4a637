#include "src/net/reply_budget.h"

#include <gtest/gtest.h>

namespace terraced::server {
namespace {

constexpr uint64_t kMega = 1U << 20;

TEST(ReplyBudgetTest, AWorkerSeesWhatItTookAtOnceAndTheOthersWhenItTellsThem) {
  ReplyBudget budget(4 * kMega);
  ReplyAccount mine(budget);
  ReplyAccount other(budget);
  mine.Take(1'000);
  EXPECT_EQ(mine.LeftBytes(), 4 * kMega - 1'000);
  EXPECT_EQ(other.LeftBytes(), 4 * kMega);
  mine.Publish();
  EXPECT_EQ(other.LeftBytes(), 4 * kMega - 1'000);
  EXPECT_EQ(budget.HeldBytes(), 1'000U);
  mine.GiveBack(1'000);
  EXPECT_EQ(mine.LeftBytes(), 4 * kMega);
  EXPECT_EQ(other.LeftBytes(), 4 * kMega - 1'000);
  mine.Publish();
  EXPECT_EQ(other.LeftBytes(), 4 * kMega);
}

TEST(ReplyBudgetTest, ALargeChangeIsToldWithinATurn) {
  ReplyBudget budget(4 * kMega);
  ReplyAccount mine(budget);
  mine.Take(kMega);
  EXPECT_EQ(mine.LeftBytes(), 3 * kMega);
  EXPECT_EQ(budget.HeldBytes(), kMega);
  mine.GiveBack(kMega);
  EXPECT_EQ(mine.LeftBytes(), 4 * kMega);
  EXPECT_EQ(budget.HeldBytes(), 0U);
}

TEST(ReplyBudgetTest, NothingIsLeftOfABudgetThatWasPassed) {
  ReplyBudget budget(kMega);
  ReplyAccount mine(budget);
  mine.Take(3 * kMega);
  EXPECT_EQ(mine.LeftBytes(), 0U);
}

TEST(ReplyBudgetTest, AWorkerThatEndsTakesItsPartWithIt) {
  ReplyBudget budget(kMega);
  {
    ReplyAccount mine(budget);
    mine.Take(100);
    mine.Publish();
    mine.GiveBack(100);
  }
  EXPECT_EQ(budget.HeldBytes(), 0U);
}

}  // namespace
}  // namespace terraced::server
