// Places that fill up or go away under a running daemon: the disk of the flash tier, the tmpfs of its index and of the
// memory file, the directory itself. Mounted for real where this user may; library calls that fail stand in elsewhere
// (disk_faults_test.cc).
#include <errno.h>

#include <filesystem>

#include "tests/faults/fault_fixture.h"

namespace terraced::support {
namespace {

class PlaceFaultsTest : public FaultFixture {
 protected:
  // `where` below the test's directory becomes a small disk.
  bool Mount(const std::string& where, const std::string& size) {
    disk_ = SmallTmpfs::Mount(directory_.Sub(where), size);
    return disk_ != nullptr;
  }
  // Everything on the small disk, or only what the arguments name.
  void StartOn(const std::string& flash_path, const std::string& index_directory,
               const std::vector<std::string>& more = {}) {
    DaemonSpec spec = {
        .binary = TerracedBinary(),
        .arguments = {"-m", "64", "-t", "2", "-o",
                      "test_commands,flash_path=" + flash_path +
                          ",flash_size=40m,flash_batch=1m,flash_index_dir=" + index_directory}};
    spec.arguments.insert(spec.arguments.begin(), more.begin(), more.end());
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
  }
  void TearDown() override {
    client_.reset();
    daemon_.reset();
    disk_.reset();
  }

  std::unique_ptr<SmallTmpfs> disk_;
};

TEST_F(PlaceFaultsTest, AFullDiskCostsDemotionsUntilThereIsRoom) {
  if (!Mount("disk", "80m")) GTEST_SKIP() << "this user may not mount a tmpfs";
  const std::string flash = directory_.Sub("disk") + "/flash";
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp());
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  EXPECT_GE(client_->Stat("flash_batches_failed"), 1U);
  EXPECT_EQ(client_->Stat("flash_turned_off"), 1U);
  EXPECT_EQ(LogLines("No space left on device"), LogLines() - 1) << Log();
  EXPECT_LE(LogLines(), 5U) << Log();
  ExpectAll();
  EXPECT_NE(Ask("touch key500 0\r\n"), "SERVER_ERROR flash read failed\r\n");
  EXPECT_EQ(client_->Stat(kStatReadErrors), 0U);
  ASSERT_NO_FATAL_FAILURE(disk_->Release());
  ASSERT_TRUE(AwaitOnline()) << Log();
  // Full again before a batch was written: an outage of its own.
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp());
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  EXPECT_EQ(client_->Stat("flash_turned_off"), 2U);
  EXPECT_EQ(LogLines("flash tier turned off"), 2U) << Log();
  ASSERT_NO_FATAL_FAILURE(disk_->Release());
  ASSERT_TRUE(AwaitOnline()) << Log();
  EXPECT_EQ(LogLines("flash tier is back"), 2U) << Log();
  const uint64_t written = client_->Stat("flash_batches_written");
  ChangeSome();
  EXPECT_GT(client_->Stat("flash_batches_written"), written) << Log();
  ExpectAll();
  // The room goes again, and then the daemon.
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp());
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(disk_->Release());
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm after an unclean stop");
  EXPECT_GT(book_.Judge(*client_).hits, kKeys / 5) << Log();
}

// Batches find no room, the index of those that are there does.
TEST_F(PlaceFaultsTest, AStopOnADiskThatIsFullForBatchesKeepsWhatIsOnFlash) {
  if (!Mount("disk", "80m")) GTEST_SKIP() << "this user may not mount a tmpfs";
  const std::string flash = directory_.Sub("disk") + "/flash";
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, "none"));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp(90U << 10));
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  client_.reset();
  EXPECT_EQ(daemon_->Stop(SIGTERM), 0) << Log();
  EXPECT_EQ(LogLines("items in RAM did not reach flash"), 1U) << Log();
  ASSERT_NO_FATAL_FAILURE(disk_->Release());
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, "none"));
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm");
  EXPECT_GT(book_.Judge(*client_).hits, kKeys / 5) << Log();
}

TEST_F(PlaceFaultsTest, AStartOnAFullDiskIsRefusedWithOneLineAndHarmsNothing) {
  if (!Mount("disk", "80m")) GTEST_SKIP() << "this user may not mount a tmpfs";
  const std::string flash = directory_.Sub("disk") + "/flash";
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp());
  const FailedStart failed = StartRefused(
      {.binary = TerracedBinary(),
       .arguments = {"-m", "64", "-o",
                     "flash_path=" + flash +
                         ",flash_size=40m,flash_batch=1m,flash_index_dir=" + directory_.Path()}});
  EXPECT_EQ(failed.exit_status, 1);
  EXPECT_EQ(std::count(failed.stderr_text.begin(), failed.stderr_text.end(), '\n'), 1)
      << failed.stderr_text;
  ASSERT_NO_FATAL_FAILURE(disk_->Release());
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm");
  ExpectAll();
}

// With no room to begin with, a kill will leave a cold tier, and the log says so; nothing else is worse.
TEST_F(PlaceFaultsTest, AnIndexWithoutRoomAtTheStartIsInPrivateMemory) {
  if (!Mount("shm", "1m")) GTEST_SKIP() << "this user may not mount a tmpfs";
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp());
  ASSERT_NO_FATAL_FAILURE(StartOn(directory_.Sub("flash"), directory_.Sub("shm")));
  EXPECT_EQ(LogLines("after a crash flash will start empty"), 1U) << Log();
  EXPECT_EQ(LogLines(), 2U) << Log();
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ChangeSome();
  ExpectAll();
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(disk_->Release());
  ASSERT_NO_FATAL_FAILURE(StartOn(directory_.Sub("flash"), directory_.Sub("shm")));
  EXPECT_TRUE(client_->Stats()[kStatFlashStart].starts_with("emptied: ")) << Log();
  EXPECT_EQ(book_.Judge(*client_).hits, 0U);
}

TEST_F(PlaceFaultsTest, AnIndexThatCannotGrowGoesOnInPrivateMemory) {
  if (!Mount("shm", "4m")) GTEST_SKIP() << "this user may not mount a tmpfs";
  ASSERT_NO_FATAL_FAILURE(StartOn(directory_.Sub("flash"), directory_.Sub("shm")));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp());
  for (int i = 0; i < 30'000; ++i) {
    ASSERT_EQ(client_->Set("more" + std::to_string(i), "small"), "STORED\r\n");
    if (i % 5'000 == 0) {
      ASSERT_NO_FATAL_FAILURE(DemoteAll());
    }
  }
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_GT(client_->Stat("flash_index_growths"), 0U);
  EXPECT_EQ(LogLines("shared index"), 1U) << Log();
  EXPECT_LE(LogLines(), 2U) << Log();
  ChangeSome();
  ExpectAll();
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(StartOn(directory_.Sub("flash"), directory_.Sub("shm")));
  EXPECT_TRUE(client_->Stats()[kStatFlashStart].starts_with("emptied: ")) << Log();
  EXPECT_EQ(book_.Judge(*client_).hits, 0U);
}

TEST_F(PlaceFaultsTest, AMemoryFileWithoutRoomAtTheStartIsPrivateMemory) {
  if (!Mount("shm", "1m")) GTEST_SKIP() << "this user may not mount a tmpfs";
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp());
  const std::vector<std::string> memory = {"-e", directory_.Sub("shm") + "/memory"};
  ASSERT_NO_FATAL_FAILURE(StartOn(directory_.Sub("flash"), directory_.Path(), memory));
  EXPECT_EQ(LogLines("items are in private memory, a restart will find none"), 1U) << Log();
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  ChangeSome();
  ExpectAll();
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(StartOn(directory_.Sub("flash"), directory_.Path(), memory));
  book_.Judge(*client_);
}

TEST_F(PlaceFaultsTest, AMemoryFileThatCannotGrowStaysAsItIsUntilThereIsRoom) {
  if (!Mount("shm", "24m")) GTEST_SKIP() << "this user may not mount a tmpfs";
  DaemonSpec spec = {.binary = TerracedBinary(),
                     .arguments = {"-m", "64", "-t", "2", "-e", directory_.Sub("shm") + "/memory"}};
  const auto start = [&] {
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
  };
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_NO_FATAL_FAILURE(disk_->FillUp(6U << 20));
  const auto fill = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      const std::string key = "k" + std::to_string(i);
      ASSERT_EQ(client_->Set(key, ValueOf(key, 2'000)), "STORED\r\n") << Log();
    }
  };
  ASSERT_NO_FATAL_FAILURE(fill(0, 12'000));
  EXPECT_GT(client_->Stat(kStatEvictions), 0U);
  EXPECT_EQ(LogLines("item memory stays as small as it is"), 1U) << Log();
  const uint64_t items = client_->Stat(kStatCurrItems);
  ASSERT_NO_FATAL_FAILURE(disk_->Release());
  ASSERT_NO_FATAL_FAILURE(fill(12'000, 24'000));
  EXPECT_GT(client_->Stat(kStatCurrItems), items * 3 / 2) << Log();
  EXPECT_EQ(LogLines("item memory"), 1U) << Log();
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(start());
  size_t hits = 0;
  for (int i = 0; i < 24'000; ++i) {
    const std::string key = "k" + std::to_string(i);
    const std::string value = client_->Get(key);
    ASSERT_TRUE(value == "<miss>" || value == ValueOf(key, 2'000)) << key;
    hits += value != "<miss>" ? 1 : 0;
  }
  EXPECT_GT(hits, items) << Log();
}

// --- The directory itself -----------------------------------------------------------------------------------------

TEST_F(PlaceFaultsTest, ADirectoryThatIsMovedAwayAndBackIsAFaultLikeAnother) {
  const std::string flash = directory_.Sub("flash");
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  std::filesystem::rename(flash, directory_.Sub("elsewhere"));
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  ExpectAll();  // the files are open
  EXPECT_EQ(LogLines("flash tier turned off"), 1U) << Log();
  std::filesystem::rename(directory_.Sub("elsewhere"), flash);
  ASSERT_TRUE(AwaitOnline()) << Log();
  ChangeSome();
  ExpectAll();
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm");
  ExpectAll();
}

// The daemon does not make it: it may be the place where a disk was mounted.
TEST_F(PlaceFaultsTest, ADirectoryThatIsRemovedIsUsedAgainOnceItIsThere) {
  const std::string flash = directory_.Sub("flash");
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  std::filesystem::remove_all(flash);
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  EXPECT_EQ(LogLines("is gone"), 1U) << Log();
  EXPECT_LE(LogLines(), 6U) << Log();
  EXPECT_FALSE(std::filesystem::exists(flash));
  ExpectAll();  // until they are closed
  ASSERT_TRUE(std::filesystem::create_directory(flash));
  ASSERT_TRUE(AwaitOnline()) << Log();
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  EXPECT_EQ(LogLines("flash tier is back"), 1U) << Log();
  ExpectAll();
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm");
  ExpectAll();
}

TEST_F(PlaceFaultsTest, ADirectoryThatIsEmptiedIsFilledAgain) {
  const std::string flash = directory_.Sub("flash");
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  for (const auto& entry : std::filesystem::directory_iterator(flash)) {
    std::filesystem::remove_all(entry.path());
  }
  for (int i = 0; i < 4; ++i) ChangeSome();
  book_.Judge(*client_);
  EXPECT_GE(client_->Stat("flash_batches_failed"), 1U);
  ASSERT_TRUE(AwaitOnline()) << Log();
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  EXPECT_LE(LogLines(), 8U) << Log();
  ExpectAll();
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  EXPECT_EQ(client_->Stats()[kStatFlashStart], "warm after an unclean stop");
  ExpectAll();
}

// Another cache's directory in its place: its files must not be taken for ours, nor ours be put among them.
TEST_F(PlaceFaultsTest, AnotherDirectoryInItsPlaceIsLeftAlone) {
  const std::string flash = directory_.Sub("flash");
  const std::string other = directory_.Sub("other");
  ASSERT_NO_FATAL_FAILURE(StartOn(other, directory_.Path()));
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(StartOn(flash, directory_.Path()));
  ASSERT_NO_FATAL_FAILURE(FillFlash());
  const std::string state = ReadTextFile(other + "/STATE");
  const auto files = [](const std::string& path) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      names.insert(entry.path().lexically_relative(path).string());
    }
    return names;
  };
  const std::set<std::string> files_before = files(other);
  std::filesystem::rename(flash, directory_.Sub("away"));
  std::filesystem::rename(other, flash);
  ASSERT_TRUE(WorkUntilOffline()) << Log();
  EXPECT_EQ(LogLines("is another directory than at the start"), 1U) << Log();
  EXPECT_EQ(ReadTextFile(flash + "/STATE"), state);
  for (int i = 0; i < 4; ++i) ChangeSome();
  ExpectAll();
  EXPECT_EQ(client_->Stat("flash_online"), 0U);
  EXPECT_EQ(ReadTextFile(flash + "/STATE"), state);
  EXPECT_EQ(files(flash), files_before);
}

}  // namespace
}  // namespace terraced::support
