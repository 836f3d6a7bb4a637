#include "tiering/flush_epoch.h"

#include <gtest/gtest.h>

namespace terraced::tiering {
namespace {

TEST(FlushEpochTest, AFlushIsTheNextEpoch) {
  FlushEpoch flush;
  const uint64_t before = flush.Current();
  EXPECT_FALSE(flush.NeedsSweep());
  EXPECT_TRUE(flush.Raise());
  EXPECT_EQ(flush.Current(), before + 1);
  EXPECT_TRUE(flush.NeedsSweep());
  flush.Swept(flush.Current());
  EXPECT_FALSE(flush.NeedsSweep());
}

TEST(FlushEpochTest, AShortFormNeverComesRoundBeforeASweep) {
  FlushEpoch flush;
  flush.Restore(1'000);
  const uint8_t first = FlushEpoch::Short(flush.Current());
  int raised = 0;
  while (flush.Raise()) {
    ++raised;
    EXPECT_NE(FlushEpoch::Short(flush.Current()), first);
  }
  EXPECT_EQ(raised, 254);
  EXPECT_FALSE(flush.Raise());
  flush.Swept(1'001);  // a walk that began right after the first flush
  EXPECT_TRUE(flush.Raise());
  EXPECT_FALSE(flush.Raise());
  flush.Swept(flush.Current());
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(flush.Raise());
}

TEST(FlushEpochTest, AnEpochIsRestoredAtStart) {
  FlushEpoch flush;
  flush.Restore(1ULL << 40);
  EXPECT_EQ(flush.Current(), 1ULL << 40);
  EXPECT_FALSE(flush.NeedsSweep());
  EXPECT_TRUE(flush.Raise());
}

TEST(FlushEpochTest, ADueTimeIsTakenOnceWhenItHasCome) {
  FlushEpoch flush;
  EXPECT_FALSE(flush.TakeDue(UINT32_MAX));
  flush.SetDue(100);
  EXPECT_FALSE(flush.TakeDue(99));
  EXPECT_EQ(flush.Due(), 100U);
  EXPECT_TRUE(flush.TakeDue(100));
  EXPECT_FALSE(flush.TakeDue(100));
  flush.SetDue(100);
  flush.SetDue(200);
  EXPECT_FALSE(flush.TakeDue(100));
  flush.SetDue(0);
  EXPECT_FALSE(flush.TakeDue(200));
}

TEST(FlushEpochTest, AFlushIsWrittenDownBeforeItCounts) {
  storage::FlushMark mark{};
  FlushEpoch flush;
  flush.Restore(7);
  flush.SetDue(50);
  flush.WriteDownIn(&mark);
  EXPECT_EQ(mark.epoch.load(), 7U);
  EXPECT_EQ(mark.due_s.load(), 50U);
  EXPECT_TRUE(flush.Raise());
  EXPECT_EQ(mark.epoch.load(), 8U);
  flush.SetDue(60);
  EXPECT_EQ(mark.due_s.load(), 60U);
}

TEST(FlushEpochTest, ADueTimeStaysWrittenDownUntilItsFlushIs) {
  storage::FlushMark mark{};
  FlushEpoch flush;
  flush.WriteDownIn(&mark);
  flush.SetDue(100);
  ASSERT_TRUE(flush.TakeDue(100));
  EXPECT_EQ(mark.due_s.load(), 100U);  // a process that is killed here flushes at its next start
  EXPECT_TRUE(flush.Raise());
  flush.TookDue();
  EXPECT_EQ(mark.due_s.load(), 0U);
}

}  // namespace
}  // namespace terraced::tiering
