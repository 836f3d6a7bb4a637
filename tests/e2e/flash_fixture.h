// FlashFixture: a daemon with a small RAM tier and a flash tier in a directory that outlives it, so that it can
// be stopped, killed and started again.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/servers.h"
#include "tests/support/stat_names.h"

namespace terraced::support {

class FlashFixture : public ::testing::Test {
 protected:
  DaemonSpec Spec(const std::string& more = "") const {
    return {.binary = TerracedBinary(),
            .arguments = {"-m", "64", "-t", "2", "-o",
                          "test_commands,flash_path=" + FlashPath() +
                              ",flash_size=512m,flash_index_dir=" + directory_.Path() + more}};
  }
  std::string FlashPath() const { return directory_.Sub("flash"); }

  void Start(const std::string& more = "") {
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(Spec(more));
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
  }
  void StopCleanly(int signal = SIGTERM) {
    client_.reset();
    ASSERT_EQ(daemon_->Stop(signal), 0) << daemon_->Stderr();
  }
  void Restart(const std::string& more = "") {
    ASSERT_NO_FATAL_FAILURE(StopCleanly());
    ASSERT_NO_FATAL_FAILURE(Start(more));
  }
  void Kill() {
    client_.reset();
    ASSERT_EQ(daemon_->Kill(), 128 + SIGKILL);
  }
  void DemoteAll() { ASSERT_EQ(client_->Ask("debug demote\r\n"), "OK\r\n"); }
  bool IsWarming() {
    return Ask("stats\r\n").find("STAT flash_hot_list warming\r\n") != std::string::npos;
  }
  void AwaitWarm() {
    // Behind its clients, and behind whatever else keeps the cores busy: it is only to go on.
    uint64_t seen = 0;
    const auto goes_on = [this, &seen] {
      return !IsWarming() || client_->Stat("flash_hot_list_seen") > seen;
    };
    while (IsWarming()) {
      ASSERT_TRUE(Eventually(goes_on)) << Ask("stats\r\n");
      seen = client_->Stat("flash_hot_list_seen");
    }
    EXPECT_NE(Ask("stats\r\n").find("STAT flash_hot_list done\r\n"), std::string::npos);
  }
  std::string Ask(std::string_view request) { return client_->Ask(request); }

  TempDirectory directory_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> client_;
};

// A value that names its key and is not the same twice.
inline std::string ValueOf(const std::string& key, size_t bytes, uint64_t variant = 0) {
  std::string value = key + "/" + std::to_string(variant) + "/";
  uint64_t word = 0x9e3779b97f4a7c15ULL * (variant + 1) + key.size();
  while (value.size() < bytes) {
    word = word * 6364136223846793005ULL + 1442695040888963407ULL;
    value.push_back(static_cast<char>('!' + (word >> 33) % 90));
  }
  value.resize(bytes);
  return value;
}

}  // namespace terraced::support
