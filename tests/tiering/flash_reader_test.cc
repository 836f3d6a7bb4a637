// The pool of readers: what comes back, what fails, the byte budget, and a pool that changes its size.
#include "tiering/flash_reader.h"

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

class FlashReaderTest : public testing::Test {
 protected:
  // One batch with these records, each of its key's name `bytes` times over.
  void Write(uint64_t serial, const std::vector<std::string>& sorted_keys, size_t bytes = 1) {
    std::vector<std::string> encoded(sorted_keys.size());
    std::vector<storage::BatchRecord> records;
    for (size_t i = 0; i < sorted_keys.size(); ++i) {
      std::string value;
      for (size_t at = 0; at < bytes; ++at) value += sorted_keys[i];
      storage::EncodeRecord(serial, sorted_keys[i], {}, value, &encoded[i]);
      records.push_back({.key = sorted_keys[i], .record = encoded[i], .hash = i + 1});
    }
    ASSERT_TRUE(store_.Write(serial, records, nullptr).ok());
  }
  static storage::SlotList Slots(std::initializer_list<uint64_t> serials) {
    storage::SlotList list;
    for (const uint64_t serial : serials) list.slots[list.count++].serial = serial;
    return list;
  }
  struct Want final : FillWaiter {
    void FillDone(std::shared_ptr<const Fill> done) override { fill = std::move(done); }
    std::shared_ptr<const Fill> fill;
  };
  // The fill of one key, read.
  std::shared_ptr<const Fill> Read(FlashReader* reader, std::string_view key,
                                   const storage::SlotList& slots) {
    CrankedExecutor executor;
    FillQueue queue(*reader, executor);
    Want want;
    queue.Want({key, 1}, slots, &want, UINT64_MAX);
    queue.Submit();
    while (!queue.Idle()) executor.Run();
    return want.fill;
  }

  FaultyBatchStore store_{std::make_unique<MemoryBatchStore>()};
};

TEST_F(FlashReaderTest, TriesEverySlotAndTheNewestRecordCounts) {
  Write(5, {"k"}, 1);
  Write(9, {"k"}, 2);
  FlashReader reader(store_, 1U << 20);
  ASSERT_TRUE(reader.Resize(2).ok());
  const auto fill = Read(&reader, "k", Slots({5, 9}));
  EXPECT_EQ(fill->Newest(Slots({5, 9}))->record.value, "kk");
  EXPECT_EQ(fill->Newest(Slots({5}))->record.value, "k");
  EXPECT_EQ(fill->Newest(Slots({9}))->serial, 9U);
  EXPECT_EQ(fill->Newest(Slots({7})), nullptr);
  EXPECT_EQ(reader.Stats().reads, 2U);
}

TEST_F(FlashReaderTest, AnAbsentRecordIsNoFailure) {
  Write(5, {"other"});
  FlashReader reader(store_, 1U << 20);
  ASSERT_TRUE(reader.Resize(1).ok());
  const auto fill = Read(&reader, "k", Slots({5, 6}));
  EXPECT_FALSE(fill->Failed());
  EXPECT_EQ(fill->Newest(Slots({5, 6})), nullptr);
  EXPECT_TRUE(fill->CoversAll(Slots({5, 6})));
}

TEST_F(FlashReaderTest, AReadErrorFailsTheWholeFill) {
  Write(5, {"k"});
  store_.FailNth(BatchCall::kRead, 2, Status(StatusCode::kIoError, "EIO"));
  FlashReader reader(store_, 1U << 20);
  ASSERT_TRUE(reader.Resize(1).ok());
  EXPECT_TRUE(Read(&reader, "k", Slots({5, 6}))->Failed());
  EXPECT_EQ(reader.Stats().errors, 1U);
  EXPECT_EQ(reader.Stats().corrupt, 0U);
}

TEST_F(FlashReaderTest, CorruptionIsNamedWhoeverNoticesIt) {
  Write(5, {"k"});
  static_cast<MemoryBatchStore&>(store_.Inner()).Tamper(5, "k", [](std::string* bytes) {
    (*bytes)[50 % bytes->size()] ^= 4;
  });
  Write(6, {"k"});
  store_.FailNth(BatchCall::kRead, 1,
                 Status(StatusCode::kCorruption, "block checksum"));  // newest first: 6
  FlashReader reader(store_, 1U << 20);
  ASSERT_TRUE(reader.Resize(1).ok());
  const auto fill = Read(&reader, "k", Slots({5, 6}));
  EXPECT_FALSE(fill->Failed());
  ASSERT_NE(fill->Corrupt(Slots({5})), nullptr);
  EXPECT_EQ(fill->Corrupt(Slots({5}))->serial, 5U);
  ASSERT_NE(fill->Corrupt(Slots({6})), nullptr);
  EXPECT_EQ(fill->Corrupt(Slots({7})), nullptr);
  EXPECT_EQ(reader.Stats().corrupt, 2U);
}

TEST_F(FlashReaderTest, ManyFillsOfManyExecutorsAllComeBack) {
  std::vector<std::string> keys;
  for (int i = 100; i < 400; ++i) keys.push_back("key" + std::to_string(i));
  Write(5, keys, 10);
  FlashReader reader(store_, 1U << 20);
  ASSERT_TRUE(reader.Resize(3).ok());
  CrankedExecutor first_executor;
  CrankedExecutor second_executor;
  FillQueue first(reader, first_executor);
  FillQueue second(reader, second_executor);
  std::vector<Want> wants(keys.size() * 2);
  for (size_t i = 0; i < keys.size(); ++i) {
    first.Want({keys[i], i}, Slots({5}), &wants[2 * i], UINT64_MAX);
    second.Want({keys[i], i}, Slots({5}), &wants[2 * i + 1], UINT64_MAX);
  }
  first.Submit();
  second.Submit();
  while (!first.Idle()) first_executor.Run();
  while (!second.Idle()) second_executor.Run();
  for (size_t i = 0; i < wants.size(); ++i) {
    ASSERT_NE(wants[i].fill, nullptr);
    ASSERT_NE(wants[i].fill->Newest(Slots({5})), nullptr);
    EXPECT_EQ(wants[i].fill->Newest(Slots({5}))->record.value.substr(0, 6), keys[i / 2]);
  }
  EXPECT_EQ(reader.Stats().reads, 600U);
  EXPECT_EQ(reader.Stats().queued, 0U);
  reader.ResetStats();
  EXPECT_EQ(reader.Stats().reads, 0U);
}

TEST_F(FlashReaderTest, ReadersPauseAtTheByteBudgetAndGoOnWhenItIsGivenBack) {
  std::vector<std::string> keys;
  for (int i = 100; i < 150; ++i) keys.push_back("key" + std::to_string(i));
  Write(5, keys, 1'000);
  FlashReader reader(store_, 1);  // the first fill uses it up
  ASSERT_TRUE(reader.Resize(1).ok());
  CrankedExecutor executor;
  FillQueue queue(reader, executor);
  std::vector<Want> wants(keys.size());
  for (size_t i = 0; i < keys.size(); ++i)
    queue.Want({keys[i], i}, Slots({5}), &wants[i], UINT64_MAX);
  queue.Submit();
  size_t done = 0;
  while (!queue.Idle()) {
    executor.Run();
    // Answered: what a fill holds is given back with its last user. A second one is not even begun before that.
    size_t held = 0;
    for (const Want& want : wants) held += want.fill != nullptr ? 1 : 0;
    ASSERT_LE(held, 1U);
    for (Want& want : wants) {
      if (want.fill == nullptr) continue;
      EXPECT_EQ(want.fill->Newest(Slots({5}))->record.value.size(), 6'000U);
      want.fill.reset();
      ++done;
    }
  }
  EXPECT_EQ(done, keys.size());
}

// --- Resizing -----------------------------------------------------------------------------------------------------

class FlashReaderResizeTest : public FlashReaderTest {
 protected:
  static constexpr int kKeys = 300;

  FlashReaderResizeTest() {
    EXPECT_TRUE(reader_.Resize(2).ok());
    for (int i = 0; i < kKeys; ++i) keys_.push_back("key" + std::to_string(1'000 + i));
    Write(5, keys_, 10);
  }
  void SubmitAll() {
    for (size_t i = 0; i < keys_.size(); ++i) {
      wants_[i].fill.reset();
      queue_.Want({keys_[i], i}, Slots({5}), &wants_[i], UINT64_MAX);
    }
    queue_.Submit();
  }
  void AwaitAll() {
    while (!queue_.Idle()) executor_.Run();
    for (const Want& want : wants_) {
      ASSERT_NE(want.fill, nullptr);
      EXPECT_FALSE(want.fill->Failed());
      EXPECT_NE(want.fill->Newest(Slots({5})), nullptr);
    }
  }
  void AwaitThreads(uint32_t threads) const {
    while (reader_.Threads() != threads) std::this_thread::yield();
  }

  std::vector<std::string> keys_;
  std::vector<Want> wants_{kKeys};
  FlashReader reader_{store_, 1U << 20};
  CrankedExecutor executor_;
  FillQueue queue_{reader_, executor_};
};

// Holds every reader that has read something, until it goes.
class HeldReaders {
 public:
  HeldReaders() {
    SyncPoints::Attach(SyncPoint::kFillRead, [this] {
      held_.fetch_add(1);
      go_.wait(false);
    });
  }
  ~HeldReaders() {
    Release();
    SyncPoints::Attach(SyncPoint::kFillRead, nullptr);
  }
  void Await(int readers) const {
    while (held_.load() < readers) std::this_thread::yield();
  }
  void Release() {
    go_.store(true);
    go_.notify_all();
  }

 private:
  std::atomic<int> held_{0};
  std::atomic<bool> go_{false};
};

TEST_F(FlashReaderResizeTest, WhatNobodyWaitsForAnyMoreIsTakenFromTheQueueAndNotRead) {
  ASSERT_TRUE(reader_.Resize(1).ok());
  AwaitThreads(1);
  HeldReaders held;
  SubmitAll();
  held.Await(1);
  for (Want& want : wants_) queue_.Cancel(&want);
  held.Release();
  while (!queue_.Idle()) executor_.Run();
  EXPECT_GT(reader_.Stats().reads, 0U);
  EXPECT_LE(reader_.Stats().reads, 16U);  // what one takes at a time
  EXPECT_EQ(reader_.Stats().queued, 0U);
}

TEST_F(FlashReaderResizeTest, GrowsAndShrinksToWhatIsWanted) {
  EXPECT_EQ(reader_.Threads(), 2U);
  for (const uint32_t threads : {5U, 1U, FlashReader::kThreadsMax, 3U, 3U, 2U}) {
    ASSERT_TRUE(reader_.Resize(threads).ok());
    AwaitThreads(threads);
    SubmitAll();
    AwaitAll();
    EXPECT_EQ(reader_.Threads(), threads);
  }
}

TEST_F(FlashReaderResizeTest, NobodyWaitsForAReaderThatIsToLeaveAndNothingOfItsWorkIsLost) {
  ASSERT_TRUE(reader_.Resize(4).ok());
  HeldReaders held;
  SubmitAll();
  held.Await(4);
  ASSERT_TRUE(reader_.Resize(1).ok());  // while all of them are reading
  EXPECT_EQ(reader_.Threads(), 4U);
  held.Release();
  AwaitAll();
  AwaitThreads(1);
}

TEST_F(FlashReaderResizeTest, AReaderThatIsWantedAgainInTimeStays) {
  HeldReaders held;
  SubmitAll();
  held.Await(2);
  ASSERT_TRUE(reader_.Resize(1).ok());
  ASSERT_TRUE(reader_.Resize(2).ok());
  held.Release();
  AwaitAll();
  EXPECT_EQ(reader_.Threads(), 2U);
}

TEST_F(FlashReaderResizeTest, NothingIsLostHoweverOftenItIsResized) {
  std::atomic<bool> stop{false};
  std::thread resizer([&] {
    for (uint32_t i = 0; !stop.load(); ++i) EXPECT_TRUE(reader_.Resize(1 + i * 7 % 9).ok());
  });
  for (int round = 0; round < 100; ++round) {
    SubmitAll();
    AwaitAll();
  }
  stop.store(true);
  resizer.join();
}

TEST_F(FlashReaderResizeTest, WhereThreadsRunOutThePoolStaysAsItWas) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take the address space for themselves";
#endif
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  // Room for a few stacks of 8 MB more.
  const rlim_t few_more = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + (64U << 20);
  const rlimit scarce{.rlim_cur = few_more, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &scarce), 0);
  const Status status = reader_.Resize(FlashReader::kThreadsMax);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  AwaitThreads(2);
  SubmitAll();
  AwaitAll();
}

TEST_F(FlashReaderResizeTest, TwoMayResizeAtOnce) {
  std::vector<std::thread> resizers;
  for (uint32_t first = 1; first <= 2; ++first) {
    resizers.emplace_back([this, first] {
      for (uint32_t i = 0; i < 50; ++i) EXPECT_TRUE(reader_.Resize(first + i % 5).ok());
    });
  }
  for (std::thread& resizer : resizers) resizer.join();
  ASSERT_TRUE(reader_.Resize(2).ok());
  AwaitThreads(2);
  SubmitAll();
  AwaitAll();
}

}  // namespace
}  // namespace terraced::tiering
