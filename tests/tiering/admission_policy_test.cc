#include "tiering/admission_policy.h"

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

constexpr uint64_t kSecondUs = 1'000'000;
constexpr uint64_t kDayUs = 86'400 * kSecondUs;

class AdmissionPolicyTest : public testing::Test {
 protected:
  bool Admits(std::string_view key, bool flash_full = false) {
    return AdmissionPolicy(options_).Admits(*rig_.ItemOf(key), kStartS, flash_full);
  }
  CacheOptions options_;
  CacheRig rig_;
};

TEST_F(AdmissionPolicyTest, AdmitsEverythingByDefault) {
  rig_->Set("k", "");
  EXPECT_TRUE(Admits("k"));
  EXPECT_TRUE(Admits("k", true));
}

TEST_F(AdmissionPolicyTest, TheFloorOfSizeCountsKeyAndValue) {
  options_.flash_item_min_bytes = 10;
  rig_->Set("four", "12345");
  rig_->Set("fours", "12345");
  EXPECT_FALSE(Admits("four"));
  EXPECT_TRUE(Admits("fours"));
}

TEST_F(AdmissionPolicyTest, TheFloorOfTtlSparesItemsWithoutOne) {
  options_.flash_ttl_min_s = 60;
  rig_->Set("short", "v", 0, kStartS + 59);
  rig_->Set("long", "v", 0, kStartS + 60);
  rig_->Set("never", "v");
  EXPECT_FALSE(Admits("short"));
  EXPECT_TRUE(Admits("long"));
  EXPECT_TRUE(Admits("never"));
}

TEST_F(AdmissionPolicyTest, OnceFlashIsFullUnreadItemsMayBeRefused) {
  options_.flash_admit_unread = false;
  rig_->Set("unread", "v");
  rig_->Set("read", "v");
  rig_->Get("read");
  EXPECT_TRUE(Admits("unread", false));
  EXPECT_FALSE(Admits("unread", true));
  EXPECT_TRUE(Admits("read", true));
}

TEST_F(AdmissionPolicyTest, WithoutABudgetEverythingMayBeWritten) {
  AdmissionPolicy policy(options_);
  policy.Spend(1ULL << 50);
  EXPECT_TRUE(policy.MayWrite(1ULL << 50, kSecondUs));
}

TEST_F(AdmissionPolicyTest, TheBudgetOfASecondIsOverdrawnByOneBatchAtMost) {
  options_.flash_write_rate_bytes = 100;
  AdmissionPolicy policy(options_);
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
  options_.flash_write_rate_bytes = 100;
  options_.flash_write_day_bytes = 150;
  AdmissionPolicy policy(options_);
  uint64_t now_us = 7 * kSecondUs;
  for (int i = 0; i < 3; ++i, now_us += 10 * kSecondUs) {
    ASSERT_TRUE(policy.MayWrite(50, now_us)) << i;
    policy.Spend(50);
  }
  EXPECT_FALSE(policy.MayWrite(50, now_us));
  EXPECT_TRUE(policy.MayWrite(50, now_us + kDayUs));
}

TEST_F(AdmissionPolicyTest, BytesSavedUpInQuietTimesAreNotSpentAtOnce) {
  options_.flash_write_rate_bytes = 100;
  AdmissionPolicy policy(options_);
  EXPECT_TRUE(policy.MayWrite(100, kSecondUs));
  policy.Spend(100);
  const uint64_t later_us = 1'000 * kSecondUs;
  EXPECT_TRUE(policy.MayWrite(100, later_us));
  policy.Spend(100);
  EXPECT_FALSE(policy.MayWrite(100, later_us + kSecondUs / 2));
}

}  // namespace
}  // namespace terraced::tiering
