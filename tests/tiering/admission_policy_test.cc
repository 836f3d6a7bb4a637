#include "tiering/admission_policy.h"

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

constexpr uint64_t kSecondUs = 1'000'000;
constexpr uint64_t kDayUs = 86'400 * kSecondUs;

class AdmissionPolicyTest : public testing::Test {
 protected:
  bool Admits(std::string_view key, bool flash_full = false) {
    return AdmissionPolicy(live_).Admits(*rig_.ItemOf(key), kStartS, flash_full);
  }
  LiveSettings live_{CacheOptions()};
  CacheRig rig_;
};

TEST_F(AdmissionPolicyTest, AdmitsEverythingByDefault) {
  rig_->Set("k", "");
  EXPECT_TRUE(Admits("k"));
  EXPECT_TRUE(Admits("k", true));
}

TEST_F(AdmissionPolicyTest, TheFloorOfSizeCountsKeyAndValue) {
  live_.flash_item_min_bytes.Set(10);
  rig_->Set("four", "12345");
  rig_->Set("fours", "12345");
  EXPECT_FALSE(Admits("four"));
  EXPECT_TRUE(Admits("fours"));
}

TEST_F(AdmissionPolicyTest, TheFloorOfTtlSparesItemsWithoutOne) {
  live_.flash_ttl_min_s.Set(60);
  rig_->Set("short", "v", 0, kStartS + 59);
  rig_->Set("long", "v", 0, kStartS + 60);
  rig_->Set("never", "v");
  EXPECT_FALSE(Admits("short"));
  EXPECT_TRUE(Admits("long"));
  EXPECT_TRUE(Admits("never"));
}

TEST_F(AdmissionPolicyTest, OnceFlashIsFullUnreadItemsMayBeRefused) {
  live_.flash_admit_unread.Set(false);
  rig_->Set("unread", "v");
  rig_->Set("read", "v");
  rig_->Get("read");
  EXPECT_TRUE(Admits("unread", false));
  EXPECT_FALSE(Admits("unread", true));
  EXPECT_TRUE(Admits("read", true));
}

TEST_F(AdmissionPolicyTest, WithoutABudgetEverythingMayBeWritten) {
  AdmissionPolicy policy(live_);
  policy.Spend(1ULL << 50);
  EXPECT_TRUE(policy.MayWrite(1ULL << 50, kSecondUs));
}

TEST_F(AdmissionPolicyTest, TheBudgetOfASecondIsOverdrawnByOneBatchAtMost) {
  live_.flash_write_rate_bytes.Set(100);
  AdmissionPolicy policy(live_);
  uint64_t now_us = 5 * kSecondUs;
  EXPECT_TRUE(policy.MayWrite(250, now_us));  // a batch larger than a second's budget
  policy.Spend(250);
  EXPECT_FALSE(policy.MayWrite(10, now_us));
  now_us += kSecondUs;  // 150 are still owed
  EXPECT_FALSE(policy.MayWrite(10, now_us));
  now_us += kSecondUs;
  EXPECT_TRUE(policy.MayWrite(10, now_us));
  EXPECT_FALSE(policy.MayWrite(60, now_us));
  now_us += kSecondUs;
  EXPECT_TRUE(policy.MayWrite(60, now_us));
}

TEST_F(AdmissionPolicyTest, TheBudgetOfADayHoldsBesideThatOfASecond) {
  live_.flash_write_rate_bytes.Set(100);
  live_.flash_write_day_bytes.Set(150);
  AdmissionPolicy policy(live_);
  uint64_t now_us = 7 * kSecondUs;
  for (int i = 0; i < 3; ++i, now_us += 10 * kSecondUs) {
    ASSERT_TRUE(policy.MayWrite(50, now_us)) << i;
    policy.Spend(50);
  }
  EXPECT_FALSE(policy.MayWrite(50, now_us));
  EXPECT_TRUE(policy.MayWrite(50, now_us + kDayUs));
}

TEST_F(AdmissionPolicyTest, BytesSavedUpInQuietTimesAreNotSpentAtOnce) {
  live_.flash_write_rate_bytes.Set(100);
  AdmissionPolicy policy(live_);
  EXPECT_TRUE(policy.MayWrite(100, kSecondUs));
  policy.Spend(100);
  const uint64_t later_us = 1'000 * kSecondUs;
  EXPECT_TRUE(policy.MayWrite(100, later_us));
  policy.Spend(100);
  EXPECT_FALSE(policy.MayWrite(100, later_us + kSecondUs / 2));
}

TEST_F(AdmissionPolicyTest, AFloorMayMoveBetweenTwoItems) {
  AdmissionPolicy policy(live_);
  rig_->Set("k", "v");
  EXPECT_TRUE(policy.Admits(*rig_.ItemOf("k"), kStartS, false));
  live_.flash_item_min_bytes.Set(3);
  EXPECT_FALSE(policy.Admits(*rig_.ItemOf("k"), kStartS, false));
  live_.flash_item_min_bytes.Set(2);
  EXPECT_TRUE(policy.Admits(*rig_.ItemOf("k"), kStartS, false));
}

// What was written before there was a limit, or under a wider one, is not owed for ever.
TEST_F(AdmissionPolicyTest, ANewLimitIsUsedUpForOneWindowAtMost) {
  AdmissionPolicy policy(live_);
  uint64_t now_us = 1'000 * kSecondUs;
  EXPECT_TRUE(policy.MayWrite(1U << 20, now_us));
  policy.Spend(1U << 20);
  live_.flash_write_rate_bytes.Set(100);
  EXPECT_FALSE(policy.MayWrite(10, now_us + kSecondUs / 2));
  now_us += kSecondUs;
  EXPECT_TRUE(policy.MayWrite(100, now_us));
  live_.flash_write_rate_bytes.Set(1'000'000);
  EXPECT_TRUE(policy.MayWrite(1'000'000, now_us));
  policy.Spend(1'000'000);
  live_.flash_write_rate_bytes.Set(100);
  EXPECT_FALSE(policy.MayWrite(10, now_us));
  EXPECT_TRUE(policy.MayWrite(10, now_us + kSecondUs));
}

TEST_F(AdmissionPolicyTest, ADayThatGetsALimitCountsWhatWasWrittenInIt) {
  AdmissionPolicy policy(live_);
  const uint64_t now_us = 1'000 * kDayUs;
  EXPECT_TRUE(policy.MayWrite(500, now_us));
  policy.Spend(500);
  live_.flash_write_day_bytes.Set(600);
  EXPECT_TRUE(policy.MayWrite(100, now_us + kSecondUs));
  EXPECT_FALSE(policy.MayWrite(101, now_us + kSecondUs));
  live_.flash_write_day_bytes.Set(0);
  EXPECT_TRUE(policy.MayWrite(1U << 30, now_us + kSecondUs));
  policy.Spend(1U << 20);
  EXPECT_TRUE(policy.MayWrite(1U << 30, now_us + kDayUs));  // another day: forgotten
  live_.flash_write_day_bytes.Set(600);
  EXPECT_TRUE(policy.MayWrite(600, now_us + kDayUs + kSecondUs));
}

TEST_F(AdmissionPolicyTest, AWiderLimitCountsAtOnce) {
  live_.flash_write_rate_bytes.Set(100);
  AdmissionPolicy policy(live_);
  EXPECT_TRUE(policy.MayWrite(100, kSecondUs));
  policy.Spend(100);
  EXPECT_FALSE(policy.MayWrite(10, kSecondUs));
  live_.flash_write_rate_bytes.Set(200);
  EXPECT_TRUE(policy.MayWrite(100, kSecondUs));
  EXPECT_FALSE(policy.MayWrite(101, kSecondUs));
}

}  // namespace
}  // namespace terraced::tiering
