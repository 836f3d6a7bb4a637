// A disk that fails under a running daemon (I6): what is in RAM goes on being served and changed, no wrong or old value
// is ever answered, also not after a kill or a stop meanwhile, and the tier comes back when the disk does.
#include <errno.h>

#include <iostream>

#include "tests/faults/fault_fixture.h"

namespace terraced::support {
namespace {

struct DiskFault {
  const char* name;
  uint32_t calls;
  int error;
};

void PrintTo(const DiskFault& fault, std::ostream* out) {
  *out << fault.name;
}

constexpr DiskFault kDiskFaults[] = {
    {"Full", kFaultWrite | kFaultReserve, ENOSPC},
    {"NoWrites", kFaultWrite, EIO},
    {"NoSyncs", kFaultSync, EIO},
    {"NoNames", kFaultNames, EIO},
    {"ReadOnly", kFaultOpenToWrite | kFaultWrite | kFaultNames | kFaultReserve, EROFS},
    {"NothingWorks", kFaultOpen | kFaultRead | kFaultWrite | kFaultSync | kFaultNames, EIO},
    {"NoDescriptors", kFaultOpen, EMFILE},
};

class DiskFaultsTest : public FaultFixture, public ::testing::WithParamInterface<DiskFault> {
 protected:
  void SetUp() override {
    if (!FaultSwitch::Available()) GTEST_SKIP() << "no fault library under sanitizers";
    ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
    ASSERT_NO_FATAL_FAILURE(FillFlash());
  }
  // An outage is one of writing: every record is answered, but where reads fail as well.
  void ExpectAllThatCanBeRead() {
    if ((GetParam().calls & kFaultRead) != 0) {
      book_.Judge(*client_);
      return;
    }
    ExpectAll();
    EXPECT_EQ(client_->Stat(kStatReadErrors), 0U);
  }
  void BreakDisk() { faults_.Break(GetParam().calls, GetParam().error); }
};

TEST_P(DiskFaultsTest, RamServesOnAndTheTierComesBackByItself) {
  BreakDisk();
  const std::set<std::string> changed = ChangeSome();
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  EXPECT_GT(faults_.Broken(), 0U);
  ExpectAllThatCanBeRead();
  // Longer than to the next tries, which fail as well.
  const uint64_t broken = faults_.Broken();
  EXPECT_TRUE(Await([&] { return faults_.Broken() > broken; }));
  EXPECT_TRUE(client_->Stats()[kStatFlashState].starts_with("offline: ")) << Log();
  ExpectAllThatCanBeRead();
  EXPECT_EQ(client_->Stat("flash_turned_off"), 1U);
  EXPECT_EQ(LogLines("flash tier turned off"), 1U) << Log();
  EXPECT_LE(LogLines(), 5U) << Log();
  faults_.Mend();
  ASSERT_TRUE(AwaitOnline()) << Log();
  const uint64_t written = client_->Stat("flash_batches_written");
  ChangeSome();
  EXPECT_GT(client_->Stat("flash_batches_written"), written) << Log();
  EXPECT_EQ(LogLines("flash tier is back"), 1U) << Log();
  EXPECT_LE(LogLines(), 6U) << Log();
  ExpectAll();
}

TEST_P(DiskFaultsTest, NothingOldIsFoundAfterAKillMeanwhile) {
  BreakDisk();
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  ASSERT_NO_FATAL_FAILURE(Kill());
  faults_.Mend();
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm after an unclean stop");
  EXPECT_GT(book_.Judge(*client_).hits, kKeys / 5) << Log();
}

TEST_P(DiskFaultsTest, NothingOldIsFoundAfterAStopMeanwhile) {
  BreakDisk();
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  client_.reset();
  EXPECT_EQ(daemon_->Stop(SIGTERM), 1) << Log();
  EXPECT_EQ(LogLines("the stop was not clean"), 1U) << Log();
  faults_.Mend();
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm after an unclean stop");
  EXPECT_GT(book_.Judge(*client_).hits, kKeys / 5) << Log();
}

// The pause to the next try is no reason to throw the tier away.
TEST_P(DiskFaultsTest, AStopOnADiskThatIsWellAgainIsClean) {
  BreakDisk();
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  const uint64_t broken = faults_.Broken();
  ASSERT_TRUE(Await(
      [&] { return faults_.Broken() > broken; }));  // the first try: the next is in two seconds
  faults_.Mend();
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm");
  ExpectAll();
}

class ReadFaultsTest : public FaultFixture {
 protected:
  void SetUp() override {
    if (!FaultSwitch::Available()) GTEST_SKIP() << "no fault library under sanitizers";
    ASSERT_NO_FATAL_FAILURE(StartUnderFaults(",promote_hits=0"));
    ASSERT_NO_FATAL_FAILURE(FillFlash());
  }
};

TEST_F(ReadFaultsTest, ReadsThatFailAreMissesUntilTheDiskIsWellAgain) {
  faults_.Break(kFaultRead, EIO);
  EXPECT_EQ(book_.Judge(*client_).hits, 0U);
  EXPECT_GE(client_->Stat(kStatReadErrors), kKeys);
  EXPECT_EQ(LogLines("flash read failed"), 1U) << Log();
  EXPECT_LE(LogLines(), 2U) << Log();
  // What must know the old value says that it cannot, and changes nothing.
  EXPECT_EQ(Ask("add key1 0 0 1\r\nx\r\n"), "SERVER_ERROR flash read failed\r\n");
  EXPECT_EQ(Ask("append key2 0 0 1\r\nx\r\n"), "SERVER_ERROR flash read failed\r\n");
  EXPECT_EQ(Ask("incr key3 1\r\n"), "SERVER_ERROR flash read failed\r\n");
  EXPECT_EQ(Ask("touch key4 1\r\n"), "SERVER_ERROR flash read failed\r\n");
  EXPECT_EQ(Ask("gat 1 key5\r\n"), "SERVER_ERROR flash read failed\r\n");
  ASSERT_NO_FATAL_FAILURE(book_.Delete(*client_, "key6"));
  ASSERT_NO_FATAL_FAILURE(book_.Set(*client_, "key7"));
  EXPECT_EQ(book_.Judge(*client_).hits, 1U);
  faults_.Mend();
  ExpectAll();
  EXPECT_EQ(client_->Stat("flash_online"), 1U);
}

TEST_F(ReadFaultsTest, FilesThatCannotBeOpenedAreMissesUntilTheyCan) {
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults(",promote_hits=0,flash_open_files=16"));
  // Many files, so that most of them are closed.
  for (int i = 0; i < 40; ++i) ChangeSome();
  faults_.Break(kFaultOpen, EMFILE);
  EXPECT_LT(book_.Judge(*client_).hits, book_.Living() / 2);
  EXPECT_GE(client_->Stat(kStatReadErrors), book_.Living() / 2);
  EXPECT_EQ(LogLines("flash read failed"), 1U) << Log();
  faults_.Mend();
  ExpectAll();
}

TEST_F(ReadFaultsTest, WritesThatTakeHalfAreWrittenWhole) {
  faults_.HalveWrites();
  for (int i = 0; i < 3; ++i) ChangeSome();
  EXPECT_GT(faults_.Broken(), 10U);
  EXPECT_EQ(client_->Stat("flash_batches_failed"), 0U) << Log();
  ExpectAll();
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm");
  ExpectAll();
}

// Whatever the n-th call is that fails: of a batch, of the reopening, of a drop.
TEST_F(ReadFaultsTest, OneCallThatFailsAnywhereCostsABatchAtMost) {
  constexpr uint32_t kAnyCall = kFaultOpen | kFaultRead | kFaultWrite | kFaultSync | kFaultNames;
  uint64_t broken = 0;
  for (int64_t passed = 0; passed < 40; ++passed) {
    faults_.BreakOnce(kAnyCall, EIO, passed);
    ChangeSome();
    broken += faults_.Broken();
    faults_.Mend();
    ASSERT_TRUE(AwaitOnline()) << Log();
    book_.Judge(*client_);
    ASSERT_FALSE(HasFailure()) << "the call behind " << passed << "\n" << Log();
  }
  EXPECT_GT(broken, 30U);
  ASSERT_TRUE(Await([this] {
    ChangeSome();
    return MissingUncounted() == 0;
  })) << Log();
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
  EXPECT_GT(book_.Judge(*client_).hits, kKeys / 5) << Log();
}

// A start whose n-th call fails is refused with one line, or serves; and what it leaves is good for the next.
TEST_F(ReadFaultsTest, AStartThatMeetsAFaultSaysSoOrServes) {
  constexpr uint32_t kAnyCall =
      kFaultOpen | kFaultRead | kFaultWrite | kFaultSync | kFaultNames | kFaultReserve;
  size_t refused = 0;
  size_t emptied = 0;
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  for (int64_t passed = 0; passed < 90; passed += 3) {
    faults_.BreakOnce(kAnyCall, EIO, passed);
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(FaultySpec());
    if (!daemon.ok()) {
      ++refused;
      EXPECT_NE(daemon.status().message().find("ended with status 1: terraced: "),
                std::string::npos)
          << daemon.status().message();
      continue;
    }
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
    emptied += client_->Stats()[kStatFlashStart].starts_with("emptied") ? 1 : 0;
    book_.Judge(*client_);
    ASSERT_FALSE(HasFailure()) << "the call behind " << passed << "\n" << Log();
    client_.reset();
    faults_.Mend();
    ASSERT_EQ(daemon_->Stop(SIGTERM), 0) << Log();
  }
  EXPECT_GT(refused, 5U);
  std::cout << "[ MEASURED ] " << refused << " starts refused, " << emptied << " emptied\n";
  faults_.Mend();
  ASSERT_NO_FATAL_FAILURE(StartUnderFaults());
  book_.Judge(*client_);
}

INSTANTIATE_TEST_SUITE_P(Every, DiskFaultsTest, ::testing::ValuesIn(kDiskFaults),
                         [](const auto& fault) { return std::string(fault.param.name); });

}  // namespace
}  // namespace terraced::support
