// Every byte of the small files of a flash directory, one after the other, is another one: each is told as damage, or
// changes nothing that counts. What is larger has its own tests, at random places.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "storage/flash/batch_store.h"
#include "storage/flash/flash_directory.h"
#include "storage/flash/hash_list.h"
#include "storage/flash/record.h"
#include "tests/support/process.h"

namespace terraced::storage {
namespace {

// Thousands of small files: on memory where there is some.
std::string Base() {
  return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "";
}

constexpr std::array<int, 4> kFlips = {0x01, 0x20, 0x80, 0xff};

class EveryByteTest : public testing::Test {
 protected:
  std::string Path(const std::string& name = "") const { return directory_.Sub("flash/" + name); }
  std::unique_ptr<FlashDirectory> Open() {
    Result<std::unique_ptr<FlashDirectory>> opened = FlashDirectory::Open(directory_.Sub("flash"));
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return opened.ok() ? std::move(opened).value() : nullptr;
  }
  // A clean stop of an empty tier.
  void StopCleanly() {
    const std::unique_ptr<FlashDirectory> directory = Open();
    ASSERT_TRUE(directory->BeginChanges().ok());
    BatchTable batches;
    FlashIndex index(batches, 16);
    ASSERT_TRUE(directory->SaveClean(directory->State(), batches, index).ok());
  }
  static void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  // `look`(place) with each byte of the file flipped in some ways; the directory is as before each time.
  void ForEveryByte(const std::string& name, const std::function<void(size_t)>& look) {
    const std::filesystem::path flash = directory_.Sub("flash");
    const std::filesystem::path whole = directory_.Sub("whole");
    std::filesystem::copy(flash, whole, std::filesystem::copy_options::recursive);
    const std::string good = support::ReadTextFile(Path(name));
    ASSERT_FALSE(good.empty());
    for (size_t at = 0; at < good.size(); ++at) {
      for (const int flip : kFlips) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ flip);
        Write(Path(name), bad);
        look(at);
        ASSERT_FALSE(HasFailure()) << name << " at " << at << " ^ " << flip;
        std::filesystem::remove_all(flash);
        std::filesystem::copy(whole, flash, std::filesystem::copy_options::recursive);
      }
    }
  }

  support::TempDirectory directory_{Base()};
};

TEST_F(EveryByteTest, OfStateMakesANewDirectoryThatIsNotClean) {
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  const uint64_t id = Open()->State().directory_id;
  ForEveryByte("STATE", [&](size_t) {
    const std::unique_ptr<FlashDirectory> directory = Open();
    std::string why;
    EXPECT_FALSE(directory->WasClean(&why));
    EXPECT_NE(directory->State().directory_id, id);
    EXPECT_EQ(directory->LastRun(), 0U);
  });
}

TEST_F(EveryByteTest, OfTheCleanMarkMakesItNone) {
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ForEveryByte("CLEAN", [&](size_t) {
    std::string why;
    EXPECT_FALSE(Open()->WasClean(&why));
  });
}

TEST_F(EveryByteTest, OfFormatIsRefusedAndNothingIsChanged) {
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  const std::string state = support::ReadTextFile(Path("STATE"));
  ForEveryByte("FORMAT", [&](size_t) {
    EXPECT_FALSE(FlashDirectory::Open(directory_.Sub("flash")).ok());
    EXPECT_EQ(support::ReadTextFile(Path("STATE")), state);
  });
}

// It may cost the tier, which is moved aside; nothing worse.
TEST_F(EveryByteTest, OfOpeningIsANumberOrAStartThatDied) {
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  Write(Path("OPENING"), "1 open\n");
  ForEveryByte("OPENING", [&](size_t) { EXPECT_TRUE(Open()->MarkOpening().ok()); });
}

TEST_F(EveryByteTest, OfCurrentIsAnErrorOrTheSameDatabase) {
  std::filesystem::create_directory(directory_.Sub("flash"));
  const BatchStoreOptions options = {.directory = directory_.Sub("flash")};
  std::string record;
  EncodeRecord(7, "k", {}, "value", &record);
  {
    Result<std::unique_ptr<BatchStore>> store = OpenBatchStore(options);
    ASSERT_TRUE(store.ok());
    const BatchRecord one = {.key = "k", .record = record, .hash = 1};
    ASSERT_TRUE(store.value()->Write(7, {&one, 1}, {}).ok());
    ASSERT_TRUE(store.value()->Close().ok());
  }
  ForEveryByte("db/CURRENT", [&](size_t) {
    Result<std::unique_ptr<BatchStore>> store = OpenBatchStore(options);
    if (!store.ok()) return;
    BatchRead read{.serial = 7, .key = "k", .status = {}, .record = {}};
    store.value()->ReadMany({&read, 1});
    EXPECT_TRUE(!read.status.ok() || read.record == record);
  });
}

TEST_F(EveryByteTest, OfAHashListIsCorruption) {
  std::filesystem::create_directory(directory_.Sub("flash"));
  Result<FileDescriptor> place = OpenDirectory(directory_.Sub("flash"));
  ASSERT_TRUE(place.ok());
  const std::array<uint64_t, 3> hashes = {5, 900, 1'000'000};
  ASSERT_TRUE(WriteHashList(place.value().Get(), 7, hashes).ok());
  const std::string name = HashListName(7);
  const std::string good = support::ReadTextFile(Path(name));
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ kFlips[at % kFlips.size()]);
    Write(Path(name), bad);
    const Status status = VisitHashList(place.value().Get(), 7, 0, UINT64_MAX,
                                        [](std::span<const uint64_t>) { return true; });
    ASSERT_EQ(status.code(), StatusCode::kCorruption) << at;
  }
}

// --- Restore ------------------------------------------------------------------------------------------------------

TEST_F(EveryByteTest, RestoreFillsWhatWasEmptiedAndNothingThatIsAnothers) {
  const std::unique_ptr<FlashDirectory> directory = Open();
  ASSERT_TRUE(directory->BeginChanges().ok());
  EXPECT_TRUE(directory->Restore().ok());
  const std::string state = support::ReadTextFile(Path("STATE"));
  const auto is_whole = [&] {
    return support::ReadTextFile(Path("STATE")) == state &&
           support::ReadTextFile(Path("FORMAT")).starts_with("terraced flash tier") &&
           std::filesystem::exists(Path("LOCK"));
  };
  for (const char* const name : {"STATE", "FORMAT", "LOCK"}) {
    std::filesystem::remove(Path(name));
    // A FORMAT that is gone leaves a directory that might be somebody else's.
    EXPECT_EQ(directory->Restore().ok(), std::string(name) != "FORMAT") << name;
    if (std::string(name) == "FORMAT") Write(Path(name), "terraced flash tier, format 1\n");
    EXPECT_TRUE(is_whole()) << name;
  }
  std::filesystem::remove_all(directory_.Sub("flash"));
  EXPECT_EQ(directory->Restore().code(), StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(directory_.Sub("flash")));
  std::filesystem::create_directory(directory_.Sub("flash"));
  EXPECT_TRUE(directory->Restore().ok());
  EXPECT_TRUE(is_whole());
  EXPECT_FALSE(FlashDirectory::Open(directory_.Sub("flash")).ok()) << "it is locked as before";

  std::filesystem::rename(directory_.Sub("flash"), directory_.Sub("away"));
  std::filesystem::create_directory(directory_.Sub("flash"));
  Write(Path("precious"), "somebody's");
  EXPECT_FALSE(directory->Restore().ok());
  EXPECT_FALSE(std::filesystem::exists(Path("STATE")));
  std::filesystem::remove_all(directory_.Sub("flash"));
  ASSERT_NE(Open(), nullptr);  // another one of ours
  const std::string other = support::ReadTextFile(Path("STATE"));
  EXPECT_EQ(directory->Restore().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(support::ReadTextFile(Path("STATE")), other);
}

}  // namespace
}  // namespace terraced::storage
