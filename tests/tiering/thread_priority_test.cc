#include "tiering/thread_priority.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace terraced::tiering {
namespace {

TEST(ThreadPriorityTest, StandingBackIsTheThreadsOwn) {
  std::thread([] {
    StandBack();
    EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
  }).join();
  EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
}

TEST(ThreadPriorityTest, AskingWhetherOneMayReturnChangesNothing) {
  const bool may = MayReturnFromStandingBack();
  EXPECT_EQ(MayReturnFromStandingBack(), may);
  EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
}

TEST(YieldingThreadTest, StandsBackUntilSomebodyWaits) {
  if (!MayReturnFromStandingBack()) GTEST_SKIP() << "RLIMIT_NICE does not allow it";
  YieldingThread priority;
  std::atomic<int> step{0};
  pid_t thread_id = 0;
  std::thread thread([&] {
    priority.Begin();
    thread_id = gettid();
    step = 1;
    step.notify_all();
    step.wait(1);
    priority.CalmDown();
    EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
  });
  step.wait(0);
  EXPECT_TRUE(priority.StandsBack());
  EXPECT_EQ(sched_getscheduler(thread_id), SCHED_IDLE);
  priority.Hurry();
  priority.Hurry();
  EXPECT_FALSE(priority.StandsBack());
  EXPECT_EQ(sched_getscheduler(thread_id), SCHED_OTHER);
  step = 2;
  step.notify_all();
  thread.join();
}

TEST(YieldingThreadTest, OneThatHasNotBegunCannotBeHurried) {
  YieldingThread priority;
  priority.Hurry();
  priority.CalmDown();
  EXPECT_FALSE(priority.StandsBack());
  EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
}

}  // namespace
}  // namespace terraced::tiering
