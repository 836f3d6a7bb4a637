// Threads and memory that the system refuses.
#include <errno.h>
#include <sys/resource.h>

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
    // With no index that outlives them only a clean end leaves the next one anything.
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(FaultySpec(",flash_index_dir=none"));
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
    EXPECT_EQ(said.find("emptied"), std::string::npos) << needed << ": " << said;
  }
  EXPECT_GT(needed, 5);
  // With that many it serves and stops, whatever else it would like to start meanwhile.
  faults_.Break(kFaultThread, EAGAIN);
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm") << Log();
  ExpectAll();
  for (int i = 0; i < 5; ++i) ChangeSome();
  EXPECT_EQ(Ask("flush_all\r\n"), "OK\r\n");
  EXPECT_EQ(Ask("debug demote\r\n"), "OK\r\n");
  EXPECT_TRUE(Ask("extstore flash_read_threads 16\r\n").starts_with("CLIENT_ERROR ") ||
              Ask("extstore flash_read_threads 16\r\n").starts_with("SERVER_ERROR "))
      << Ask("extstore flash_read_threads 16\r\n");
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ExpectAll();
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
}

TEST_F(SystemFaultsTest, OneAllocationThatFailsIsBorne) {
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  uint64_t broken = 0;
  for (int64_t passed = 0; passed < 3'000; passed = passed * 4 + 1) {
    const uint64_t before = client_->Stat("malloc_fails");
    faults_.FailMemoryOnce(passed);
    ChangeSome();
    book_.Judge(*client_);
    broken += faults_.Broken();
    faults_.Mend();
    ASSERT_FALSE(HasFailure()) << "behind " << passed << "\n" << Log();
    EXPECT_GE(client_->Stat("malloc_fails"), before);
    // The next one finds the reserve filled again, within a second.
    const std::unique_ptr<Client> other = daemon_->Connect();
    const std::string uptime = client_->Stats()["uptime"];
    ASSERT_TRUE(Await([&] { return client_->Stats()["uptime"] != uptime; }));
  }
  EXPECT_GT(broken, 4U);
  EXPECT_GT(client_->Stat("malloc_fails"), 2U) << Log();
  EXPECT_GE(LogLines("memory is short"), 1U) << Log();
  EXPECT_LE(LogLines("memory is short"), 4U) << Log();
  ExpectAll();
}

TEST_F(SystemFaultsTest, MemoryThatStaysRefusedEndsTheDaemonAsAKillWould) {
  const std::vector<std::string> memory = {"-e", directory_.Sub("memory")};
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults("", memory));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ChangeSome();
  faults_.FailMemory();
  std::optional<int> ended = daemon_->WaitFor(std::chrono::milliseconds(0));
  for (int i = 0; i < 200 && !ended.has_value(); ++i) {
    Result<std::unique_ptr<Client>> client = Client::Connect(daemon_->Port());
    if (client.ok()) (void)client.value()->Ask("stats\r\n");
    ended = daemon_->WaitFor(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(ended, 71) << Log();
  EXPECT_EQ(LogLines("memory is short"), 1U) << Log();
  EXPECT_EQ(LogLines("out of memory: ending at once"), 1U) << Log();
  EXPECT_LE(LogLines(), 4U) << Log();
  faults_.Mend();
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults("", memory));
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm after an unclean stop");
  ExpectAll();
}

// No number is left for a file or a socket, in the whole process.
TEST_F(SystemFaultsTest, WithoutDescriptorsRamServesOnAndAllComesBackWithThem) {
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults(",flash_open_files=16"));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  for (int i = 0; i < 20; ++i) ChangeSome();
  struct rlimit before = {};
  ASSERT_EQ(prlimit(daemon_->Pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const struct rlimit none = {.rlim_cur = 5, .rlim_max = before.rlim_max};
  ASSERT_EQ(prlimit(daemon_->Pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  book_.Judge(*client_);
  Result<std::unique_ptr<Client>> waits = Client::Connect(daemon_->Port());
  ASSERT_TRUE(waits.ok());
  ASSERT_TRUE(waits.value()->Send("version\r\n").ok());
  EXPECT_TRUE(Await([this] { return LogLines("cannot accept connections for now") == 1; }))
      << Log();
  EXPECT_GT(client_->Stat("listen_disabled_num"), 0U);
  EXPECT_LE(LogLines(), 8U) << Log();
  ASSERT_EQ(prlimit(daemon_->Pid(), RLIMIT_NOFILE, &before, nullptr), 0);
  Result<std::string> served = waits.value()->ReadReply(ReplyShape::kLine);
  EXPECT_TRUE(served.ok() && served.value().starts_with("VERSION ")) << Log();
  ASSERT_TRUE(AwaitOnline()) << Log();
  ChangeSome();
  EXPECT_EQ(LogLines("flash tier is back"), 1U) << Log();
  ExpectAll();
}

// The address space as such is limited: of any size, in mmap and malloc, in libraries as well.
TEST_F(SystemFaultsTest, AStartWithTooLittleMemoryEndsWithOneLine) {
  size_t started = 0;
  for (int megabytes = 20; megabytes < 900; megabytes += megabytes / 4) {
    DaemonSpec spec = Spec();
    spec.binary =
        TerracedAfter(directory_.Path(), "ulimit -v " + std::to_string(megabytes * 1'024));
    spec.patience = std::chrono::seconds(10);
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
    if (daemon.ok()) {
      ++started;
      daemon_ = std::move(daemon).value();
      client_ = daemon_->Connect();
      ASSERT_NO_FATAL_FAILURE(FillFlash());
      client_.reset();
      EXPECT_EQ(daemon_->Stop(SIGTERM), 0) << Log();
      continue;
    }
    const std::string said(daemon.status().message());
    // Below that, the loader cannot even map the libraries (127), or their initialisers throw before main() is called
    // (134), or the shell does not start.
    constexpr int kLibrariesMegabytes = 26;
    EXPECT_TRUE(
        said.find("with status 1:") != std::string::npos ||
        (megabytes < kLibrariesMegabytes && said.find("terminate called") != std::string::npos) ||
        said.find("with status 71:") != std::string::npos ||
        said.find("with status 127:") != std::string::npos)
        << megabytes << " MB: " << said;
  }
  EXPECT_GT(started, 0U);
}

}  // namespace
}  // namespace terraced::support
