// A reboot takes what lies on tmpfs with it. After a clean stop what was in RAM was drained to flash, and the hot list
// brings it back.
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/e2e/flash_fixture.h"

namespace terraced::support {
namespace {

constexpr int kItems = 20'000;

std::string KeyOf(int i) {
  return "item" + std::to_string(i);
}

class RebootTest : public FlashFixture {
 protected:
  std::string ArenaPath() const { return directory_.Sub("arena"); }
  void StartWithArena(const std::string& more = "") {
    DaemonSpec spec = Spec(more);
    spec.arguments.insert(spec.arguments.end(), {"-e", ArenaPath()});
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
  }
  void StoreAll() {
    for (int i = 0; i < kItems; ++i) {
      const std::string key = KeyOf(i);
      ASSERT_EQ(client_->Set(key, ValueOf(key, 300), static_cast<uint32_t>(i)), "STORED\r\n");
    }
    uniques_.clear();
    for (int i = 0; i < kItems; i += 100) uniques_[i] = client_->Gets(KeyOf(i)).cas_unique;
  }
  void AwaitAllWarm() {
    ASSERT_NO_FATAL_FAILURE(AwaitWarm());
    EXPECT_EQ(client_->Stat("flash_hot_list_keys"), static_cast<uint64_t>(kItems));
    EXPECT_EQ(client_->Stat("flash_hot_list_seen"), static_cast<uint64_t>(kItems));
  }
  // Every one is answered, and from RAM but for those that share their identity with another.
  void ExpectAllInRam() {
    for (int i = 0; i < kItems; ++i) {
      ASSERT_EQ(client_->Get(KeyOf(i)), ValueOf(KeyOf(i), 300)) << i;
    }
    for (const auto& [i, unique] : uniques_) {
      const ValueBlock block = client_->Gets(KeyOf(i));
      EXPECT_EQ(block.cas_unique, unique) << i;
      EXPECT_EQ(block.flags, std::to_string(i));
    }
    EXPECT_LE(client_->Stat(kStatGetHitsFlash), 10U);
  }

  std::map<int, std::string> uniques_;
};

TEST_F(RebootTest, WhatWasInRamIsThereAgain) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreAll());
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_NO_FATAL_FAILURE(AwaitAllWarm());
  EXPECT_GE(client_->Stat("flash_hot_list_warmed") + 10, static_cast<uint64_t>(kItems));
  ASSERT_NO_FATAL_FAILURE(ExpectAllInRam());
}

TEST_F(RebootTest, TheMemoryFileIsGoneOrOfAnotherBoot) {
  ASSERT_NO_FATAL_FAILURE(StartWithArena());
  ASSERT_NO_FATAL_FAILURE(StoreAll());
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  std::filesystem::remove(ArenaPath());
  ASSERT_NO_FATAL_FAILURE(StartWithArena());
  ASSERT_NO_FATAL_FAILURE(AwaitAllWarm());
  ASSERT_NO_FATAL_FAILURE(ExpectAllInRam());
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  {
    std::fstream file(ArenaPath(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(24);  // where it names the boot
    file << "00000000";
  }
  ASSERT_NO_FATAL_FAILURE(StartWithArena());
  EXPECT_NE(daemon_->Stderr().find("the system was started again"), std::string::npos)
      << daemon_->Stderr();
  ASSERT_NO_FATAL_FAILURE(AwaitAllWarm());
  EXPECT_GE(client_->Stat("flash_hot_list_warmed") + 10, static_cast<uint64_t>(kItems));
  ASSERT_NO_FATAL_FAILURE(ExpectAllInRam());
}

TEST_F(RebootTest, WithTheMemoryFileThereIsNothingToWarm) {
  ASSERT_NO_FATAL_FAILURE(StartWithArena());
  ASSERT_NO_FATAL_FAILURE(StoreAll());
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(StartWithArena());
  ASSERT_NO_FATAL_FAILURE(AwaitAllWarm());
  EXPECT_EQ(client_->Stat("flash_hot_list_warmed"), 0U);
  ASSERT_NO_FATAL_FAILURE(ExpectAllInRam());
}

// What changed before the warmer came to it stays changed.
TEST_F(RebootTest, NothingOldComesBack) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StoreAll());
  ASSERT_NO_FATAL_FAILURE(Restart(",flash_warm_rate=0"));
  uint64_t missing = 0;  // taken along by the change of another with the same identity
  for (int i = 0; i < kItems; i += 2) {
    if (i % 4 == 0) {
      ASSERT_EQ(client_->Set(KeyOf(i), "new"), "STORED\r\n");
    } else {
      missing += Ask("delete " + KeyOf(i) + "\r\n") == "DELETED\r\n" ? 0 : 1;
    }
  }
  EXPECT_LE(missing, client_->Stat(kStatIndexCollisions) + client_->Stat(kStatRemovalsUnverified));
  ASSERT_EQ(Ask("extstore flash_warm_rate 67108864\r\n"), "OK\r\n");
  ASSERT_NO_FATAL_FAILURE(AwaitAllWarm());
  for (int i = 0; i < kItems; i += 2) {
    ASSERT_EQ(client_->Get(KeyOf(i)), i % 4 == 0 ? "new" : "<miss>") << i;
  }
}

}  // namespace
}  // namespace terraced::support
