// Which classes are looked at again, and which nobody waits for.
#include "tiering/demotion_outlook.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>

namespace terraced::tiering {
namespace {

constexpr storage::SlabClass kClass = 1;

class DemotionOutlookTest : public testing::Test {
 protected:
  DemotionOutlookTest() {
    storage::SlabOptions options;
    options.limit_bytes = 1U << 20;
    options.slab_sizes = {16U << 10, 512U << 10};
    arena_ = storage::SlabArena::Create(options).value();
    outlook_.emplace(*arena_);
    arena_->Free(arena_->Allocate(kClass));  // it has its page of 64 chunks now
  }
  void Store(int count) {
    for (int i = 0; i < count; ++i) arena_->Free(arena_->Allocate(kClass));
  }
  void Look(int turns, uint64_t looks) {
    for (int i = 0; i < turns; ++i) outlook_->NoteTurn(kClass, false, looks);
  }
  std::unique_ptr<storage::SlabArena> arena_;
  std::optional<DemotionOutlook> outlook_;
};

TEST_F(DemotionOutlookTest, HopesAtFirst) {
  EXPECT_TRUE(outlook_->MayCome(kClass));
  EXPECT_TRUE(outlook_->WorthALook(kClass));
}

TEST_F(DemotionOutlookTest, GivesAClassUpAfterThreeTurnsForNothing) {
  Look(2, 1'000);
  EXPECT_TRUE(outlook_->MayCome(kClass));
  Look(1, 1'000);
  EXPECT_FALSE(outlook_->MayCome(kClass));
  EXPECT_FALSE(outlook_->WorthALook(kClass));
  EXPECT_TRUE(outlook_->MayCome(2));
}

TEST_F(DemotionOutlookTest, GivesItUpOnlyWhenAsMuchWasLookedAtAsItHas) {
  Look(6, 10);
  EXPECT_TRUE(outlook_->WorthALook(kClass));
  Look(1, 10);
  EXPECT_FALSE(outlook_->WorthALook(kClass));
}

TEST_F(DemotionOutlookTest, LooksAgainWhenASixteenthWasStoredAnew) {
  Look(3, 1'000);
  Store(3);
  EXPECT_FALSE(outlook_->WorthALook(kClass));
  Store(1);
  EXPECT_TRUE(outlook_->WorthALook(kClass));
  EXPECT_FALSE(outlook_->MayCome(kClass));  // nobody waits for a mere look
  Look(1, 1'000);
  EXPECT_FALSE(outlook_->WorthALook(kClass));
  Store(4);
  outlook_->NoteTurn(kClass, true, 1'000);
  EXPECT_TRUE(outlook_->MayCome(kClass));
  EXPECT_TRUE(outlook_->WorthALook(kClass));
}

TEST_F(DemotionOutlookTest, LooksAgainWhenItIsTold) {
  Look(3, 1'000);
  outlook_->LookAgain();
  EXPECT_TRUE(outlook_->WorthALook(kClass));
  EXPECT_TRUE(outlook_->MayCome(kClass));
  Look(2, 1'000);  // it takes as many turns as at first to give up
  EXPECT_TRUE(outlook_->MayCome(kClass));
  Look(1, 1'000);
  EXPECT_FALSE(outlook_->MayCome(kClass));
}

TEST_F(DemotionOutlookTest, NothingComesWhileTheBudgetIsSpent) {
  outlook_->NoteBudget(false);
  EXPECT_FALSE(outlook_->MayCome(kClass));
  outlook_->NoteBudget(true);
  EXPECT_TRUE(outlook_->MayCome(kClass));
}

}  // namespace
}  // namespace terraced::tiering
