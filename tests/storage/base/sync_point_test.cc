#include "storage/base/sync_point.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "storage/base/mutex.h"

namespace terraced {
namespace {

TEST(SyncPointTest, EveryPointHasItsOwnName) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kSyncPointNames.size(); ++i) {
    EXPECT_FALSE(kSyncPointNames[i].empty());
    names.insert(kSyncPointNames[i]);
    EXPECT_EQ(SyncPointByName(kSyncPointNames[i]), static_cast<SyncPoint>(i));
  }
  EXPECT_EQ(names.size(), kSyncPointNames.size());
  EXPECT_EQ(SyncPointByName("no_such_point"), std::nullopt);
  EXPECT_EQ(SyncPointByName(""), std::nullopt);
}

TEST(SyncPointTest, EveryMutantHasAName) {
  for (const std::string_view name : kMutantNames) EXPECT_FALSE(name.empty());
}

TEST(SyncPointTest, CountsHowOftenItWasPassed) {
  const uint64_t before = SyncPoints::Passed(SyncPoint::kGrowBegin);
  const uint64_t other = SyncPoints::Passed(SyncPoint::kGrowSwitch);
  SyncPoints::Pass(SyncPoint::kGrowBegin);
  SyncPoints::Pass(SyncPoint::kGrowBegin);
  EXPECT_EQ(SyncPoints::Passed(SyncPoint::kGrowBegin), before + 2);
  EXPECT_EQ(SyncPoints::Passed(SyncPoint::kGrowSwitch), other);
}

TEST(SyncPointTest, RunsItsCallbackUntilDetached) {
  int calls = 0;
  SyncPoints::Attach(SyncPoint::kFlush, [&calls] { ++calls; });
  SyncPoints::Pass(SyncPoint::kFlush);
  SyncPoints::Pass(SyncPoint::kFlush);
  SyncPoints::Pass(SyncPoint::kDropDead);
  SyncPoints::Attach(SyncPoint::kFlush, nullptr);
  SyncPoints::Pass(SyncPoint::kFlush);
  EXPECT_EQ(calls, 2);
}

TEST(SyncPointTest, ADelayOfZeroDetaches) {
  int calls = 0;
  SyncPoints::Attach(SyncPoint::kFlush, [&calls] { ++calls; });
  SyncPoints::AttachDelay(SyncPoint::kFlush, 0);
  SyncPoints::Pass(SyncPoint::kFlush);
  EXPECT_EQ(calls, 0);
}

TEST(SyncPointTest, HoldsTheThreadThatPassesIt) {
  Mutex mutex;
  CondVar changed;
  bool arrived = false;
  bool released = false;
  bool passed = false;
  SyncPoints::Attach(SyncPoint::kFillRead, [&] {
    MutexLock lock(mutex);
    arrived = true;
    changed.NotifyAll();
    while (!released) changed.Wait(mutex);
  });
  std::thread passer([&] {
    SyncPoints::Pass(SyncPoint::kFillRead);
    MutexLock lock(mutex);
    passed = true;
  });
  {
    MutexLock lock(mutex);
    while (!arrived) changed.Wait(mutex);
    EXPECT_FALSE(passed);
    released = true;
    changed.NotifyAll();
  }
  passer.join();
  EXPECT_TRUE(passed);
  SyncPoints::Attach(SyncPoint::kFillRead, nullptr);
}

}  // namespace
}  // namespace terraced
