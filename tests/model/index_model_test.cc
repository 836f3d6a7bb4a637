// The rules of the flash index, explored exhaustively: clean with all of them, and for each rule a
// test that switches it off, to show that the checker would have seen it.
#include "tests/model/index_model.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace terraced::model {
namespace {

constexpr uint64_t kStatesMax = 12'000'000;  // about 80 bytes each

Events Everything() {
  Events events;
  events.failed_ingest = true;
  events.rewrite = true;
  events.flush = true;
  events.kill = true;
  return events;
}

Exploration Explore(const Rules& rules, const Events& events) {
  const IndexModel model(rules, events);
  return Explorer<IndexModel>(model).Run(kStatesMax);
}

void ExpectClean(const char* name, Events events) {
  events.fold_names = true;
  Exploration result = Explore(Rules(), events);
  std::printf("%s: %llu states\n", name, static_cast<unsigned long long>(result.states));
  if (!result.violation.empty()) {
    events.fold_names = false;  // a trace to be read
    result = Explore(Rules(), events);
  }
  EXPECT_EQ(result.violation, "") << result.trace;
  EXPECT_TRUE(result.exhausted);
}

void ExpectViolation(const Rules& rules, const Events& events, const std::string& kind) {
  const Exploration result = Explore(rules, events);
  std::printf("found after %llu states:\n%s", static_cast<unsigned long long>(result.states),
              result.trace.c_str());
  EXPECT_EQ(result.violation.substr(0, kind.size()), kind);
}

TEST(IndexModelTest, IsCleanWithAllRulesOn) {
  ExpectClean("everything", Everything());
}

TEST(IndexModelTest, IsCleanWhenTheIndexIsLostOrFlashIsTurnedOff) {
  Events events;
  events.failed_ingest = true;
  events.index_lost = true;
  events.off = true;
  ExpectClean("index lost, flash off", events);
}

// Identities that a growing table joins, parts, or leaves as they are.
Events Growth(Row<Row<uint8_t, kKeys>, 2> identity) {
  Events events;
  events.serials = 2;
  events.rewrite = true;
  events.growth = true;
  events.identity = identity;
  return events;
}
const Events kJoined = Growth({{{0, 1}, {0, 0}}});
const Events kParted = Growth({{{0, 0}, {0, 1}}});
const Events kTogether = Growth({{{0, 0}, {0, 0}}});

TEST(IndexModelTest, IsCleanWhenGrowthJoinsTwoIdentities) {
  ExpectClean("joined", kJoined);
}
TEST(IndexModelTest, IsCleanWhenGrowthPartsTwoIdentities) {
  ExpectClean("parted", kParted);
}
TEST(IndexModelTest, IsCleanWhenGrowthKeepsAnIdentity) {
  ExpectClean("together", kTogether);
}

TEST(IndexModelTest, Rule1EverySlotOfTheIdentityIsRemoved) {
  Rules rules;
  rules.remove_every_slot = false;
  ExpectViolation(rules, Events(), "STALE");
}

TEST(IndexModelTest, Rule1SlotsGoBeforeTheNewItemIsLinked) {
  Rules rules;
  rules.remove_before_link = false;
  Events events;
  events.kill = true;
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, Rule2AChangedItemIsNoLongerValidInItsBatch) {
  Rules rules;
  rules.cancel_demotion = false;
  Events events;
  ExpectViolation(rules, events, "LOST");
  events.losses = false;  // and what comes of it
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, Rule2OneInvalidEntryPoisonsItsIdentity) {
  Rules rules;
  rules.poison_identity = false;
  ExpectViolation(rules, Events(), "STALE");
}

TEST(IndexModelTest, Rule2ABatchTakesAKeyAtMostOnce) {
  Rules rules;
  rules.once_per_batch = false;
  Events events;
  ExpectViolation(rules, events, "LOST");
  events.losses = false;
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, Rule3WhatAFillFoundIsValidated) {
  Rules rules;
  rules.validate_found = false;
  ExpectViolation(rules, Events(), "STALE");
}

TEST(IndexModelTest, Rule3WhatAFillDidNotFindIsValidated) {
  Rules rules;
  rules.validate_not_found = false;
  ExpectViolation(rules, Events(), "STALE");
}

TEST(IndexModelTest, Rule3FillsCompareSerials) {
  Rules rules;
  rules.compare_serials_in_fill = false;
  ExpectViolation(rules, Events(), "STALE");
}

TEST(IndexModelTest, Rule4CleanHintsCompareSerials) {
  Rules rules;
  rules.compare_serials_in_hint = false;
  ExpectViolation(rules, Events(), "LOST");
}

TEST(IndexModelTest, Rule5ANumberIsReusedOnlyAfterASweep) {
  Rules rules;
  rules.sweep_before_reuse = false;
  ExpectViolation(rules, Events(), "STALE");
}

TEST(IndexModelTest, Rule5SlotWordsChangeUnderTheLock) {
  Rules rules;
  rules.change_words_under_lock = false;
  ExpectViolation(rules, Events(), "STALE");
}

TEST(IndexModelTest, Rule6ARewriteNeedsItsSourceSlot) {
  Rules rules;
  rules.check_source_slot = false;
  Events events;
  events.rewrite = true;
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, Rule7OnlyStandingSlotsAreCarriedOver) {
  Rules rules;
  rules.carry_only_standing = false;
  ExpectViolation(rules, kTogether, "STALE");
}

TEST(IndexModelTest, Rule7ADeadRecordBarsItsNewNeighbours) {
  Rules rules;
  rules.bar_dead_neighbours = false;
  ExpectViolation(rules, kJoined, "STALE");
}

TEST(IndexModelTest, Rule7RemovingTakesPartedNeighboursAlong) {
  Rules rules;
  rules.remove_parted_neighbours = false;
  ExpectViolation(rules, kParted, "STALE");
}

TEST(IndexModelTest, Rule8SlotsAreRemovedWhileFlashIsOff) {
  Rules rules;
  rules.remove_while_off = false;
  Events events;
  events.off = true;
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, Rule9ALostIndexEmptiesTheTier) {
  Rules rules;
  rules.empty_when_index_lost = false;
  Events events;
  events.index_lost = true;
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, ASerialIsNeverReusedAfterAKill) {
  Rules rules;
  rules.serials_never_reused = false;
  Events events;
  events.kill = true;
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, ASerialIsNeverReusedAfterAFailedIngest) {
  Rules rules;
  rules.serials_never_reused = false;
  Events events;
  events.failed_ingest = true;
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, AFlushOfTwoMarksLeaksWithRamFirst) {
  Rules rules;
  rules.flush = Rules::Flush::kRamMarkFirst;
  Events events;
  events.flush = true;
  ExpectViolation(rules, events, "STALE");
}

TEST(IndexModelTest, AFlushOfTwoMarksLeaksWithFlashFirst) {
  Rules rules;
  rules.flush = Rules::Flush::kFlashMarkFirst;
  Events events;
  events.flush = true;
  ExpectViolation(rules, events, "STALE");
}

}  // namespace
}  // namespace terraced::model
