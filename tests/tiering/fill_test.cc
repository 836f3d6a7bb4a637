// Fills and the queue of a worker; I3 and rule 3: what was read counts only if every slot that stands now was tried.
#include "tiering/fill.h"

#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

storage::SlotList Slots(std::initializer_list<uint64_t> serials) {
  storage::SlotList list;
  for (const uint64_t serial : serials) list.slots[list.count++].serial = serial;
  return list;
}

class Waiter final : public FillWaiter {
 public:
  void FillDone(std::shared_ptr<const Fill> fill) override {
    ++told;
    last = std::move(fill);
    if (also) also();
  }
  int told = 0;
  std::shared_ptr<const Fill> last;
  std::function<void()> also;
};

// --- The queue --------------------------------------------------------------------------------------------------

class FillQueueTest : public testing::Test {
 protected:
  void SetUp() override {
    rig_->Set("k", "value");
    rig_.Demote();
    need_ = rig_.SlotsOf("k");
    ASSERT_EQ(need_.count, 1U);
  }
  void Want(Waiter* waiter, uint64_t deadline_us = UINT64_MAX) {
    queue_.Want(rig_->KeyOf("k"), need_, waiter, deadline_us);
  }
  void RunAll() {
    while (!queue_.Idle()) executor_.Run();
  }

  CacheRig rig_;
  CrankedExecutor executor_;
  FillQueue queue_{rig_.cache->Reader(), executor_};
  storage::SlotList need_;
};

TEST_F(FillQueueTest, TellsTheWaiterWhatWasRead) {
  Waiter waiter;
  Want(&waiter);
  EXPECT_EQ(queue_.Waiting(), 1U);
  queue_.Submit();
  RunAll();
  ASSERT_EQ(waiter.told, 1);
  EXPECT_EQ(queue_.Waiting(), 0U);
  ASSERT_NE(waiter.last->Newest(need_), nullptr);
  EXPECT_EQ(waiter.last->Newest(need_)->record.value, "value");
  EXPECT_FALSE(waiter.last->Failed());
}

TEST_F(FillQueueTest, FillsOfOneKeyAreJoined) {
  Waiter first;
  Waiter second;
  Want(&first);
  Want(&second);
  queue_.Submit();
  RunAll();
  EXPECT_EQ(first.told, 1);
  EXPECT_EQ(second.told, 1);
  EXPECT_EQ(first.last, second.last);
  EXPECT_EQ(rig_.Stats().flash.reads, 1U);
  EXPECT_EQ(rig_.Stats().flash.reads_coalesced, 1U);
}

TEST_F(FillQueueTest, AFillThatDoesNotCoverTheNeedIsNotJoined) {
  Waiter first;
  Waiter second;
  Want(&first);
  queue_.Want(rig_->KeyOf("k"), Slots({need_.slots[0].serial, 12345}), &second, UINT64_MAX);
  queue_.Submit();
  RunAll();
  EXPECT_NE(first.last, second.last);
  EXPECT_TRUE(second.last->CoversAll(Slots({12345})));
  EXPECT_FALSE(first.last->CoversAll(Slots({12345})));
}

TEST_F(FillQueueTest, ACancelledWaiterIsNotTold) {
  Waiter waiter;
  Want(&waiter);
  queue_.Submit();
  queue_.Cancel(&waiter);
  RunAll();
  EXPECT_EQ(waiter.told, 0);
}

TEST_F(FillQueueTest, AFillThatEverybodyHasLeftIsNotRead) {
  Waiter gone;
  Waiter late;
  Want(&gone);
  Want(&late, 100);
  queue_.Cancel(&gone);
  queue_.ExpireUntil(100);
  EXPECT_EQ(late.told, 1);
  queue_.Submit();
  EXPECT_TRUE(queue_.Idle());
  EXPECT_EQ(rig_.Stats().flash.reads, 0U);
}

TEST_F(FillQueueTest, AFillThatOneHasNotLeftIsRead) {
  Waiter gone;
  Waiter stays;
  Want(&gone);
  Want(&stays);
  queue_.Cancel(&gone);
  queue_.Submit();
  RunAll();
  EXPECT_EQ(gone.told, 0);
  ASSERT_EQ(stays.told, 1);
  EXPECT_FALSE(stays.last->Failed());
}

TEST_F(FillQueueTest, WhoComesWhenEverybodyHasLeftGetsAReadOfItsOwn) {
  Waiter gone;
  Waiter next;
  Want(&gone);
  queue_.Submit();
  queue_.Cancel(&gone);
  Want(&next);
  queue_.Submit();
  RunAll();
  ASSERT_EQ(next.told, 1);
  EXPECT_FALSE(next.last->Failed());
  EXPECT_EQ(rig_.Stats().flash.reads_coalesced, 0U);
}

TEST_F(FillQueueTest, NobodyJoinsAReadWhoseTurnComesLaterThanItsOwn) {
  Waiter greedy;
  Waiter modest;
  ReadAsker large{.expected_bytes = 1U << 20};
  ReadAsker small{.expected_bytes = 100};
  queue_.Want(rig_->KeyOf("k"), need_, &greedy, UINT64_MAX, &large);
  queue_.Want(rig_->KeyOf("k"), need_, &modest, UINT64_MAX, &small);
  queue_.Submit();
  RunAll();
  EXPECT_EQ(greedy.told, 1);
  EXPECT_EQ(modest.told, 1);
  EXPECT_EQ(rig_.Stats().flash.reads_coalesced, 0U);
}

TEST_F(FillQueueTest, AWaiterMayCancelAnotherWhenItIsTold) {
  Waiter first;
  Waiter second;
  first.also = [&] { queue_.Cancel(&second); };
  Want(&first);
  Want(&second);
  queue_.Submit();
  RunAll();
  EXPECT_EQ(first.told, 1);
  EXPECT_EQ(second.told, 0);
}

TEST_F(FillQueueTest, LateWaitersAreToldSoAndNotAgain) {
  Waiter late;
  Waiter patient;
  Want(&late, 100);
  Want(&patient, 300);
  queue_.Submit();
  EXPECT_EQ(queue_.ExpireUntil(99), 100U);
  EXPECT_EQ(late.told, 0);
  EXPECT_EQ(queue_.ExpireUntil(100), 300U);
  EXPECT_EQ(late.told, 1);
  EXPECT_EQ(late.last, nullptr);
  RunAll();
  EXPECT_EQ(late.told, 1);
  EXPECT_EQ(patient.told, 1);
  EXPECT_EQ(queue_.ExpireUntil(UINT64_MAX), 0U);
}

TEST_F(FillQueueTest, AWaiterThatWantsAgainAtOnceIsToldByItsNewFill) {
  Waiter waiter;
  waiter.also = [&] {
    if (waiter.told == 1) Want(&waiter);
  };
  Want(&waiter);
  queue_.Submit();
  while (waiter.told < 1) executor_.Run();
  const std::shared_ptr<const Fill> first = waiter.last;
  queue_.Submit();
  RunAll();
  EXPECT_EQ(waiter.told, 2);
  EXPECT_NE(waiter.last, first);
}

TEST_F(FillQueueTest, CoversAllAndNewestGoBySerialOnly) {
  const Fill fill(nullptr, nullptr, rig_->KeyOf("k"), Slots({5, 9}));
  EXPECT_TRUE(fill.CoversAll(Slots({})));
  EXPECT_TRUE(fill.CoversAll(Slots({9, 5})));
  EXPECT_FALSE(fill.CoversAll(Slots({5, 9, 7})));
  EXPECT_EQ(fill.Newest(Slots({5, 9})), nullptr);
  EXPECT_EQ(fill.Corrupt(Slots({5, 9})), nullptr);
}

// --- Races between the read and its validation ------------------------------------------------------------------

class FillTest : public testing::Test {
 protected:
  explicit FillTest(uint32_t promote_hits = 2) : rig_(Options(promote_hits)), other_(*rig_.cache) {}
  static CacheOptions Options(uint32_t promote_hits) {
    CacheOptions options = RigOptions();
    options.promote_hits = promote_hits;
    return options;
  }
  void PutOnFlash(std::string_view key, std::string_view value) {
    rig_->Set(key, value);
    rig_.Demote();
    ASSERT_TRUE(rig_.OnFlash(key));
    ASSERT_FALSE(rig_.InRam(key));
  }
  CacheRig rig_;
  CacheClient other_;  // whose commands need no flash where they run on the reader
};

TEST_F(FillTest, I3AValueStoredDuringTheReadWins) {
  PutOnFlash("k", "old");
  const Race race(SyncPoint::kFillRead, [&] { other_.Set("k", "new"); });
  EXPECT_EQ(rig_->Get("k"), "new");
  EXPECT_TRUE(race.Ran());
}

TEST_F(FillTest, I3AKeyDeletedDuringTheReadIsAMiss) {
  PutOnFlash("k", "old");
  const Race race(SyncPoint::kFillRead, [&] {
    other_.Set("k", "new");
    EXPECT_EQ(other_.Delete("k"), Outcome::kDeleted);
  });
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_FALSE(rig_->Get("k").Hit());
}

TEST_F(FillTest, I3AFlushDuringTheReadMakesItAMiss) {
  PutOnFlash("k", "old");
  const Race race(SyncPoint::kFillRead, [&] { rig_.cache->FlushAll(0); });
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_->Store(StoreMode::kAdd, "k", "fresh"), Outcome::kStored);
  EXPECT_EQ(rig_->Get("k"), "fresh");
}

TEST_F(FillTest, I3ARecordThatExpiresDuringTheReadIsAMissAndItsSlotGoes) {
  rig_->Set("k", "old", 0, kStartS + 10);
  rig_.Demote();
  const Race race(SyncPoint::kFillRead, [&] { rig_.clock.Set(kStartS + 10); });
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_.Stats().commands.get_expired, 1U);
}

TEST_F(FillTest, Rule3AValueDemotedDuringTheReadIsReadInItsPlace) {
  PutOnFlash("k", "old");
  const Race race(SyncPoint::kFillRead, [&] {
    other_.Set("k", "new");
    rig_.Demote();
  });
  EXPECT_EQ(rig_->Get("k"), "new");
  EXPECT_EQ(rig_.Stats().commands.flash_reads_retried, 1U);
  EXPECT_EQ(rig_.Stats().commands.get_hits, 1U);
  EXPECT_EQ(rig_.Stats().commands.cmd_get, 1U);
}

TEST_F(FillTest, Rule3NotFoundIsValidatedLikeAValue) {
  // The twin's slot makes add read flash for a key that is not there; meanwhile the key comes and is demoted.
  const auto [key, twin] = rig_.TwoOfOneIdentity();
  PutOnFlash(twin, "twin");
  const Race race(SyncPoint::kFillRead, [&, key = key] {
    other_.Set(key, "first");
    rig_.Demote();
  });
  EXPECT_EQ(rig_->Store(StoreMode::kAdd, key, "second"), Outcome::kNotStored);
  EXPECT_EQ(rig_->Get(key), "first");
}

TEST_F(FillTest, Rule3ANeighboursRecordIsNoAnswer) {
  const auto [key, twin] = rig_.TwoOfOneIdentity();
  PutOnFlash(twin, "twin");
  EXPECT_FALSE(rig_->Get(key).Hit());
  EXPECT_EQ(rig_.Stats().commands.flash_read_misses, 1U);
  EXPECT_EQ(rig_->Delete(key), Outcome::kNotFound);
  EXPECT_EQ(rig_->Touch(key, 0), Outcome::kMiss);
  EXPECT_EQ(rig_->Increment(key, 1), Outcome::kNotFound);
  EXPECT_EQ(rig_->Get(twin), "twin");  // reading its slot for another key has cost it nothing
}

TEST_F(FillTest, I3ACommandThatKeepsLosingTheRaceGivesUpAndChangesNothing) {
  PutOnFlash("k", "1");
  int reads = 0;
  SyncPoints::Attach(SyncPoint::kFillRead, [&] {
    ++reads;
    other_.Set("k", std::to_string(100 + reads));
    rig_.Demote();
  });
  EXPECT_EQ(rig_->Increment("k", 1), Outcome::kFlashFailed);
  EXPECT_EQ(reads, kFillAttemptsMax);
  EXPECT_FALSE(rig_->Get("k").Hit());  // a plain get may turn it into a miss
  SyncPoints::Attach(SyncPoint::kFillRead, nullptr);
  EXPECT_EQ(rig_->Get("k"), std::to_string(100 + reads));
}

TEST_F(FillTest, I2ATouchAndADeleteThatRaceWithAnotherReadAreSeen) {
  PutOnFlash("touched", "value");
  PutOnFlash("deleted", "value");
  {
    const Race race(SyncPoint::kFillRead,
                    [&] { EXPECT_EQ(other_.Touch("touched", kStartS + 99), Outcome::kHit); });
    EXPECT_EQ(rig_->Get("touched").meta.exptime_s, kStartS + 99);
  }
  const Race race(SyncPoint::kFillRead,
                  [&] { EXPECT_EQ(other_.Delete("deleted"), Outcome::kDeleted); });
  EXPECT_FALSE(rig_->Get("deleted").Hit());
}

TEST_F(FillTest, I3TwoIncrementsOfOneRecordBothCount) {
  PutOnFlash("k", "10");
  const Race race(SyncPoint::kFillRead,
                  [&] { EXPECT_EQ(other_.Increment("k", 5), Outcome::kStored); });
  EXPECT_EQ(rig_->Increment("k", 1), Outcome::kStored);
  EXPECT_EQ(rig_->number, 16U);
  EXPECT_EQ(rig_->Get("k"), "16");
}

TEST_F(FillTest, I3TwoAppendsToOneRecordBothCount) {
  PutOnFlash("k", "a");
  const Race race(SyncPoint::kFillRead,
                  [&] { EXPECT_EQ(other_.Store(StoreMode::kAppend, "k", "b"), Outcome::kStored); });
  EXPECT_EQ(rig_->Store(StoreMode::kAppend, "k", "c"), Outcome::kStored);
  EXPECT_EQ(rig_->Get("k"), "abc");
}

TEST_F(FillTest, I3ACasThatLosesTheRaceIsRefused) {
  PutOnFlash("k", "a");
  const uint64_t cas_unique = rig_->Get("k").meta.cas_unique;
  const Race race(SyncPoint::kFillRead,
                  [&] { EXPECT_EQ(other_.Cas("k", "theirs", cas_unique), Outcome::kStored); });
  EXPECT_EQ(rig_->Cas("k", "ours", cas_unique), Outcome::kExists);
  EXPECT_EQ(rig_->Get("k"), "theirs");
}

class PromotingFillTest : public FillTest {
 protected:
  PromotingFillTest() : FillTest(1) {}
};

TEST_F(PromotingFillTest, I3APromotionDoesNotEscapeAFlushThatCameDuringItsRead) {
  PutOnFlash("k", "old");
  const Race race(SyncPoint::kFillRead, [&] { rig_.cache->FlushAll(0); });
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_FALSE(rig_.InRam("k"));
}

TEST_F(PromotingFillTest, I1APromotionNeverCoversANewerValue) {
  PutOnFlash("k", "old");
  const Race race(SyncPoint::kFillRead, [&] { other_.Set("k", "new"); });
  EXPECT_EQ(rig_->Get("k"), "new");
  rig_.Demote();
  EXPECT_EQ(rig_->Get("k"), "new");
  EXPECT_EQ(rig_->Get("k"), "new");
}

TEST_F(PromotingFillTest, TwoReadersOfOneKeyPromoteItOnce) {
  PutOnFlash("k", "value");
  const Race race(SyncPoint::kFillRead, [&] { EXPECT_EQ(other_.Get("k"), "value"); });
  EXPECT_EQ(rig_->Get("k"), "value");
  EXPECT_EQ(rig_.Stats().commands.flash_promotions, 1U);
  EXPECT_EQ(rig_.Stats().curr_items, 1U);
}

}  // namespace
}  // namespace terraced::tiering
