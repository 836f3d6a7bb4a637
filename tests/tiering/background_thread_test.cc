#include "tiering/background_thread.h"

#include <gtest/gtest.h>

#include <atomic>

namespace terraced::tiering {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// Counts rounds and lets the test wait for one.
class Rounds {
 public:
  milliseconds Next(milliseconds rest) {
    const MutexLock lock(mutex_);
    ++count_;
    counted_.NotifyAll();
    return rest;
  }
  void WaitFor(int count) {
    const MutexLock lock(mutex_);
    while (count_ < count) counted_.Wait(mutex_);
  }
  int Count() {
    const MutexLock lock(mutex_);
    return count_;
  }

 private:
  Mutex mutex_;
  CondVar counted_;
  int count_ TERRACED_GUARDED_BY(mutex_) = 0;
};

TEST(BackgroundThreadTest, RunsRoundAfterRoundWithoutRest) {
  Rounds rounds;
  BackgroundThread thread;
  ASSERT_TRUE(thread.Start("test", [&] { return rounds.Next(milliseconds(0)); }).ok());
  rounds.WaitFor(100);
  thread.Join();
  EXPECT_GE(rounds.Count(), 100);
}

TEST(BackgroundThreadTest, AWakeEndsItsRest) {
  Rounds rounds;
  BackgroundThread thread;
  ASSERT_TRUE(thread.Start("test", [&] { return rounds.Next(hours(1)); }).ok());
  for (int i = 1; i < 20; ++i) {
    rounds.WaitFor(i);
    thread.Wake();
  }
  rounds.WaitFor(20);
  thread.Join();
}

TEST(BackgroundThreadTest, JoinEndsItsRestAndIsHarmlessTwice) {
  Rounds rounds;
  BackgroundThread thread;
  ASSERT_TRUE(thread.Start("test", [&] { return rounds.Next(hours(1)); }).ok());
  rounds.WaitFor(1);
  EXPECT_FALSE(thread.Stopping());
  thread.Join();
  EXPECT_TRUE(thread.Stopping());
  thread.Join();
  EXPECT_EQ(rounds.Count(), 1);
}

TEST(BackgroundThreadTest, OneThatNeverStartedCanBeWokenAndJoined) {
  BackgroundThread thread;
  thread.Wake();
  thread.Join();
  EXPECT_TRUE(thread.Stopping());
}

}  // namespace
}  // namespace terraced::tiering
