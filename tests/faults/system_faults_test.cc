// Threads and memory that the system refuses.
#include <errno.h>

#include <algorithm>

#include "tests/faults/fault_fixture.h"

namespace terraced::support {
namespace {

class SystemFaultsTest : public FaultFixture {
 protected:
  void SetUp() override {
    if (!FaultSwitch::Available()) GTEST_SKIP() << "no fault library under sanitizers";
  }
};

TEST_F(SystemFaultsTest, AStartWithoutThreadsSaysWhichAndEnds) {
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  int64_t needed = 0;
  for (; needed < 40; ++needed) {
    faults_.Break(kFaultThread, EAGAIN, needed);
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(FaultySpec());
    if (daemon.ok()) {
      daemon_ = std::move(daemon).value();
      client_ = daemon_->Connect();
      break;
    }
    const std::string said(daemon.status().message());
    EXPECT_TRUE(said.find("ended with status 1: ") != std::string::npos ||
                said.find("ended with status 71: ") != std::string::npos)
        << needed << ": " << said;
    EXPECT_NE(said.find("thread '"), std::string::npos) << needed << ": " << said;
    // Beside it, that the tier was there.
    EXPECT_LE(std::count(said.begin(), said.end(), '\n'), 2) << needed << ": " << said;
  }
  EXPECT_GT(needed, 5);
  // With that many it serves and stops, whatever else it would like to start meanwhile.
  faults_.Break(kFaultThread, EAGAIN);
  EXPECT_TRUE(client_->Stats()[kStatFlashStart].starts_with("warm")) << Log();
  EXPECT_EQ(book_.Judge(*client_).hits, book_.Living());
  for (int i = 0; i < 5; ++i) ChangeSome();
  EXPECT_EQ(Ask("flush_all\r\n"), "OK\r\n");
  EXPECT_EQ(Ask("debug demote\r\n"), "OK\r\n");
  EXPECT_TRUE(Ask("extstore flash_read_threads 16\r\n").starts_with("CLIENT_ERROR ") ||
              Ask("extstore flash_read_threads 16\r\n").starts_with("SERVER_ERROR "))
      << Ask("extstore flash_read_threads 16\r\n");
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  EXPECT_EQ(book_.Judge(*client_).hits, book_.Living());
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
}

}  // namespace
}  // namespace terraced::support
