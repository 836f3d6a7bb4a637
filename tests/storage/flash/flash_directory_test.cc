#include "storage/flash/flash_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "storage/base/crash_mark.h"
#include "tests/support/process.h"

namespace terraced::storage {
namespace {

using testing::HasSubstr;

class FlashDirectoryTest : public testing::Test {
 protected:
  std::string Path() const { return parent_.Sub("flash"); }
  std::string Sub(const std::string& name) const { return Path() + "/" + name; }
  // Fails the test where it cannot be opened.
  std::unique_ptr<FlashDirectory> Open() {
    Result<std::unique_ptr<FlashDirectory>> opened = FlashDirectory::Open(Path());
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return opened.ok() ? std::move(opened).value() : nullptr;
  }
  Status OpenError() { return FlashDirectory::Open(Path()).status(); }
  void WriteFile(const std::string& name, const std::string& text) {
    std::ofstream(Sub(name), std::ios::binary) << text;
  }
  std::string ReadFile(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(Sub(name), std::ios::binary).rdbuf();
    return text.str();
  }
  bool Exists(const std::string& name) const { return std::filesystem::exists(Sub(name)); }
  unsigned ModeOf(const std::string& path) const {
    struct stat info = {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 0777U;
  }
  std::string WhyNotClean(const FlashDirectory& directory) {
    std::string why_not;
    return directory.WasClean(&why_not) ? "clean" : why_not;
  }
  // One run that stops cleanly with two batches and one slot.
  uint64_t CleanRun() {
    std::unique_ptr<FlashDirectory> directory = Open();
    EXPECT_TRUE(directory->BeginChanges().ok());
    BatchTable batches;
    FlashIndex index(batches, 16);
    const std::optional<BatchNumber> first =
        batches.Open({.serial = 10, .epoch = 3, .file_bytes = 4096, .created_s = 77});
    const std::optional<BatchNumber> second = batches.Open({.serial = 11, .epoch = 3});
    EXPECT_TRUE(first.has_value() && second.has_value());
    EXPECT_EQ(index.Add(PartitionOf(kHash), kHash, *second, true), FlashIndex::AddResult::kAdded);
    FlashState state = directory->State();
    state.epoch = 3;
    state.cas_next = 12345;
    const Status status = directory->SaveClean(state, batches, index);
    EXPECT_TRUE(status.ok()) << status.message();
    return state.run_id;
  }

  static constexpr uint64_t kHash = 0x1234567890abcdefU;
  support::TempDirectory parent_;
};

TEST_F(FlashDirectoryTest, MakesWhatIsMissingForItsOwnerOnly) {
  const std::unique_ptr<FlashDirectory> directory = Open();
  EXPECT_EQ(directory->Path(), Path());
  EXPECT_EQ(ModeOf(Path()), 0700U);
  for (const char* const name : {"LOCK", "FORMAT", "STATE"})
    EXPECT_EQ(ModeOf(Sub(name)), 0600U) << name;
  EXPECT_NE(directory->State().directory_id, 0U);
  EXPECT_NE(directory->State().run_id, 0U);
  EXPECT_GT(directory->State().start_count, 0U);
  EXPECT_EQ(directory->State().epoch, 1U);
  EXPECT_GT(directory->FreeBytes().value(), 0U);
}

TEST_F(FlashDirectoryTest, EveryStartRaisesTheCountAndRenewsTheRun) {
  FlashState first = Open()->State();
  for (uint64_t start = 1; start <= 5; ++start) {
    const FlashState next = Open()->State();
    EXPECT_EQ(next.start_count, first.start_count + start);
    EXPECT_NE(next.run_id, first.run_id);
    EXPECT_EQ(next.directory_id, first.directory_id);
    EXPECT_EQ(next.hash_key.words, first.hash_key.words);
  }
}

TEST_F(FlashDirectoryTest, KeepsEveryFieldOfTheState) {
  FlashState state;
  {
    const std::unique_ptr<FlashDirectory> directory = Open();
    state = directory->State();
    state.epoch = (1ULL << 50) + 1;
    state.flush_due_s = 4'000'000'000U;
    state.cas_next = UINT64_MAX - 3;
    state.stopped_s = 3'999'999'999U;
    ASSERT_TRUE(directory->WriteState(state).ok());
  }
  const FlashState read = Open()->State();
  EXPECT_EQ(read.epoch, state.epoch);
  EXPECT_EQ(read.flush_due_s, state.flush_due_s);
  EXPECT_EQ(read.cas_next, state.cas_next);
  EXPECT_EQ(read.stopped_s, state.stopped_s);
  EXPECT_EQ(read.hash_key.words, state.hash_key.words);
}

TEST_F(FlashDirectoryTest, ASecondProcessIsRefusedByThePidOfTheFirst) {
  std::unique_ptr<FlashDirectory> directory = Open();
  std::array<int, 2> pipe = {};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Status status = FlashDirectory::Open(Path()).status();
    const std::string said =
        std::to_string(static_cast<int>(status.code())) + std::string(status.message());
    const ssize_t written = ::write(pipe[1], said.data(), said.size());
    ::_exit(written < 0 ? 1 : 0);
  }
  ::close(pipe[1]);
  std::array<char, 1024> said = {};
  const ssize_t got = ::read(pipe[0], said.data(), said.size() - 1);
  ::close(pipe[0]);
  int exit_status = 0;
  EXPECT_EQ(::waitpid(child, &exit_status, 0), child);
  ASSERT_GT(got, 0);
  EXPECT_EQ(std::string(said.data()), std::to_string(static_cast<int>(StatusCode::kBusy)) +
                                          "flash_path '" + Path() + "' is in use by process " +
                                          std::to_string(::getpid()));
  const uint64_t count = directory->State().start_count;
  directory.reset();
  EXPECT_EQ(Open()->State().start_count, count + 1) << "the refused start changed nothing";
}

TEST_F(FlashDirectoryTest, NeverTouchesADirectoryOfSomebodyElse) {
  std::filesystem::create_directory(Path());
  std::filesystem::permissions(Path(), std::filesystem::perms(0755));
  WriteFile("thesis.tex", "years of work");
  const Status status = OpenError();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("not empty"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("thesis.tex"));
  EXPECT_FALSE(Exists("LOCK"));
  EXPECT_FALSE(Exists("FORMAT"));
  EXPECT_EQ(ModeOf(Path()), 0755U);
  EXPECT_EQ(ReadFile("thesis.tex"), "years of work");
}

TEST_F(FlashDirectoryTest, TakesAnEmptyDirectoryAndAFreshFilesystem) {
  std::filesystem::create_directory(Path());
  std::filesystem::permissions(Path(), std::filesystem::perms(0777));
  std::filesystem::create_directory(Sub("lost+found"));
  WriteFile("LOCK", "");  // of a start that was killed at once
  ASSERT_NE(Open(), nullptr);
  EXPECT_EQ(ModeOf(Path()), 0700U);
}

TEST_F(FlashDirectoryTest, AnUnknownFormatIsRefusedAndNothingEmptied) {
  CleanRun();
  WriteFile("FORMAT", "terraced flash tier, format 2\n");
  const std::string state = ReadFile("STATE");
  const Status status = OpenError();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("format 2, this terraced knows format 1"));
  EXPECT_EQ(ReadFile("STATE"), state);
  EXPECT_TRUE(Exists("INDEX"));
  EXPECT_TRUE(Exists("CLEAN"));
  for (const char* const text : {"", "something else", "terraced flash tier, format 1",
                                 "terraced flash tier, format 11\n"}) {
    WriteFile("FORMAT", text);
    EXPECT_EQ(OpenError().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST_F(FlashDirectoryTest, SaysWhatIsWrongWithThePath) {
  EXPECT_EQ(FlashDirectory::Open("").status().code(), StatusCode::kInvalidArgument);
  const Status no_parent = FlashDirectory::Open(Path() + "/a/b").status();
  EXPECT_THAT(std::string(no_parent.message()), HasSubstr("the directory above it does not exist"));
  std::ofstream(Path()) << "a file";
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr("is not a directory"));
}

TEST_F(FlashDirectoryTest, ADirectoryOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  std::filesystem::create_directory(Path());
  ASSERT_EQ(::chown(Path().c_str(), 12345, 12345), 0);
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr("belongs to user 12345"));
  EXPECT_FALSE(Exists("LOCK"));
}

TEST_F(FlashDirectoryTest, AnUnwritableDirectoryIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  std::filesystem::create_directory(Path());
  std::filesystem::permissions(Path(), std::filesystem::perms(0500));
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr("Permission denied"));
  std::filesystem::permissions(Path(), std::filesystem::perms(0700));
}

TEST_F(FlashDirectoryTest, FollowsNoLinkInPlaceOfAFile) {
  Open().reset();
  const std::string victim = parent_.Sub("victim");
  std::ofstream(victim) << "precious";
  for (const char* const name : {"LOCK", "STATE", "FORMAT"}) {
    const std::string saved = ReadFile(name);
    std::filesystem::remove(Sub(name));
    std::filesystem::create_symlink(victim, Sub(name));
    EXPECT_FALSE(OpenError().ok()) << name;
    std::filesystem::remove(Sub(name));
    WriteFile(name, saved);
  }
  std::ostringstream text;
  text << std::ifstream(victim).rdbuf();
  EXPECT_EQ(text.str(), "precious");
}

TEST_F(FlashDirectoryTest, ADamagedStateStartsOverFromTheClockAndIsNotClean) {
  CleanRun();
  const FlashState before = Open()->State();
  const std::string good = ReadFile("STATE");
  for (size_t at = 0; at < good.size(); at += 5) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
    WriteFile("STATE", damaged);
    const std::unique_ptr<FlashDirectory> directory = Open();
    EXPECT_NE(directory->State().directory_id, before.directory_id) << at;
    EXPECT_NE(directory->State().hash_key.words, before.hash_key.words);
    EXPECT_GE(directory->State().start_count,
              StartCountFromClock(static_cast<uint64_t>(std::time(nullptr))) - 1);
    EXPECT_EQ(WhyNotClean(*directory), "STATE is damaged");
  }
  for (const std::string& damaged :
       {std::string(), good.substr(0, 50), good + "x", std::string(10'000, 'x')}) {
    WriteFile("STATE", damaged);
    EXPECT_EQ(WhyNotClean(*Open()), "STATE is damaged");
  }
}

TEST_F(FlashDirectoryTest, ARunThatNeedsAnotherBlockOfNumbersRaisesTheStartCount) {
  uint64_t count = 0;
  {
    const std::unique_ptr<FlashDirectory> directory = Open();
    FlashState state = directory->State();
    count = state.start_count;
    state.start_count += 2;
    ASSERT_TRUE(directory->WriteState(state).ok());
    state.start_count = kStartCountMax + 1;
    EXPECT_EQ(directory->WriteState(state).code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Open()->State().start_count, count + 3);
}

// The largest number of all would be 0 after this start, and every serial of the past would come again.
TEST_F(FlashDirectoryTest, AStartCountThatIsUsedUpIsRefusedWhateverItsSize) {
  constexpr size_t kCrcAt = 12;
  constexpr size_t kStartCountAt = 24;
  Open().reset();
  for (const uint64_t count : {kStartCountMax, kStartCountMax + 1, UINT64_MAX}) {
    std::string state = ReadFile("STATE");
    state.replace(kStartCountAt, sizeof(count), reinterpret_cast<const char*>(&count),
                  sizeof(count));
    state.replace(kCrcAt, sizeof(uint32_t), sizeof(uint32_t), '\0');
    const uint32_t crc = Crc32c(0, state);
    state.replace(kCrcAt, sizeof(crc), reinterpret_cast<const char*>(&crc), sizeof(crc));
    WriteFile("STATE", state);
    EXPECT_THAT(std::string(OpenError().message()), HasSubstr("start count is used up")) << count;
    EXPECT_EQ(ReadFile("STATE"), state);
  }
}

TEST_F(FlashDirectoryTest, FromTheMiddleOfABlockOnTheNextOneIsCovered) {
  constexpr uint64_t kBlock = uint64_t{1} << kCasCounterBits;
  EXPECT_EQ(StartCountCovering(7 * kBlock + 1, kCasCounterBits), 7U);
  EXPECT_EQ(StartCountCovering(7 * kBlock + kBlock / 2 - 1, kCasCounterBits), 7U);
  EXPECT_EQ(StartCountCovering(7 * kBlock + kBlock / 2, kCasCounterBits), 8U);
  EXPECT_EQ(StartCountCovering(8 * kBlock, kCasCounterBits), 8U);
  EXPECT_EQ(StartCountCovering((9U << kSerialCounterBits) - 1, kSerialCounterBits), 9U);
}

TEST_F(FlashDirectoryTest, TheStartCountFromTheClockRisesAndStaysInItsBounds) {
  EXPECT_EQ(StartCountFromClock(0), 1U);
  EXPECT_EQ(StartCountFromClock(kStartCountEpochS), 1U);
  EXPECT_EQ(StartCountFromClock(kStartCountEpochS + 600), 10U);
  EXPECT_EQ(StartCountFromClock(UINT64_MAX), kStartCountFromClockMax);
  EXPECT_LT(kStartCountFromClockMax, kStartCountMax);
  EXPECT_EQ((kStartCountMax << 40) >> 40, kStartCountMax) << "a CAS block fits its word";
}

TEST_F(FlashDirectoryTest, ANewDirectoryIsNotClean) {
  EXPECT_EQ(WhyNotClean(*Open()), "the directory is new");
}

TEST_F(FlashDirectoryTest, ACleanStopIsFoundCleanAndLoads) {
  CleanRun();
  const std::unique_ptr<FlashDirectory> directory = Open();
  ASSERT_EQ(WhyNotClean(*directory), "clean");
  EXPECT_EQ(directory->State().epoch, 3U);
  EXPECT_EQ(directory->State().cas_next, 12345U);
  BatchTable batches;
  FlashIndex index(batches, 16);
  const Status status = directory->LoadIndex(&batches, &index);
  ASSERT_TRUE(status.ok()) << status.message();
  const std::vector<BatchNumber> living = batches.Living();
  ASSERT_EQ(living.size(), 2U);
  EXPECT_EQ(batches.Info(living[0]).serial, 10U);
  EXPECT_EQ(batches.Info(living[0]).file_bytes, 4096U);
  EXPECT_EQ(batches.Info(living[0]).created_s, 77U);
  EXPECT_EQ(batches.Live(living[0]), 0);
  EXPECT_EQ(batches.Live(living[1]), 1);
  const SlotList found = index.Find(PartitionOf(kHash), kHash, 3);
  ASSERT_EQ(found.count, 1U);
  EXPECT_EQ(found.slots[0].serial, 11U);
  EXPECT_TRUE(found.slots[0].hit);
}

TEST_F(FlashDirectoryTest, AStartThatChangedNothingLeavesTheMarkGood) {
  CleanRun();
  for (int start = 0; start < 3; ++start)
    EXPECT_EQ(WhyNotClean(*Open()), "clean");  // the port was taken, say
}

TEST_F(FlashDirectoryTest, ARunThatRemovedTheMarkAndWasKilledIsNotClean) {
  CleanRun();
  const std::string mark = ReadFile("CLEAN");
  {
    const std::unique_ptr<FlashDirectory> directory = Open();
    ASSERT_TRUE(directory->BeginChanges().ok());
    EXPECT_FALSE(Exists("CLEAN"));
    EXPECT_FALSE(Exists("INDEX"));  // it would only take room
    EXPECT_EQ(WhyNotClean(*directory), "the clean mark was removed");
  }
  EXPECT_EQ(WhyNotClean(*Open()), "there is no clean mark");
  WriteFile("CLEAN", mark);  // put back from a backup: it means nothing any more
  EXPECT_EQ(WhyNotClean(*Open()), "the clean mark is of another run");
}

TEST_F(FlashDirectoryTest, TheRunThatChangedThingsLastIsRemembered) {
  uint64_t run = 0;
  {
    const std::unique_ptr<FlashDirectory> directory = Open();
    EXPECT_EQ(directory->LastRun(), 0U);
    ASSERT_TRUE(directory->BeginChanges().ok());
    run = directory->State().run_id;
    EXPECT_EQ(directory->LastRun(), run);
  }
  EXPECT_EQ(Open()->LastRun(), run);  // and is killed before it changes anything
  {
    const std::unique_ptr<FlashDirectory> directory = Open();
    EXPECT_EQ(directory->LastRun(), run);
    ASSERT_TRUE(directory->BeginChanges().ok());
    run = directory->State().run_id;
  }
  EXPECT_EQ(Open()->LastRun(), run);
  CleanRun();
  {
    const std::unique_ptr<FlashDirectory> directory = Open();
    EXPECT_NE(directory->LastRun(), run);
    EXPECT_EQ(WhyNotClean(*directory), "clean");
    run = directory->LastRun();
  }
  EXPECT_EQ(Open()->LastRun(), run);
}

TEST_F(FlashDirectoryTest, AStateOfTheFirstVersionIsReadAsOfNoRun) {
  Open().reset();
  // Version 1 ended before the run of the shared index, and its checksum covered that much.
  std::string bytes = ReadFile("STATE").substr(0, 112);
  bytes[8] = 1;
  std::memset(&bytes[12], 0, 4);
  const uint32_t crc = Crc32c(0, bytes);
  std::memcpy(&bytes[12], &crc, sizeof(crc));
  const uint64_t count = Open()->State().start_count;
  WriteFile("STATE", bytes);
  const std::unique_ptr<FlashDirectory> directory = Open();
  EXPECT_EQ(directory->State().start_count, count);
  EXPECT_EQ(directory->LastRun(), 0U);
}

TEST_F(FlashDirectoryTest, AMarkOfAnotherRunOrNoiseIsNotClean) {
  CleanRun();
  WriteFile("CLEAN", "clean stop of run 00000000000000ab\n");
  EXPECT_EQ(WhyNotClean(*Open()), "the clean mark is of another run");
  for (const char* const text :
       {"", "clean", "clean stop of run \n", "clean stop of run 0000000000000000\n"}) {
    WriteFile("CLEAN", text);
    EXPECT_EQ(WhyNotClean(*Open()), "the clean mark is damaged") << text;
  }
}

TEST_F(FlashDirectoryTest, AnIndexOfAnotherRunIsNotClean) {
  CleanRun();
  const std::string old_index = ReadFile("INDEX");
  CleanRun();
  WriteFile("INDEX", old_index);
  EXPECT_EQ(WhyNotClean(*Open()), "INDEX is of another run or directory");
  std::filesystem::remove(Sub("INDEX"));
  EXPECT_THAT(WhyNotClean(*Open()), HasSubstr("INDEX"));
}

TEST_F(FlashDirectoryTest, EmptyingRemovesTheTierAndKeepsTheCounts) {
  CleanRun();
  for (const char* const name : {"db", "hashes", "staging"}) {
    std::filesystem::create_directory(Sub(name));
    WriteFile(std::string(name) + "/file", "data");
  }
  FlashState state;
  {
    const std::unique_ptr<FlashDirectory> directory = Open();
    state = directory->State();
    ASSERT_TRUE(directory->EmptyTier().ok());
    for (const char* const name : {"db", "hashes", "staging", "INDEX", "CLEAN"})
      EXPECT_FALSE(Exists(name)) << name;
    EXPECT_EQ(WhyNotClean(*directory), "the tier was emptied");
    EXPECT_TRUE(directory->EmptyTier().ok()) << "nothing to do is no error";
  }
  EXPECT_EQ(Open()->State().start_count, state.start_count + 1);
  EXPECT_EQ(Open()->State().hash_key.words, state.hash_key.words);
}

enum class Death { kOpening, kCrash, kKill };

// The object is never destroyed, the lock goes all the same.
void DieOf(Death death, const std::string& path, bool* aside) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Result<std::unique_ptr<FlashDirectory>> opened = FlashDirectory::Open(path);
    if (!opened.ok()) ::_exit(2);
    const Result<bool> marked = opened.value()->MarkOpening();
    if (death != Death::kOpening && !opened.value()->MarkOpened().ok()) ::_exit(4);
    if (death == Death::kCrash) CrashMark::Leave();
    ::_exit(!marked.ok() ? 3 : (marked.value() ? 1 : 0));
  }
  int exit_status = 0;
  ASSERT_EQ(::waitpid(child, &exit_status, 0), child);
  ASSERT_TRUE(WIFEXITED(exit_status));
  ASSERT_LE(WEXITSTATUS(exit_status), 1);
  *aside = WEXITSTATUS(exit_status) == 1;
}

TEST_F(FlashDirectoryTest, TwoCrashesInARowMoveTheTierAside) {
  Open().reset();
  bool aside = true;
  for (int round = 0; round < 2; ++round) {  // the second time there is an aside/ already
    std::filesystem::create_directory(Sub("db"));
    WriteFile("db/poison", std::to_string(round));
    DieOf(Death::kOpening, Path(), &aside);
    EXPECT_EQ(aside, false);
    if (round == 0) DieOf(Death::kCrash, Path(), &aside);
    EXPECT_EQ(aside, false);
    DieOf(Death::kOpening, Path(), &aside);
    EXPECT_EQ(aside, true);
    EXPECT_FALSE(Exists("db"));
    EXPECT_EQ(ReadFile("aside/db/poison"), std::to_string(round));
  }
}

TEST_F(FlashDirectoryTest, AKillAfterTheTierWasOpenedIsNoCrash) {
  bool aside = true;
  for (int start = 0; start < 5; ++start) {
    DieOf(start == 0 ? Death::kOpening : Death::kKill, Path(), &aside);
    EXPECT_FALSE(aside);
  }
  // The count begins again after it.
  DieOf(Death::kCrash, Path(), &aside);
  DieOf(Death::kCrash, Path(), &aside);
  EXPECT_FALSE(aside);
  DieOf(Death::kCrash, Path(), &aside);
  EXPECT_TRUE(aside);
}

TEST_F(FlashDirectoryTest, AnOrderlyEndOrAClearedMarkIsNoCrash) {
  bool aside = true;
  for (int start = 0; start < 4; ++start) {
    DieOf(Death::kOpening, Path(), &aside);
    EXPECT_FALSE(aside);
    const std::unique_ptr<FlashDirectory> directory = Open();
    ASSERT_FALSE(directory->MarkOpening().value());
    EXPECT_TRUE(Exists("OPENING"));
    if (start % 2 == 0) {
      directory->ClearOpening();
      EXPECT_FALSE(Exists("OPENING"));
    }
  }
  EXPECT_FALSE(Exists("OPENING"));
}

}  // namespace
}  // namespace terraced::storage
