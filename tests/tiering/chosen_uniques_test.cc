// Uniques that clients choose (meta protocol, E), when more of them than there are numbers for (CasRuns) have other
// upper bits than the daemon's own: every command gives such an item the whole of it, in RAM and from flash.
#include <gtest/gtest.h>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

constexpr int kMany = 200;

// Of the upper bits each has its own.
uint64_t Chosen(int i) {
  return 0x9e3779b97f4a7c15U * (static_cast<uint64_t>(i) + 1);
}

// The parameter: each command meets what it changes on flash.
class ChosenUniquesTest : public testing::TestWithParam<bool> {
 protected:
  ChosenUniquesTest() {
    for (int i = 0; i < kMany; ++i) {
      EXPECT_EQ(rig_->Store({.new_cas = Chosen(i)}, CacheRig::NameOf(i), "v"), Outcome::kStored);
    }
    EXPECT_TRUE(rig_.ItemOf(CacheRig::NameOf(kMany - 1))->HasWholeUnique());
    EXPECT_FALSE(rig_.ItemOf(CacheRig::NameOf(0))->HasWholeUnique());
    Put("k", "value");
    Put("number", "10");
  }
  void Put(std::string_view key, std::string_view value) {
    ASSERT_EQ(rig_->Store(StoreMode::kSet, key, value, 7, kStartS + 100), Outcome::kStored);
  }
  void Settle() {
    if (GetParam()) rig_.Demote();
  }
  uint64_t Next() { return Chosen(next_++); }

  CacheRig rig_;
  int next_ = kMany;
};

INSTANTIATE_TEST_SUITE_P(Tiers, ChosenUniquesTest, testing::Bool(),
                         [](const auto& from) { return from.param ? "Flash" : "Ram"; });

TEST_P(ChosenUniquesTest, AllOfThemComeBack) {
  Settle();
  for (int round = 0; round < 2; ++round) {  // the second from what the first may have brought up
    for (int i = 0; i < kMany; ++i) {
      const Got got = rig_->Get(CacheRig::NameOf(i));
      EXPECT_EQ(got, "v");
      EXPECT_EQ(got.meta.cas_unique, Chosen(i)) << i;
    }
  }
}

TEST_P(ChosenUniquesTest, OneIsComparedWhole) {
  const uint64_t unique = Next();
  ASSERT_EQ(rig_->Store({.new_cas = unique}, "k", "a"), Outcome::kStored);
  Settle();
  EXPECT_EQ(rig_->Cas("k", "x", unique ^ 1ULL << 63), Outcome::kExists);
  EXPECT_EQ(rig_->Cas("k", "x", unique & 0xffff'ffff), Outcome::kExists);
  EXPECT_EQ(rig_->Cas("k", "b", unique), Outcome::kStored);
  EXPECT_EQ(rig_->Get("k"), "b");
  EXPECT_FALSE(rig_.ItemOf("k")->HasWholeUnique());  // the daemon's own again
  EXPECT_EQ(rig_->Get("k").meta.cas_unique, rig_->cas_unique);
}

TEST_P(ChosenUniquesTest, AppendGivesOne) {
  Settle();
  const uint64_t unique = Next();
  ASSERT_EQ(rig_->Store({.mode = StoreMode::kAppend, .new_cas = unique}, "k", "+"),
            Outcome::kStored);
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "value+");
  EXPECT_EQ(got.meta.cas_unique, unique);
  EXPECT_EQ(got.meta.client_flags, 7U);
}

TEST_P(ChosenUniquesTest, ArithmeticGivesOne) {
  Settle();
  const uint64_t unique = Next();
  ASSERT_EQ(rig_->Count("number", CountPlan{.new_cas = unique}), Outcome::kStored);
  EXPECT_EQ(rig_->Get("number"), "11");
  EXPECT_EQ(rig_->Get("number").meta.cas_unique, unique);
  const uint64_t made = Next();
  ASSERT_EQ(rig_->Count("fresh", CountPlan{.vivifies = true, .initial = 3, .new_cas = made}),
            Outcome::kStored);
  EXPECT_EQ(rig_->Get("fresh").meta.cas_unique, made);
}

TEST_P(ChosenUniquesTest, InvalidationGivesOneAndKeepsAllElse) {
  ASSERT_TRUE(rig_->Get("k").Hit());
  Settle();
  const uint64_t unique = Next();
  ASSERT_EQ(rig_->Delete("k", {.invalidates = true, .new_cas = unique}), Outcome::kDeleted);
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "value");
  EXPECT_EQ(got.meta.cas_unique, unique);
  EXPECT_EQ(got.meta.client_flags, 7U);
  EXPECT_EQ(got.meta.exptime_s, kStartS + 100);
  EXPECT_TRUE(got.meta.stale);
  EXPECT_TRUE(got.meta.fetched);
  EXPECT_EQ(rig_.Stats().curr_items, kMany + 2U);
  const uint64_t other = Next();
  ASSERT_EQ(rig_->Delete("k", {.invalidates = true, .new_cas = other}), Outcome::kDeleted);
  EXPECT_EQ(rig_->Get("k").meta.cas_unique, other);
}

TEST_P(ChosenUniquesTest, SoDoesOneOfALargeItemAndOneThatDropsTheValue) {
  const std::string large(300'000, 'l');
  Put("k", large);
  Settle();
  const uint64_t unique = Next();
  ASSERT_EQ(rig_->Delete("k", {.invalidates = true, .new_cas = unique}), Outcome::kDeleted);
  EXPECT_EQ(rig_->Get("k"), large);
  EXPECT_EQ(rig_->Get("k").meta.cas_unique, unique);
  Settle();
  const uint64_t other = Next();
  ASSERT_EQ(rig_->Delete("k", {.drops_value = true, .new_cas = other}), Outcome::kDeleted);
  EXPECT_EQ(rig_->Get("k"), "");
  EXPECT_EQ(rig_->Get("k").meta.cas_unique, other);
}

}  // namespace
}  // namespace terraced::tiering
