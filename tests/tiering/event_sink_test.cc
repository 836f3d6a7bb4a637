// What commands and the demoter tell an EventSink.
#include "tiering/event_sink.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/mutex.h"
#include "tests/tiering/demoter_fixture.h"

namespace terraced::tiering {
namespace {

struct Noted {
  EventType type;
  std::string text;
  std::array<int64_t, kEventNumbersMax> numbers;
};

class RecordingSink final : public EventSink {
 public:
  explicit RecordingSink(uint32_t classes) { wanted_.store(classes); }
  void Note(const Event& event) override {
    const MutexLock lock(mutex_);
    noted_.push_back({event.type, std::string(event.text), event.numbers});
  }
  // Since the last time.
  std::vector<Noted> Take() {
    const MutexLock lock(mutex_);
    return std::exchange(noted_, {});
  }

 private:
  Mutex mutex_;
  std::vector<Noted> noted_ TERRACED_GUARDED_BY(mutex_);
};

// The statuses of the only fetches there were.
std::vector<FetchStatus> Fetches(RecordingSink* sink, const std::string& key) {
  std::vector<FetchStatus> statuses;
  for (const Noted& event : sink->Take()) {
    EXPECT_EQ(event.type, EventType::kItemGet);
    EXPECT_EQ(event.text, key);
    statuses.push_back(static_cast<FetchStatus>(event.numbers[0]));
  }
  return statuses;
}
using Statuses = std::vector<FetchStatus>;

class EventSinkTest : public DemoterTest {};

TEST_F(EventSinkTest, EveryCommandTellsOnceWhatItFound) {
  RecordingSink sink(kFetchers);
  CacheRig rig(RigOptions(), sink);
  const Statuses found = {FetchStatus::kFound};
  const Statuses not_found = {FetchStatus::kNotFound};
  rig->Get("k");
  EXPECT_EQ(Fetches(&sink, "k"), not_found);
  rig->Read("k", {.vivifies = true});
  EXPECT_EQ(Fetches(&sink, "k"), not_found);
  rig->Read("k", {.describes = true});
  EXPECT_EQ(Fetches(&sink, "k"), found);
  rig->Set("k", "5");
  EXPECT_EQ(Fetches(&sink, "k"), found);
  rig->Increment("k", 1);
  EXPECT_EQ(Fetches(&sink, "k"), found);
  rig->Delete("k", {.invalidates = true});
  EXPECT_EQ(Fetches(&sink, "k"), found);
  rig->Delete("k");
  EXPECT_EQ(Fetches(&sink, "k"), found);
  rig->Delete("k");
  EXPECT_EQ(Fetches(&sink, "k"), not_found);
  rig->Count("k", CountPlan{.vivifies = true});
  EXPECT_EQ(Fetches(&sink, "k"), not_found);
  rig.cache->DropRefused(rig->KeyOf("k"));
  EXPECT_EQ(Fetches(&sink, "k"), found);
  rig.cache->DropRefused(rig->KeyOf("k"));
  EXPECT_EQ(Fetches(&sink, "k"), not_found);
}

TEST_F(EventSinkTest, WhatNobodyWantsIsNotTold) {
  RecordingSink sink(kConnEvents);
  CacheRig rig(RigOptions(), sink);
  rig->Set("k", "v");
  rig.Demote();
  rig->Get("k");
  rig->Delete("k");
  EXPECT_TRUE(sink.Take().empty());
}

TEST_F(EventSinkTest, WhatLiesOnFlashIsFoundByWhoAsksFlash) {
  RecordingSink sink(kFetchers | kDeletions);
  CacheRig rig(RigOptions(), sink);
  for (int i = 0; i < 4; ++i) rig->Set(Name(i), "5");
  rig.Demote();
  sink.Take();
  rig->Touch(Name(0), kStartS + 100);
  EXPECT_EQ(Fetches(&sink, Name(0)), Statuses{FetchStatus::kFound});
  rig->Increment(Name(1), 1);
  EXPECT_EQ(Fetches(&sink, Name(1)), Statuses{FetchStatus::kFound});
  rig->Set(Name(2), "6");
  EXPECT_EQ(Fetches(&sink, Name(2)), Statuses{FetchStatus::kNotFound}) << "a set asks RAM only";
  rig->Delete(Name(3), {.meta = true});
  const std::vector<Noted> noted = sink.Take();
  ASSERT_EQ(noted.size(), 2U);
  EXPECT_EQ(noted[1].type, EventType::kDeleted);
  EXPECT_EQ(noted[1].text, Name(3));
  EXPECT_EQ(noted[1].numbers, (std::array<int64_t, kEventNumbersMax>{1, 0, 1}));
}

TEST_F(EventSinkTest, OnlyWhatGoesIsDeletedAndWhatIsMadeOfNothingIsAdded) {
  RecordingSink sink(kDeletions | kMutations);
  CacheRig rig(RigOptions(), sink);
  rig->Count("n", CountPlan{.vivifies = true, .initial = 10});
  std::vector<Noted> noted = sink.Take();
  ASSERT_EQ(noted.size(), 1U);
  EXPECT_EQ(noted[0].type, EventType::kItemStore);
  EXPECT_EQ(noted[0].numbers[0], static_cast<int64_t>(Outcome::kStored));
  EXPECT_EQ(noted[0].numbers[1], static_cast<int64_t>(StoreMode::kAdd));
  EXPECT_EQ(noted[0].numbers[4], 2);
  rig->Increment("n", 1);
  rig->Delete("n", {.invalidates = true, .meta = true});
  rig->Delete("n", {.compares = true, .compare_cas = 12'345, .meta = true});
  EXPECT_TRUE(sink.Take().empty());
  rig->Delete("n", {.drops_value = true, .meta = true});
  rig->Delete("n");
  noted = sink.Take();
  ASSERT_EQ(noted.size(), 2U);
  EXPECT_EQ(noted[0].numbers[0], 1);
  EXPECT_EQ(noted[0].numbers[2], 2) << "the size that it had";
  EXPECT_EQ(noted[1].numbers[0], 0);
}

TEST_F(EventSinkTest, AnOutageIsToldWhenItBeginsAndWhenItEnds) {
  RecordingSink sink(kSysEvents);
  CacheRig rig(RigOptions(), sink);
  for (const BatchCall call : {BatchCall::kWrite, BatchCall::kRecover}) {
    rig.store->FailNth(call, 1, Status(StatusCode::kNoSpace, "full"),
                       FaultyBatchStore::When::kBefore, UINT32_MAX);
  }
  rig->Set("k", "v");
  testing::internal::CaptureStderr();
  rig.Demote();
  std::vector<Noted> noted = sink.Take();
  ASSERT_EQ(noted.size(), 1U);
  EXPECT_EQ(noted[0].type, EventType::kFlashOffline);
  EXPECT_EQ(noted[0].text, "full");
  rig.InDemoter().TryAtOnce();
  EXPECT_TRUE(sink.Take().empty()) << "it goes on";
  rig.store->Heal();
  rig.InDemoter().TryAtOnce();
  testing::internal::GetCapturedStderr();
  noted = sink.Take();
  ASSERT_EQ(noted.size(), 1U);
  EXPECT_EQ(noted[0].type, EventType::kFlashOnline);
}

}  // namespace
}  // namespace terraced::tiering
