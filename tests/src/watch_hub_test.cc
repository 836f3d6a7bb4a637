#include "src/watch/watch_hub.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/watch/running_connection.h"

namespace terraced::server {
namespace {

using tiering::EventType;

class CountingHost final : public WatcherHost {
 public:
  void LinesReady() override { ++calls; }
  std::atomic<int> calls = 0;
};

void NoteKey(WatchHub* hub, std::string_view key) {
  hub->Note({.type = EventType::kItemGet, .text = key});
}

// What the watcher would be sent, without the times.
std::vector<std::string> TakeLines(Watcher* watcher) {
  std::vector<std::string> lines;
  while (!watcher->Lines().Front().empty()) {
    std::string line(watcher->Lines().Front());
    watcher->Lines().Pop();
    if (line.starts_with("ts=")) line.erase(0, line.find("gid="));
    lines.push_back(line);
  }
  return lines;
}

std::string KeyOf(const std::string& line) {
  const size_t begin = line.find("key=") + 4;
  return line.substr(begin, line.find(' ', begin) - begin);
}

uint64_t GidOf(const std::string& line) {
  return std::stoull(line.substr(line.find("gid=") + 4));
}

class WatchHubTest : public testing::Test {
 protected:
  WatchHubTest() { hub_.RunByHandForTest(); }
  ~WatchHubTest() override {
    for (const std::shared_ptr<Watcher>& watcher : watchers_) hub_.Remove(watcher.get());
  }
  Watcher* Add(uint32_t classes, size_t bytes = 64U << 10) {
    watchers_.push_back(std::make_shared<Watcher>(classes, bytes, host_));
    EXPECT_EQ(hub_.Add(watchers_.back()), WatchHub::Added::kYes);
    return watchers_.back().get();
  }

  CountingHost host_;
  WatchHub hub_{LogBuffer::kBytesLeast};
  std::vector<std::shared_ptr<Watcher>> watchers_;
};

TEST_F(WatchHubTest, WantsWhatItsWatchersWant) {
  EXPECT_EQ(hub_.Wanted(), 0U);
  Watcher* const first = Add(tiering::kFetchers);
  Add(tiering::kMutations | tiering::kEvictions);
  EXPECT_EQ(hub_.Wanted(), tiering::kFetchers | tiering::kMutations | tiering::kEvictions);
  hub_.Remove(first);
  EXPECT_EQ(hub_.Wanted(), tiering::kMutations | tiering::kEvictions);
}

TEST_F(WatchHubTest, EachIsSentItsClassesOnly) {
  Watcher* const fetchers = Add(tiering::kFetchers);
  Watcher* const both = Add(tiering::kFetchers | tiering::kDeletions);
  RunningConnection::Set(31);
  NoteKey(&hub_, "a");
  RunningConnection::Set(0);
  hub_.Note({.type = EventType::kDeleted, .text = "b", .numbers = {0, 1, 2}});
  EXPECT_TRUE(hub_.Pass());
  EXPECT_EQ(TakeLines(fetchers),
            std::vector<std::string>{"gid=1 type=item_get key=a status=not_found clsid=0 cfd=31 "
                                     "size=0\n"});
  EXPECT_EQ(TakeLines(both).size(), 2U);
  EXPECT_FALSE(hub_.Pass()) << "all was taken";
  const WatchStats stats = hub_.Stats();
  EXPECT_EQ(stats.written, 2U);
  EXPECT_EQ(stats.sent, 3U);
  EXPECT_EQ(stats.dropped + stats.skipped, 0U);
  EXPECT_EQ(stats.watchers, 2U);
  EXPECT_GT(host_.calls, 0);
}

TEST_F(WatchHubTest, NobodyIsToldOfWhatWasBefore) {
  Watcher* const early = Add(tiering::kFetchers);
  NoteKey(&hub_, "before");
  Watcher* const late = Add(tiering::kFetchers);
  NoteKey(&hub_, "after");
  hub_.Pass();
  EXPECT_EQ(TakeLines(early).size(), 2U);
  const std::vector<std::string> lines = TakeLines(late);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(KeyOf(lines[0]), "after");
}

TEST_F(WatchHubTest, RefusesMoreThanMemcachedDoes) {
  for (size_t i = 0; i < kWatchersMax; ++i) Add(tiering::kFetchers);
  const auto one_more = std::make_shared<Watcher>(tiering::kFetchers, 0, host_);
  EXPECT_EQ(hub_.Add(one_more), WatchHub::Added::kTooMany);
  hub_.Remove(watchers_.back().get());
  EXPECT_EQ(hub_.Add(one_more), WatchHub::Added::kYes);
  hub_.Remove(one_more.get());
}

TEST_F(WatchHubTest, AFullThreadBufferDropsAndCounts) {
  Watcher* const watcher = Add(tiering::kFetchers);
  for (int i = 0; i < 1'000; ++i) NoteKey(&hub_, "k");
  hub_.Pass();
  const WatchStats stats = hub_.Stats();
  EXPECT_GT(stats.dropped, 0U);
  EXPECT_EQ(stats.written + stats.dropped, 1'000U);
  EXPECT_EQ(TakeLines(watcher).size(), stats.written);
}

TEST_F(WatchHubTest, ASlowWatcherIsToldWhatItMissed) {
  Watcher* const slow = Add(tiering::kFetchers, LogBuffer::kBytesLeast);
  Watcher* const fast = Add(tiering::kFetchers);
  uint64_t fast_lines = 0;
  for (int i = 0; i < 100; ++i) {
    NoteKey(&hub_, std::to_string(i));
    hub_.Pass();
    fast_lines += TakeLines(fast).size();
  }
  EXPECT_EQ(fast_lines, 100U) << "it is not held up";
  const uint64_t skipped = hub_.Stats().skipped;
  ASSERT_GT(skipped, 0U);
  std::vector<std::string> lines = TakeLines(slow);
  EXPECT_EQ(lines.size() + skipped, 100U);
  hub_.Pass();  // there is room again, also without another event
  lines = TakeLines(slow);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0], "skipped=" + std::to_string(skipped) + "\n");
  NoteKey(&hub_, "later");
  hub_.Pass();
  lines = TakeLines(slow);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(KeyOf(lines[0]), "later");
}

TEST_F(WatchHubTest, LinesOfAllThreadsComeInTheOrderOfTheirNumbers) {
  constexpr int kThreads = 4;
  constexpr int kEvents = 5'000;
  Watcher* const watcher = Add(tiering::kFetchers);
  std::atomic<int> running = kThreads;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kEvents; ++i) {
        NoteKey(&hub_, std::to_string(thread) + "-" + std::to_string(i));
        if (i % 16 == 0) std::this_thread::yield();
      }
      --running;
    });
  }
  uint64_t lines = 0;
  uint64_t last_gid = 0;
  uint64_t disordered = 0;
  for (bool last = false; !last;) {
    last = running == 0;
    hub_.Pass();
    for (const std::string& line : TakeLines(watcher)) {
      if (line.starts_with("skipped=")) continue;
      ++lines;
      if (GidOf(line) <= last_gid) ++disordered;
      last_gid = GidOf(line);
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(disordered, 0U);
  const WatchStats stats = hub_.Stats();
  EXPECT_EQ(stats.written + stats.dropped, uint64_t{kThreads} * kEvents);
  EXPECT_EQ(stats.sent, lines);
  EXPECT_EQ(stats.sent + stats.skipped, stats.written);
}

TEST(WatchHubThreadTest, TheLoggerRunsWhileThereAreWatchers) {
  WatchHub hub(64U << 10);
  CountingHost host;
  constexpr int kEvents = 100;
  for (int round = 0; round < 2; ++round) {
    const auto watcher = std::make_shared<Watcher>(tiering::kFetchers, 64U << 10, host);
    ASSERT_EQ(hub.Add(watcher), WatchHub::Added::kYes);
    for (int i = 0; i < kEvents; ++i) NoteKey(&hub, "k");
    int lines = 0;
    while (lines < kEvents) {
      lines += static_cast<int>(TakeLines(watcher.get()).size());
      std::this_thread::yield();
    }
    EXPECT_EQ(lines, kEvents);
    hub.Remove(watcher.get());
  }
  hub.Stop();
  EXPECT_EQ(hub.Stats().dropped, 0U);
}

}  // namespace
}  // namespace terraced::server
