// Stopping and starting: a clean stop keeps everything, an unclean one keeps nothing on flash, and a directory
// that cannot be used is refused with one line.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "tests/e2e/flash_fixture.h"
#include "tests/support/eventually.h"

namespace terraced::support {
namespace {

struct StoredItem {
  std::string value;
  uint32_t flags = 0;
  std::string unique;
};

class RestartTest : public FlashFixture {
 protected:
  // Items of all sizes, some with uniques of the client's choice, more of those than there are numbers for in RAM
  // (storage/ram/cas_runs.h); the first half on flash, the rest in RAM.
  void StoreItems(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string key = "item" + std::to_string(i);
      StoredItem& item = items_[key];
      item.value = ValueOf(key, i % 100 == 0 ? 150'000 : static_cast<size_t>(i) % 2'500);
      item.flags = static_cast<uint32_t>(i) * 7;
      const int exptime = i % 3 == 0 ? 100'000 : 0;
      if (i % 7 == 0) {
        const uint64_t chosen = 0x9e37'79b9'7f4a'7c15 * (static_cast<uint64_t>(i) + 1);
        ASSERT_EQ(Ask("ms " + key + " " + std::to_string(item.value.size()) + " F" +
                      std::to_string(item.flags) + " T" + std::to_string(exptime) + " E" +
                      std::to_string(chosen) + "\r\n" + item.value + "\r\n"),
                  "HD\r\n");
        item.unique = std::to_string(chosen);
      } else {
        ASSERT_EQ(client_->Set(key, item.value, item.flags, exptime), "STORED\r\n");
        item.unique = client_->Gets(key).cas_unique;
      }
      if (i == count / 2) {
        ASSERT_NO_FATAL_FAILURE(DemoteAll());
      }
    }
    ASSERT_NO_FATAL_FAILURE(ForgetCollided());
  }
  // A set takes along the flash record of a key that shares its identity in the index. With thousands of keys in
  // small tables that happens in one of some fifteen runs; each is counted, and is none of a restart's doing.
  void ForgetCollided() {
    const uint64_t collisions =
        client_->Stat(kStatIndexCollisions) + client_->Stat(kStatRemovalsUnverified);
    if (collisions == 0) return;
    const size_t lost = std::erase_if(
        items_, [this](const auto& one) { return client_->Gets(one.first).key.empty(); });
    ASSERT_LE(lost, collisions);
  }
  // The one file of the test's directory that is none of the flash directory's.
  std::string SharedIndexPath() const {
    for (const auto& entry : std::filesystem::directory_iterator(directory_.Path())) {
      if (entry.path().extension() == ".index") return entry.path();
    }
    return "";
  }
  void ExpectItems() {
    for (const auto& [key, item] : items_) {
      const ValueBlock block = client_->Gets(key);
      ASSERT_EQ(block.key, key) << "it is gone";
      ASSERT_TRUE(block.data == item.value) << key;
      ASSERT_EQ(block.flags, std::to_string(item.flags)) << key;
      ASSERT_EQ(block.cas_unique, item.unique) << key;
    }
  }
  static void SleepUntil(std::chrono::system_clock::time_point moment) {
    std::this_thread::sleep_until(moment);
  }
  static int64_t Lines(const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  }
  void ExpectRefused(DaemonSpec spec, const std::string& mention) {
    spec.patience = std::chrono::seconds(20);
    const FailedStart failed = StartRefused(spec);
    EXPECT_GT(failed.exit_status, 0) << failed.stderr_text;
    EXPECT_LT(failed.exit_status, 128) << "it crashed: " << failed.stderr_text;
    EXPECT_EQ(Lines(failed.stderr_text), 1) << failed.stderr_text;
    EXPECT_NE(failed.stderr_text.find(mention), std::string::npos) << failed.stderr_text;
  }
  DaemonSpec SpecFor(const std::string& flash_path, const std::string& flash_size) const {
    return {
        .binary = TerracedBinary(),
        .arguments = {"-m", "64", "-o", "flash_path=" + flash_path + ",flash_size=" + flash_size}};
  }
  std::map<std::string, StoredItem> items_;
};

TEST_F(RestartTest, KeepsValueFlagsAndUniqueOfEveryItem) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(6'000));
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_NO_FATAL_FAILURE(AwaitWarm());
  // Items that change tiers while they are counted would be missed. Two keys of a batch that share their identity share
  // a slot: both are there, and are counted once.
  EXPECT_LE(client_->Stat(kStatCurrItems), items_.size());
  EXPECT_GE(client_->Stat(kStatCurrItems) + 3, items_.size());
  ASSERT_NO_FATAL_FAILURE(ExpectItems());
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_NO_FATAL_FAILURE(ExpectItems());
}

TEST_F(RestartTest, IsCleanAfterEachOfTheStopSignals) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(200));
  for (const int signal : {SIGINT, SIGUSR1, SIGTERM}) {
    ASSERT_NO_FATAL_FAILURE(StopCleanly(signal));
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_NO_FATAL_FAILURE(ExpectItems());
  }
}

// The stop takes a few seconds in these: RAM holds several batches, and each is held up.
TEST_F(RestartTest, AStopSignalSaidTwiceAtOnceIsOne) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(6'000));
  ASSERT_EQ(Ask("debug delay demote_built 500\r\n"), "OK\r\n");
  daemon_->Signal(SIGINT);
  ASSERT_NO_FATAL_FAILURE(StopCleanly(SIGTERM));
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(ExpectItems());
}

TEST_F(RestartTest, ASecondStopSignalLaterHurries) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(6'000));
  ASSERT_EQ(Ask("debug delay demote_built 1500\r\n"), "OK\r\n");
  daemon_->Signal(SIGTERM);
  SleepUntil(std::chrono::system_clock::now() + std::chrono::milliseconds(1'300));
  EXPECT_EQ(daemon_->Stop(SIGTERM), 1);
  EXPECT_NE(daemon_->Stderr().find("stopped at once"), std::string::npos) << daemon_->Stderr();
}

TEST_F(RestartTest, ChangesWorkOnItemsFromBefore) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("n", "41", 3), "STORED\r\n");
  ASSERT_EQ(client_->Set("text", "begin", 4), "STORED\r\n");
  ASSERT_EQ(client_->Set("gone", "x"), "STORED\r\n");
  const std::string unique = client_->Gets("text").cas_unique;
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_EQ(Ask("incr n 1\r\n"), "42\r\n");
  EXPECT_EQ(client_->Store("append text 0 0 4", "-end"), "STORED\r\n");
  EXPECT_EQ(client_->Store("cas text 0 0 1 " + unique, "x"), "EXISTS\r\n");
  EXPECT_EQ(Ask("delete gone\r\n"), "DELETED\r\n");
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_EQ(Ask("get n text gone\r\n"),
            "VALUE n 3 2\r\n42\r\nVALUE text 4 9\r\nbegin-end\r\nEND\r\n");
}

TEST_F(RestartTest, NeverHandsOutACasUniqueAgain) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::set<std::string> seen;
  for (int run = 0; run < 4; ++run) {
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(client_->Set("k" + std::to_string(i), "x"), "STORED\r\n");
      ASSERT_TRUE(seen.insert(client_->Gets("k" + std::to_string(i)).cas_unique).second);
    }
    if (run % 2 == 0) {
      ASSERT_NO_FATAL_FAILURE(Restart());
    } else {
      Kill();
      ASSERT_NO_FATAL_FAILURE(Start());
    }
  }
}

TEST_F(RestartTest, WhatExpiredWhileItWasDownIsGone) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("short-flash", "x", 0, 2), "STORED\r\n");
  ASSERT_EQ(client_->Set("long-flash", "x", 0, 1'000), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_EQ(client_->Set("short-ram", "x", 0, 2), "STORED\r\n");
  ASSERT_EQ(client_->Set("long-ram", "x", 0, 1'000), "STORED\r\n");
  const auto expired = std::chrono::system_clock::now() + std::chrono::seconds(4);
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  SleepUntil(expired);
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(Ask("get short-flash short-ram\r\n"), "END\r\n");
  EXPECT_EQ(Ask("get long-flash long-ram\r\n"),
            "VALUE long-flash 0 1\r\nx\r\nVALUE long-ram 0 1\r\nx\r\nEND\r\n");
}

TEST_F(RestartTest, DeletedAndOverwrittenValuesStayAway) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (int i = 0; i < 300; ++i) {
    const std::string key = "k" + std::to_string(i);
    ASSERT_EQ(client_->Set(key, ValueOf(key, 500)), "STORED\r\n");
  }
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  for (int i = 0; i < 300; ++i) {
    const std::string key = "k" + std::to_string(i);
    if (i % 3 == 0) {
      ASSERT_EQ(Ask("delete " + key + "\r\n"), "DELETED\r\n");
    } else if (i % 3 == 1) {
      ASSERT_EQ(client_->Set(key, ValueOf(key, 500, 1)), "STORED\r\n");
    }
  }
  ASSERT_NO_FATAL_FAILURE(Restart());
  for (int i = 0; i < 300; ++i) {
    const std::string key = "k" + std::to_string(i);
    const std::string expected =
        i % 3 == 0 ? "<miss>" : ValueOf(key, 500, static_cast<uint64_t>(i % 3 == 1));
    ASSERT_EQ(client_->Get(key), expected) << key;
  }
}

TEST_F(RestartTest, AFlushBeforeTheStopStays) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(500));
  ASSERT_EQ(Ask("flush_all\r\n"), "OK\r\n");
  ASSERT_EQ(client_->Set("after", "x"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(Restart());
  for (const auto& [key, item] : items_) ASSERT_EQ(client_->Get(key), "<miss>");
  EXPECT_EQ(client_->Get("after"), "x");
}

TEST_F(RestartTest, APendingFlushStillHappens) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::chrono::seconds delay{8};
  std::chrono::system_clock::time_point asked;
  while (true) {
    ASSERT_EQ(client_->Set("flash", "x"), "STORED\r\n");
    ASSERT_NO_FATAL_FAILURE(DemoteAll());
    ASSERT_EQ(client_->Set("ram", "x"), "STORED\r\n");
    asked = std::chrono::system_clock::now();
    ASSERT_EQ(Ask("flush_all " + std::to_string(delay.count()) + "\r\n"), "OK\r\n");
    ASSERT_NO_FATAL_FAILURE(Restart());
    if (std::chrono::system_clock::now() - asked < delay - std::chrono::seconds(2)) break;
    // A machine this slow gets more time, once the flush is over.
    ASSERT_LT(delay, std::chrono::seconds(60)) << "too slow to tell";
    SleepUntil(asked + delay + std::chrono::seconds(2));
    delay *= 3;
  }
  EXPECT_EQ(client_->Get("flash"), "x");
  EXPECT_EQ(client_->Get("ram"), "x");
  SleepUntil(asked + delay + std::chrono::seconds(2));
  EXPECT_EQ(Ask("get flash ram\r\n"), "END\r\n");
  ASSERT_EQ(client_->Set("later", "x"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_EQ(client_->Get("later"), "x") << "the flush happened twice";
  EXPECT_EQ(Ask("get flash ram\r\n"), "END\r\n");
}

TEST_F(RestartTest, AFlushThatFellDueWhileItWasDownComesBeforeTheFirstAnswer) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("flash", "x"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_EQ(client_->Set("ram", "x"), "STORED\r\n");
  const auto asked = std::chrono::system_clock::now();
  ASSERT_EQ(Ask("flush_all 2\r\n"), "OK\r\n");
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  SleepUntil(asked + std::chrono::seconds(4));
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(Ask("get flash ram\r\n"), "END\r\n");
}

TEST_F(RestartTest, AKilledDaemonKeepsWhatWasOnFlash) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(6'000));
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_NO_FATAL_FAILURE(ForgetCollided());
  for (int round = 0; round < 3; ++round) {
    Kill();
    ASSERT_NO_FATAL_FAILURE(Start());
    EXPECT_EQ(Lines(daemon_->Stderr()), 1) << daemon_->Stderr();
    EXPECT_NE(daemon_->Stderr().find("is warm after an unclean stop"), std::string::npos)
        << daemon_->Stderr();
    EXPECT_EQ(client_->Stat(kStatFlashItems), items_.size());
    ASSERT_NO_FATAL_FAILURE(ExpectItems());
  }
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_NO_FATAL_FAILURE(ExpectItems());
}

// Between two steps of a clean stop, and between those of the start that follows one.
TEST_F(RestartTest, AKillWithinACleanStopOrTheStartAfterItKeepsWhatWasStored) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("k", "x"), "STORED\r\n");
  for (const std::string point : {"stop_drained", "stop_closed", "stop_index_written",
                                  "stop_state_written", "stop_marked", "stop_removed"}) {
    ASSERT_EQ(Ask("debug kill " + point + " 1\r\n"), "OK\r\n");
    client_.reset();
    ASSERT_EQ(daemon_->Stop(SIGTERM), 128 + SIGKILL) << point;
    ASSERT_NO_FATAL_FAILURE(Start());
    EXPECT_EQ(client_->Get("k"), "x") << point << "\n" << daemon_->Stderr();
  }
  for (const std::string point :
       {"start_state_renewed", "start_opened", "start_index_cleared", "start_index_loaded",
        "start_run_begun", "start_state_written", "start_mark_removed", "start_run_confirmed"}) {
    ASSERT_NO_FATAL_FAILURE(StopCleanly());
    ASSERT_EQ(StartRefused(Spec(",kill_at=" + point + ":1")).exit_status, 128 + SIGKILL) << point;
    ASSERT_NO_FATAL_FAILURE(Start());
    EXPECT_EQ(client_->Get("k"), "x") << point << "\n" << daemon_->Stderr();
  }
}

TEST_F(RestartTest, ToBeKilledAtAPointIsForTestsOnly) {
  ExpectRefused(SpecFor(FlashPath(), "256m,kill_at=batch_row:1"), "kill_at");
  ExpectRefused(SpecFor(FlashPath(), "256m,test_commands,kill_at=no_such_point:1"), "kill_at");
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(Ask("debug kill no_such_point 1\r\n"), "ERROR\r\n");
  EXPECT_EQ(Ask("debug kill batch_row 0\r\n"), "ERROR\r\n");
}

TEST_F(RestartTest, AKilledDaemonNeverReturnsWhatWasChangedOrDeleted) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("set", "old"), "STORED\r\n");
  ASSERT_EQ(client_->Set("deleted", "old"), "STORED\r\n");
  ASSERT_EQ(client_->Set("counted", "1"), "STORED\r\n");
  ASSERT_EQ(client_->Set("touched", "old"), "STORED\r\n");
  ASSERT_EQ(client_->Set("refused", "old"), "STORED\r\n");
  ASSERT_EQ(client_->Set("kept", "old"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_EQ(client_->Set("set", "new"), "STORED\r\n");
  ASSERT_EQ(Ask("delete deleted\r\n"), "DELETED\r\n");
  ASSERT_EQ(Ask("incr counted 1\r\n"), "2\r\n");
  ASSERT_EQ(Ask("touch touched 1\r\n"), "TOUCHED\r\n");
  ASSERT_TRUE(client_->Set("refused", std::string(2 << 20, 'x')).starts_with("SERVER_ERROR"));
  Kill();
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(Ask("get set deleted counted touched refused\r\n"), "END\r\n");
  EXPECT_EQ(client_->Get("kept"), "old");
}

TEST_F(RestartTest, WithAMemoryFileAKilledDaemonKeepsWhatWasInRamToo) {
  const std::string arena = directory_.Sub("arena");
  const auto with_arena = [&](const std::string& more = "") {
    DaemonSpec spec = Spec(more);
    spec.arguments.insert(spec.arguments.end(), {"-e", arena});
    return spec;
  };
  const auto start = [&] {
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(with_arena());
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
  };
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(6'000));  // half of them in RAM only
  ASSERT_EQ(Ask("delete item5000\r\n"), "DELETED\r\n");
  items_.erase("item5000");
  ASSERT_NO_FATAL_FAILURE(ForgetCollided());
  for (const bool killed : {true, true, false, true}) {
    if (killed) {
      Kill();
    } else {
      ASSERT_NO_FATAL_FAILURE(StopCleanly());
    }
    ASSERT_NO_FATAL_FAILURE(start());
    ASSERT_NO_FATAL_FAILURE(ExpectItems());
    EXPECT_EQ(client_->Get("item5000"), "<miss>");
  }
  // A start that dies half way changes nothing of what the next one finds, uniques included.
  Kill();
  for (const std::string point :
       {"start_run_begun", "start_state_written", "start_run_confirmed"}) {
    ASSERT_EQ(StartRefused(with_arena(",kill_at=" + point + ":1")).exit_status, 128 + SIGKILL);
  }
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(ExpectItems());
  // A start without it disowns the file: what changes now, it does not know of.
  Kill();
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("item1", "newer"), "STORED\r\n");
  Kill();
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_NE(daemon_->Stderr().find("starts empty: the memory file is of another run"),
            std::string::npos)
      << daemon_->Stderr();
  EXPECT_EQ(client_->Get("item1"), "<miss>");
}

// Without flash, as memcached does it; and it starts cold within the second that it was stopped in.
TEST_F(RestartTest, AMemoryFileAloneIsKeptAsByMemcached) {
  for (const std::string& binary : {ReferenceBinary(), TerracedBinary()}) {
    const std::string file = directory_.Sub(binary == TerracedBinary() ? "ours" : "theirs");
    const DaemonSpec spec = {.binary = binary, .arguments = {"-m", "64", "-A", "-e", file}};
    std::string unique;
    for (const bool by_command : {true, false, true}) {
      Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
      ASSERT_TRUE(daemon.ok()) << daemon.status().message();
      const std::unique_ptr<Client> client = daemon.value()->Connect();
      if (unique.empty()) {
        ASSERT_EQ(client->Set("k", "value", 7, 10'000), "STORED\r\n");
        unique = client->Gets("k").cas_unique;
      } else {
        EXPECT_EQ(client->Stat("cmd_set") + client->Stat("get_hits"), 0U) << binary;
        // Ours serves at once and counts behind it.
        EXPECT_TRUE(support::Eventually([&] { return client->Stat("curr_items") == 1; })) << binary;
      }
      EXPECT_EQ(client->Ask("gets k\r\n"), "VALUE k 7 5 " + unique + "\r\nvalue\r\nEND\r\n")
          << binary;
      EXPECT_EQ(client->Ask("cache_memlimit 100\r\n"),
                "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n")
          << binary;
      SleepUntil(std::chrono::system_clock::now() + std::chrono::milliseconds(1'100));
      if (by_command) {
        EXPECT_TRUE(client->Send("shutdown graceful\r\n").ok());
        EXPECT_EQ(daemon.value()->WaitFor(std::chrono::seconds(60)), 0) << binary;
      } else {
        EXPECT_EQ(daemon.value()->Stop(SIGUSR1), 0) << binary;
      }
      SleepUntil(std::chrono::system_clock::now() + std::chrono::milliseconds(1'100));
    }
  }
}

TEST_F(RestartTest, AFlushBeforeAKillStays) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(500));
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_EQ(Ask("flush_all\r\n"), "OK\r\n");
  Kill();
  ASSERT_NO_FATAL_FAILURE(Start());
  for (const auto& [key, item] : items_) ASSERT_EQ(client_->Get(key), "<miss>");
}

// As after a power failure: the directory is there, what was in memory is not.
TEST_F(RestartTest, AnUncleanStopWithoutItsIndexEmptiesTheTierAndSaysSoInOneLine) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(2'000));
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  Kill();
  ASSERT_TRUE(std::filesystem::remove(SharedIndexPath()));
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(Lines(daemon_->Stderr()), 1) << daemon_->Stderr();
  EXPECT_NE(daemon_->Stderr().find("emptied"), std::string::npos) << daemon_->Stderr();
  for (const auto& [key, item] : items_) ASSERT_EQ(client_->Get(key), "<miss>");
  EXPECT_EQ(client_->Stat(kStatFlashItems), 0U);
  items_.clear();
  ASSERT_NO_FATAL_FAILURE(StoreItems(200));
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_NO_FATAL_FAILURE(ExpectItems());
}

TEST_F(RestartTest, AnIndexOfAnotherBootEmptiesTheTier) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("k", "x"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  Kill();
  {
    std::fstream file(SharedIndexPath(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(24);  // where it names the boot
    file << "00000000";
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_NE(daemon_->Stderr().find("emptied: unclean stop, and the system was started again"),
            std::string::npos)
      << daemon_->Stderr();
  EXPECT_EQ(client_->Get("k"), "<miss>");
}

TEST_F(RestartTest, AfterADowntimeOverTheLimitFlashIsEmpty) {
  for (const bool clean : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_EQ(client_->Set("k", "x"), "STORED\r\n");
    ASSERT_NO_FATAL_FAILURE(DemoteAll());
    if (clean) {
      ASSERT_NO_FATAL_FAILURE(StopCleanly());
    } else {
      Kill();
    }
    SleepUntil(std::chrono::system_clock::now() + std::chrono::milliseconds(3'200));
    ASSERT_NO_FATAL_FAILURE(Start(",max_downtime=1"));
    EXPECT_NE(daemon_->Stderr().find("max_downtime is 1"), std::string::npos) << daemon_->Stderr();
    EXPECT_EQ(client_->Get("k"), "<miss>");
    ASSERT_EQ(client_->Set("k", "x"), "STORED\r\n");
    ASSERT_NO_FATAL_FAILURE(Restart(",max_downtime=60"));
    EXPECT_EQ(client_->Get("k"), "x");
    ASSERT_NO_FATAL_FAILURE(StopCleanly());
  }
}

TEST_F(RestartTest, WithoutAPlaceForTheIndexAKillIsColdAndSaidSo) {
  const std::string nowhere = ",flash_index_dir=" + directory_.Sub("nowhere");
  ASSERT_NO_FATAL_FAILURE(Start(nowhere));
  EXPECT_NE(daemon_->Stderr().find("after a crash flash will start empty"), std::string::npos)
      << daemon_->Stderr();
  ASSERT_EQ(client_->Set("k", "x"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(Restart(nowhere));
  EXPECT_EQ(client_->Get("k"), "x");
  Kill();
  ASSERT_NO_FATAL_FAILURE(Start(",flash_index_dir=none"));
  EXPECT_EQ(client_->Get("k"), "<miss>");
}

TEST_F(RestartTest, ASmallerQuotaDropsTheOldestAndKeepsTheRest) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (int i = 0; i < 3'000; ++i) {
    const std::string key = "q" + std::to_string(i);
    ASSERT_EQ(client_->Set(key, ValueOf(key, 60'000)), "STORED\r\n");
  }
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  Result<std::unique_ptr<Daemon>> smaller = Daemon::Start(SpecFor(FlashPath(), "100m"));
  ASSERT_TRUE(smaller.ok()) << smaller.status().message();
  daemon_ = std::move(smaller).value();
  client_ = daemon_->Connect();
  // The oldest go in the background, a batch at a time, while it serves.
  const auto fits = [this] {
    const std::map<std::string, std::string> stats = client_->Stats();
    const auto used = stats.find(kStatFlashBytesUsed);
    return used != stats.end() && std::stoull(used->second) <= (100ULL << 20) &&
           DirectoryDiskBytes(FlashPath()) <= (110ULL << 20);
  };
  EXPECT_TRUE(support::Eventually(fits));
  int there = 0;
  for (int i = 0; i < 3'000; ++i) {
    const std::string key = "q" + std::to_string(i);
    const std::string value = client_->Get(key);
    if (value == "<miss>") continue;
    ASSERT_TRUE(value == ValueOf(key, 60'000)) << key;
    ++there;
  }
  EXPECT_GT(there, 600);
  EXPECT_LT(there, 2'600);
  EXPECT_LE(DirectoryDiskBytes(FlashPath()), 110ULL << 20);
}

TEST_F(RestartTest, ASecondDaemonOnTheSameDirectoryIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("k", "x"), "STORED\r\n");
  ExpectRefused(Spec(), FlashPath());
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(client_->Get("k"), "x");
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_EQ(client_->Get("k"), "x");
}

TEST_F(RestartTest, ADirectoryThatCannotBeUsedIsRefused) {
  const std::string file = directory_.Sub("file");
  std::ofstream(file) << "not a directory";
  ExpectRefused(SpecFor(file, "256m"), file);

  const std::string foreign = directory_.Sub("foreign");
  std::filesystem::create_directory(foreign);
  std::ofstream(foreign + "/letter") << "dear reader";
  ExpectRefused(SpecFor(foreign, "256m"), foreign);
  EXPECT_EQ(ReadTextFile(foreign + "/letter"), "dear reader");

  // Root may write anywhere, but nobody can make a directory there.
  ExpectRefused(SpecFor("/proc/terraced", "256m"), "/proc/terraced");
  // A path through something that is no directory.
  ExpectRefused(SpecFor(file + "/below", "256m"), file);
}

TEST_F(RestartTest, AQuotaThatCannotWorkIsRefused) {
  ExpectRefused(SpecFor(FlashPath(), "1k"), "flash_size");
  ExpectRefused(SpecFor(FlashPath(), "900t"), "flash_size");
}

TEST_F(RestartTest, AnUnknownFormatIsRefusedAndLeftAlone) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreItems(50));
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  const std::string format = FlashPath() + "/FORMAT";
  const std::string known = ReadTextFile(format);
  std::ofstream(format, std::ios::trunc) << "99999\n";
  ExpectRefused(Spec(), FlashPath());
  std::ofstream(format, std::ios::trunc | std::ios::binary) << known;
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(ExpectItems());
}

}  // namespace
}  // namespace terraced::support
