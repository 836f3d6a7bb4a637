// The judge of the history checker against histories made by hand, then against servers whose behaviour is
// known: memcached must pass, a proxy that replays old values must not.
#include <gtest/gtest.h>

#include "tests/support/daemon.h"
#include "tests/support/history.h"
#include "tests/support/history_runner.h"
#include "tests/support/servers.h"
#include "tests/support/stale_proxy.h"

namespace terraced::support {
namespace {

constexpr size_t kKey = 0;

// Moments by hand: microseconds, and the second they fall into.
Moment At(uint64_t us, int64_t wall_s = 1'000) {
  return {.us = us, .wall_s = wall_s};
}

class HistoryTest : public ::testing::Test {
 protected:
  void Store(std::string_view value, uint64_t begin_us, uint64_t end_us, int64_t ttl_s = 0) {
    history_.BeginChange(kKey,
                         {.kind = ChangeKind::kStore, .version = 1, .value = value, .ttl_s = ttl_s},
                         At(begin_us));
    ASSERT_EQ(history_.EndChange(kKey, Applied::kYes, At(end_us)), std::nullopt);
  }
  void Remove(uint64_t begin_us, uint64_t end_us) {
    history_.BeginChange(kKey, {.kind = ChangeKind::kRemove, .version = 1, .value = {}},
                         At(begin_us));
    ASSERT_EQ(history_.EndChange(kKey, Applied::kYes, At(end_us)), std::nullopt);
  }
  // The server died before it answered.
  void BreakOff(std::string_view value, uint64_t begin_us, uint64_t end_us) {
    history_.BeginChange(kKey, {.kind = ChangeKind::kStore, .version = 1, .value = value},
                         At(begin_us));
    history_.BreakOffChange(kKey, At(end_us));
  }
  void Flush(uint64_t begin_us, uint64_t end_us) {
    const size_t flush = history_.BeginFlush(At(begin_us));
    history_.EndFlush(flush, At(end_us));
  }
  bool MayRead(std::string_view value, uint64_t begin_us, uint64_t end_us, int64_t wall_s = 1'000) {
    return !history_.JudgeHit(kKey, value, At(begin_us, wall_s), At(end_us, wall_s)).has_value();
  }
  History history_{1};
};

TEST_F(HistoryTest, AcceptsTheCurrentValue) {
  Store("a", 10, 20);
  EXPECT_TRUE(MayRead("a", 30, 40));
}

TEST_F(HistoryTest, RefusesAValueThatNobodyStored) {
  Store("a", 10, 20);
  EXPECT_FALSE(MayRead("b", 30, 40));
}

TEST_F(HistoryTest, RefusesAValueStoredOverBeforeTheGet) {
  Store("a", 10, 20);
  Store("b", 30, 40);
  EXPECT_FALSE(MayRead("a", 50, 60));
  EXPECT_TRUE(MayRead("b", 50, 60));
}

TEST_F(HistoryTest, AcceptsEitherValueWhileTheStoreIsUnderWay) {
  Store("a", 10, 20);
  Store("b", 30, 40);
  EXPECT_TRUE(MayRead("a", 35, 60));  // the store was acknowledged only after the get began
  EXPECT_TRUE(MayRead("b", 25, 35));
  EXPECT_FALSE(MayRead("b", 22, 25));  // the store was not even sent
}

TEST_F(HistoryTest, AcceptsEitherValueOfAStoreThatWasNeverAnswered) {
  Store("a", 10, 20);
  history_.BeginChange(kKey, {.kind = ChangeKind::kStore, .version = 2, .value = "b"}, At(30));
  EXPECT_TRUE(MayRead("a", 100, 110));
  EXPECT_TRUE(MayRead("b", 100, 110));
}

TEST_F(HistoryTest, AChangeThatWasBrokenOffMayHaveHappenedUntilThereIsAnother) {
  Store("a", 10, 20);
  BreakOff("b", 30, 40);
  EXPECT_TRUE(MayRead("b", 35, 36));
  Store("c", 50, 60);
  EXPECT_FALSE(MayRead("a", 70, 80));
  EXPECT_FALSE(MayRead("b", 70, 80));
  EXPECT_TRUE(MayRead("c", 70, 80));
}

TEST_F(HistoryTest, WhoHasSeenABrokenOffValueMustNotSeeTheOneBefore) {
  Store("a", 10, 20);
  BreakOff("b", 30, 40);
  EXPECT_TRUE(MayRead("b", 50, 60));
  EXPECT_FALSE(MayRead("a", 70, 80));
  EXPECT_TRUE(MayRead("b", 70, 80));
}

TEST_F(HistoryTest, WhatWasNotThereAfterTheDeathDoesNotHappenLater) {
  Store("a", 10, 20);
  BreakOff("b", 30, 40);
  EXPECT_TRUE(MayRead("a", 35, 36));  // says nothing: the change was still under way
  EXPECT_TRUE(MayRead("b", 37, 38));
  BreakOff("c", 50, 60);
  EXPECT_TRUE(MayRead("b", 70, 80));
  EXPECT_FALSE(MayRead("c", 90, 100));
}

TEST_F(HistoryTest, SeveralBrokenOffChangesInARowLeaveEachPossible) {
  Store("a", 10, 20);
  BreakOff("b", 30, 40);
  BreakOff("c", 50, 60);
  EXPECT_TRUE(MayRead("a", 55, 56));
  EXPECT_TRUE(MayRead("c", 70, 80));
  EXPECT_FALSE(MayRead("a", 90, 100));
}

TEST_F(HistoryTest, KnowsSinceWhenAKeyHoldsAValueForCertain) {
  EXPECT_EQ(history_.HeldSince(kKey, At(5)), std::nullopt);
  Store("a", 10, 20);
  EXPECT_EQ(history_.HeldSince(kKey, At(25)), 20U);
  BreakOff("b", 30, 40);
  EXPECT_EQ(history_.HeldSince(kKey, At(45)), std::nullopt);
  Store("c", 50, 60, 5);
  EXPECT_EQ(history_.HeldSince(kKey, At(70)), 60U);
  EXPECT_EQ(history_.HeldSince(kKey, At(70, 1'000 + 5)), std::nullopt);
  Store("d", 80, 90);
  const size_t flush = history_.BeginFlush(At(100));
  EXPECT_EQ(history_.HeldSince(kKey, At(110)), std::nullopt);
  history_.BreakOffFlush(flush, At(120));
  Store("e", 130, 140);
  EXPECT_EQ(history_.HeldSince(kKey, At(150)), 140U);
}

TEST_F(HistoryTest, AFlushThatWasBrokenOffProvesNothing) {
  Store("a", 10, 20);
  history_.BreakOffFlush(history_.BeginFlush(At(30)), At(40));
  EXPECT_TRUE(MayRead("a", 50, 60));
}

TEST_F(HistoryTest, RefusesTheValueOfARefusedStore) {
  Store("a", 10, 20);
  history_.BeginChange(kKey, {.kind = ChangeKind::kStore, .version = 2, .value = "b"}, At(30));
  ASSERT_EQ(history_.EndChange(kKey, Applied::kNo, At(40)), std::nullopt);
  EXPECT_TRUE(MayRead("a", 50, 60));
  EXPECT_FALSE(MayRead("b", 50, 60));
}

TEST_F(HistoryTest, RefusesADeletedValue) {
  Store("a", 10, 20);
  Remove(30, 40);
  EXPECT_FALSE(MayRead("a", 50, 60));
  EXPECT_TRUE(MayRead("a", 39, 60));
}

TEST_F(HistoryTest, RefusesAFlushedValue) {
  Store("a", 10, 20);
  Flush(30, 40);
  EXPECT_FALSE(MayRead("a", 50, 60));
  EXPECT_TRUE(MayRead("a", 40, 60));
}

TEST_F(HistoryTest, AcceptsAValueStoredWhileOrAfterAFlushWasUnderWay) {
  Flush(10, 30);
  Store("a", 20, 40);
  EXPECT_TRUE(MayRead("a", 50, 60));
}

TEST_F(HistoryTest, RefusesAFlushedValueThatWasTouchedSince) {
  Store("a", 10, 20);
  Flush(30, 40);
  history_.BeginChange(
      kKey,
      {.kind = ChangeKind::kTouch, .version = 2, .value = {}, .ttl_s = 0, .needs_value = true},
      At(50));
  EXPECT_NE(history_.EndChange(kKey, Applied::kYes, At(60)), std::nullopt);
  EXPECT_FALSE(MayRead("a", 70, 80));
}

TEST_F(HistoryTest, RefusesAnExpiredValueOnlyBeyondTheSlack) {
  Store("a", 10, 20, 5);
  const int64_t expires_s = 1'000 + 5;
  EXPECT_TRUE(MayRead("a", 30, 40, expires_s));
  EXPECT_TRUE(MayRead("a", 30, 40, expires_s + kExpirySlackS));
  EXPECT_FALSE(MayRead("a", 30, 40, expires_s + kExpirySlackS + 1));
}

TEST_F(HistoryTest, ATouchGivesAValueAnotherExptime) {
  Store("a", 10, 20, 5);
  history_.BeginChange(
      kKey,
      {.kind = ChangeKind::kTouch, .version = 2, .value = {}, .ttl_s = 0, .needs_value = true},
      At(30));
  ASSERT_EQ(history_.EndChange(kKey, Applied::kYes, At(40)), std::nullopt);
  EXPECT_TRUE(MayRead("a", 50, 60, 9'999));
}

TEST_F(HistoryTest, AnAppendKeepsTheExptime) {
  Store("a", 10, 20, 5);
  history_.BeginChange(kKey,
                       {.kind = ChangeKind::kStore,
                        .version = 2,
                        .value = "ab",
                        .ttl_s = 0,
                        .needs_value = true,
                        .keeps_exptime = true},
                       At(30));
  ASSERT_EQ(history_.EndChange(kKey, Applied::kYes, At(40)), std::nullopt);
  EXPECT_FALSE(MayRead("ab", 50, 60, 9'999));
}

TEST_F(HistoryTest, RefusesAChangeThatWorkedOnADeletedItem) {
  Store("a", 10, 20);
  Remove(30, 40);
  history_.BeginChange(
      kKey,
      {.kind = ChangeKind::kStore, .version = 3, .value = "ab", .ttl_s = 0, .needs_value = true},
      At(50));
  EXPECT_NE(history_.EndChange(kKey, Applied::kYes, At(60)), std::nullopt);
}

TEST_F(HistoryTest, RefusesAPresenceThatCannotBe) {
  EXPECT_NE(history_.JudgePresence(kKey, At(5)), std::nullopt);
  Store("a", 10, 20);
  EXPECT_EQ(history_.JudgePresence(kKey, At(30)), std::nullopt);
}

TEST_F(HistoryTest, AcceptsTheSameValueStoredAgainAfterItWasDeleted) {
  Store("a", 10, 20);
  Remove(30, 40);
  Store("a", 50, 60);
  EXPECT_TRUE(MayRead("a", 70, 80));
  EXPECT_FALSE(MayRead("a", 42, 48));
}

class HistoryRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Daemon>> server =
        Daemon::Start({.binary = ReferenceBinary(), .arguments = {"-m", "64", "-t", "2"}});
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
  }
  static HistoryLoad LoadOn(int port) {
    HistoryLoad load;
    load.port = port;
    load.seed = Seed();
    load.duration = std::chrono::seconds(4);
    load.flush_every = std::chrono::milliseconds(700);
    return load;
  }
  std::unique_ptr<Daemon> server_;
};

TEST_F(HistoryRunTest, PassesOnMemcached) {
  const HistoryReport report = RunHistory(LoadOn(server_->Port()));
  EXPECT_TRUE(report.violations.empty() && report.errors.empty()) << report.Summary();
  EXPECT_GT(report.hits, 1'000U) << report.Summary();
  EXPECT_GT(report.changes, 1'000U) << report.Summary();
}

TEST_F(HistoryRunTest, PassesThroughAProxyThatReplaysNothing) {
  Result<std::unique_ptr<StaleProxy>> proxy = StaleProxy::Start(server_->Port(), 0);
  ASSERT_TRUE(proxy.ok()) << proxy.status().message();
  const HistoryReport report = RunHistory(LoadOn(proxy.value()->Port()));
  EXPECT_TRUE(report.violations.empty() && report.errors.empty()) << report.Summary();
}

TEST_F(HistoryRunTest, FailsAServerThatReplaysAnOldValueOnceInAThousandGets) {
  Result<std::unique_ptr<StaleProxy>> proxy = StaleProxy::Start(server_->Port(), 1'000);
  ASSERT_TRUE(proxy.ok()) << proxy.status().message();
  HistoryLoad load = LoadOn(proxy.value()->Port());
  load.duration = std::chrono::seconds(60);  // it ends at the first violation
  const HistoryReport report = RunHistory(load);
  EXPECT_TRUE(report.errors.empty()) << report.Summary();
  EXPECT_FALSE(report.violations.empty()) << report.Summary();
}

}  // namespace
}  // namespace terraced::support
