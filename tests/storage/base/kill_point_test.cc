#include "storage/base/kill_point.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <string>

#include "storage/base/sync_point.h"

namespace terraced {
namespace {

TEST(KillPointTest, EveryPointHasANameOfItsOwn) {
  std::set<std::string_view> names(kSyncPointNames.begin(), kSyncPointNames.end());
  names.insert(kKillPointNames.begin(), kKillPointNames.end());
  EXPECT_EQ(names.size(), kSyncPointNames.size() + kKillPointNames.size());
  EXPECT_FALSE(names.contains(""));
}

TEST(KillPointTest, NothingHappensWhereNothingIsArmed) {
  KillPoints::Pass(KillPoint::kBatchRow);
  SyncPoints::Pass(SyncPoint::kDropDead);
}

TEST(KillPointTest, RefusesWhatIsNoPointOrNoNumber) {
  EXPECT_FALSE(KillPoints::Arm("no_such_point", 1));
  EXPECT_FALSE(KillPoints::Arm("batch_row", 0));
  for (const char* text : {"", "batch_row", "batch_row:", "batch_row:x", "batch_row:1x", "x:1"}) {
    EXPECT_FALSE(KillPoints::Arm(text)) << text;
  }
}

TEST(KillPointTest, HotPointsExistInTheTwinOnly) {
#ifdef TERRACED_MUTANTS
  EXPECT_TRUE(KillPoints::Arm("slots_removed", 1'000'000));
#else
  EXPECT_FALSE(KillPoints::Arm("slots_removed", 1));
#endif
}

TEST(KillPointDeathTest, TheProcessEndsWhereItPassesTheNthTime) {
  EXPECT_EXIT(
      {
        if (!KillPoints::Arm("batch_row:2")) _exit(1);
        KillPoints::Pass(KillPoint::kBatchRow);
        KillPoints::Pass(KillPoint::kBatchOpen);
        std::fputs("passed once", stderr);
        KillPoints::Pass(KillPoint::kBatchRow);
        _exit(2);
      },
      ::testing::KilledBySignal(SIGKILL), "passed once");
}

TEST(KillPointDeathTest, ASyncPointIsAPlaceToDieToo) {
  EXPECT_EXIT(
      {
        if (!KillPoints::Arm("drop_dead:2")) _exit(1);
        SyncPoints::AttachDelay(SyncPoint::kDropDead, 1);
        SyncPoints::AttachDelay(SyncPoint::kDropDead, 0);
        SyncPoints::Pass(SyncPoint::kDropDead);
        std::fputs("passed once", stderr);
        SyncPoints::Pass(SyncPoint::kDropDead);
        _exit(2);
      },
      ::testing::KilledBySignal(SIGKILL), "passed once");
}

}  // namespace
}  // namespace terraced
