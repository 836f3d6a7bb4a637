#include "tiering/thread_priority.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "storage/base/yield_point.h"
#include "tests/support/work_for.h"

namespace terraced::tiering {
namespace {

constexpr int kNiceBack = 19;

int NiceOf(pid_t thread) {
  return getpriority(PRIO_PROCESS, static_cast<id_t>(thread));
}

// Whether this thread gives way at a point that it reaches after the longest turn there is: what it had lost to others
// before may have made its turn longer.
bool GivesWay() {
  support::WorkFor(YieldPoint::kTurnMaxUs);
  return YieldPoint::Pass();
}

void DropRightToRaisePriorities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> capabilities{};
  ASSERT_EQ(syscall(SYS_capget, &header, capabilities.data()), 0);
  capabilities[0].effective &= ~(1U << CAP_SYS_NICE);
  ASSERT_EQ(syscall(SYS_capset, &header, capabilities.data()), 0);
}

TEST(ThreadPriorityTest, StandingBackIsTheThreadsOwn) {
  const int nice = NiceOf(0);
  std::thread([] {
    EXPECT_FALSE(GivesWay());
    StandBack();
    EXPECT_EQ(NiceOf(0), kNiceBack);
    EXPECT_TRUE(GivesWay());
  }).join();
  EXPECT_EQ(NiceOf(0), nice);
  EXPECT_FALSE(GivesWay());
}

// Under SCHED_IDLE a thread with a mutex could be left without a core for seconds.
TEST(ThreadPriorityTest, StandingBackKeepsAShareOfTheCore) {
  std::thread([] {
    StandBack();
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
  }).join();
}

TEST(ThreadPriorityTest, AskingWhetherOneMayReturnChangesNothing) {
  const int nice = NiceOf(0);
  const bool may = MayReturnFromStandingBack();
  EXPECT_EQ(MayReturnFromStandingBack(), may);
  EXPECT_EQ(NiceOf(0), nice);
}

TEST(YieldingThreadTest, StandsBackUntilSomebodyWaits) {
  const int nice = NiceOf(0);
  const int nice_back = MayReturnFromStandingBack() ? kNiceBack : nice;
  YieldingThread priority;
  std::atomic<int> step{0};
  pid_t thread_id = 0;
  const auto next = [&step](int to) {
    step = to;
    step.notify_all();
  };
  std::thread thread([&] {
    priority.Begin(YieldingThread::WhereStuck::kForward);
    EXPECT_TRUE(GivesWay());
    thread_id = gettid();
    next(1);
    step.wait(1);
    priority.CalmDown();
    EXPECT_EQ(NiceOf(0), nice_back);
    EXPECT_TRUE(GivesWay());
  });
  step.wait(0);
  EXPECT_TRUE(priority.StandsBack());
  EXPECT_EQ(NiceOf(thread_id), nice_back);
  priority.Hurry();
  priority.Hurry();
  EXPECT_FALSE(priority.StandsBack());
  EXPECT_EQ(NiceOf(thread_id), nice);
  next(2);
  thread.join();
}

// As for a daemon that is not root. Capabilities are the thread's own.
TEST(YieldingThreadTest, WhereNiceValuesCannotReturnItIsStuckOnOneSide) {
  const int nice = NiceOf(0);
  for (const auto stuck :
       {YieldingThread::WhereStuck::kForward, YieldingThread::WhereStuck::kBack}) {
    std::thread([&] {
      ASSERT_NO_FATAL_FAILURE(DropRightToRaisePriorities());
      if (MayReturnFromStandingBack()) GTEST_SKIP() << "RLIMIT_NICE lets them return";
      const int nice_stuck = stuck == YieldingThread::WhereStuck::kBack ? kNiceBack : nice;
      YieldingThread priority;
      priority.Begin(stuck);
      EXPECT_EQ(NiceOf(0), nice_stuck);
      EXPECT_TRUE(priority.StandsBack());
      priority.Hurry();
      EXPECT_FALSE(priority.StandsBack());
      EXPECT_EQ(NiceOf(0), nice_stuck);
    }).join();
  }
  EXPECT_EQ(NiceOf(0), nice);
}

TEST(YieldingThreadTest, OneThatHasNotBegunCannotBeHurried) {
  const int nice = NiceOf(0);
  YieldingThread priority;
  priority.Hurry();
  EXPECT_FALSE(priority.StandsBack());
  EXPECT_EQ(NiceOf(0), nice);
}

}  // namespace
}  // namespace terraced::tiering
