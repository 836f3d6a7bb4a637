// A disk that fails under a running daemon (I6): what is in RAM goes on being served and changed, no wrong or old value
// is ever answered, also not after a kill or a stop meanwhile, and the tier comes back when the disk does.
#include <errno.h>

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
  void BreakDisk() { faults_.Break(GetParam().calls, GetParam().error); }
};

TEST_P(DiskFaultsTest, RamServesOnAndTheTierComesBackByItself) {
  BreakDisk();
  const std::set<std::string> changed = ChangeSome();
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  EXPECT_GT(faults_.Broken(), 0U);
  book_.Judge(*client_);
  // Longer than to the next tries, which fail as well.
  const uint64_t broken = faults_.Broken();
  EXPECT_TRUE(Await([&] { return faults_.Broken() > broken; }));
  EXPECT_TRUE(client_->Stats()[kStatFlashState].starts_with("offline: ")) << Log();
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
  EXPECT_EQ(book_.Judge(*client_).hits, book_.Living()) << Log();
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

INSTANTIATE_TEST_SUITE_P(Every, DiskFaultsTest, ::testing::ValuesIn(kDiskFaults),
                         [](const auto& fault) { return std::string(fault.param.name); });

}  // namespace
}  // namespace terraced::support
