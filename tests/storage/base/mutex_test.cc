#include "storage/base/mutex.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace terraced {
namespace {

TEST(MutexTest, KeepsCountersWhole) {
  Mutex mutex;
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10'000; ++j) {
        MutexLock lock(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 40'000);
}

TEST(MutexTest, TryLockRefusesAHeldMutex) {
  Mutex mutex;
  mutex.Lock();
  bool taken = false;
  std::thread([&] {
    if (mutex.TryLock()) {
      taken = true;
      mutex.Unlock();
    }
  }).join();
  mutex.Unlock();
  EXPECT_FALSE(taken);
}

TEST(MutexTest, WaitGivesTheMutexUpAndTakesItAgain) {
  Mutex mutex;
  CondVar changed;
  int turn = 0;
  std::thread other([&] {
    MutexLock lock(mutex);
    while (turn != 1) changed.Wait(mutex);
    turn = 2;
    changed.NotifyOne();
  });
  {
    MutexLock lock(mutex);
    turn = 1;
    changed.NotifyOne();
    while (turn != 2) changed.Wait(mutex);
  }
  other.join();
  EXPECT_EQ(turn, 2);
}

TEST(MutexTest, WaitForSaysWhenNobodyNotified) {
  Mutex mutex;
  CondVar changed;
  MutexLock lock(mutex);
  EXPECT_FALSE(changed.WaitFor(mutex, std::chrono::milliseconds(0)));
}

}  // namespace
}  // namespace terraced
