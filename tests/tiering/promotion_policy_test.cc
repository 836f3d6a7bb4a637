// Which flash hits move an item back to RAM.
#include "tiering/promotion_policy.h"

#include <gtest/gtest.h>

#include <vector>

namespace terraced::tiering {
namespace {

class PromotionPolicyTest : public testing::Test {
 protected:
  static storage::SlotList Slots(std::initializer_list<bool> hits) {
    storage::SlotList list;
    for (const bool hit : hits) list.slots[list.count++].hit = hit;
    return list;
  }
  // Of so many hits of slots that were hit before.
  int Promoted(int hits) {
    int promoted = 0;
    for (int i = 0; i < hits; ++i) promoted += policy_.Wants(Slots({true})) ? 1 : 0;
    return promoted;
  }
  LiveSettings live_{CacheOptions()};
  PromotionPolicy policy_{live_};
};

TEST_F(PromotionPolicyTest, ByDefaultTheSecondHitIsWanted) {
  EXPECT_FALSE(policy_.Wants(Slots({false})));
  EXPECT_TRUE(policy_.Wants(Slots({true})));
  EXPECT_TRUE(policy_.Wants(Slots({false, true})));
  EXPECT_EQ(Promoted(100), 100);
}

TEST_F(PromotionPolicyTest, OneIsTheFirstHitAndZeroNone) {
  live_.promote_hits.Set(1);
  EXPECT_TRUE(policy_.Wants(Slots({false})));
  live_.promote_hits.Set(0);
  EXPECT_FALSE(policy_.Wants(Slots({true})));
}

TEST_F(PromotionPolicyTest, MoreThanTwoAreAChance) {
  live_.promote_hits.Set(3);
  EXPECT_NEAR(Promoted(10'000), 5'000, 200);
  live_.promote_hits.Set(11);
  EXPECT_NEAR(Promoted(10'000), 1'000, 100);
  live_.promote_hits.Set(65'536);
  EXPECT_LT(Promoted(10'000), 5);
}

TEST_F(PromotionPolicyTest, AFirstHitIsNeverDrawn) {
  live_.promote_hits.Set(3);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(policy_.Wants(Slots({false, false})));
}

TEST_F(PromotionPolicyTest, TheSameHitsAreDrawnEachTime) {
  live_.promote_hits.Set(4);
  PromotionPolicy other(live_);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(policy_.Wants(Slots({true})), other.Wants(Slots({true}))) << i;
  }
}

}  // namespace
}  // namespace terraced::tiering
