#include "storage/base/shared_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/process.h"

namespace terraced::storage {
namespace {

using support::TempDirectory;
using testing::HasSubstr;

constexpr SharedFileFormat kFormat{"test file", 0x1122334455667788U, 3, 8'192};

class SharedFileTest : public testing::Test {
 protected:
  Result<std::unique_ptr<SharedFile>> Try(uint64_t owner = 9,
                                          const SharedFileFormat& format = kFormat) {
    return SharedFile::Open(path_, format, owner, 1U << 20);
  }
  std::unique_ptr<SharedFile> Open(uint64_t owner = 9) {
    Result<std::unique_ptr<SharedFile>> opened = Try(owner);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return std::move(opened).value();
  }
  std::unique_ptr<SharedFile> Begin(uint64_t run) {
    std::unique_ptr<SharedFile> file = Open();
    EXPECT_TRUE(file->Clear().ok());
    file->BeginRun(run);
    file->ConfirmRun();
    return file;
  }
  static std::string Left(SharedFile& file, uint64_t run) {
    return std::string(file.CheckLeft(run, TimeStamp::Now(), 0).message());
  }
  uint64_t DiskBytes() const {
    struct stat info = {};
    EXPECT_EQ(::stat(path_.c_str(), &info), 0);
    return static_cast<uint64_t>(info.st_blocks) * 512;
  }

  TempDirectory directory_;
  const std::string path_ = directory_.Sub("file");
};

TEST_F(SharedFileTest, WhatAProcessStoredIsThereForTheNext) {
  std::unique_ptr<SharedFile> file = Begin(5);
  ASSERT_TRUE(file->Reserve(100'000, 10).ok());
  file->Memory()[100'005] = 'x';
  file->Header().flush.epoch = 12;
  file.reset();
  file = Open();
  EXPECT_EQ(Left(*file, 5), "ok");
  EXPECT_EQ(Left(*file, 0), "ok");  // whichever run it was
  EXPECT_THAT(Left(*file, 6), HasSubstr("another run"));
  EXPECT_EQ(file->Memory()[100'005], 'x');
  EXPECT_EQ(file->Header().flush.epoch, 12U);
}

TEST_F(SharedFileTest, ItIsOpenedOnceAtATime) {
  const std::unique_ptr<SharedFile> file = Begin(5);
  EXPECT_EQ(Try().status().code(), StatusCode::kBusy);
}

TEST_F(SharedFileTest, AnotherOwnerOrVersionIsTold) {
  Begin(5).reset();
  EXPECT_THAT(Left(*Open(10), 5), HasSubstr("another directory"));
  SharedFileFormat newer = kFormat;
  newer.version = 4;
  Result<std::unique_ptr<SharedFile>> opened = Try(9, newer);
  ASSERT_TRUE(opened.ok());
  EXPECT_THAT(Left(*opened.value(), 5), HasSubstr("the test file is of another version"));
}

TEST_F(SharedFileTest, AnotherByteAnywhereInItsHeaderIsToldOrDoesNotCount) {
  Begin(5).reset();
  size_t told = 0;
  for (size_t at = 0; at < sizeof(SharedFileHeader); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::fstream bytes(path_, std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekg(static_cast<std::streamoff>(at));
      const int old = bytes.get();
      bytes.seekp(static_cast<std::streamoff>(at));
      bytes.put(static_cast<char>(old ^ flip)).flush();
      const bool is_told = Left(*Open(), 5) != "ok";
      told += is_told ? 1 : 0;
      // Magic, version, owner and boot; then the ids of two runs, one of which is enough, and clocks.
      const bool must = at < 12 || (at >= 16 && at < 64);
      EXPECT_TRUE(is_told || !must) << at;
      bytes.seekp(static_cast<std::streamoff>(at));
      bytes.put(static_cast<char>(old)).flush();
    }
  }
  EXPECT_GE(told, 180U);
  EXPECT_EQ(Left(*Open(), 5), "ok");
}

TEST_F(SharedFileTest, AnEmptyOneHasNothingAndOneOfNoRunWasGivenUp) {
  std::unique_ptr<SharedFile> file = Open();
  EXPECT_THAT(Left(*file, 0), HasSubstr("there is no test file"));
  ASSERT_TRUE(file->Clear().ok());
  EXPECT_THAT(Left(*file, 0), HasSubstr("given up"));
  file = nullptr;
  file = Begin(7);
  file->GiveUp("for a test", "nothing follows");
  EXPECT_TRUE(file->GivenUp());
  file->BeginRun(8);
  file->ConfirmRun();
  file = nullptr;
  EXPECT_THAT(Left(*Open(), 8), HasSubstr("given up"));
}

TEST_F(SharedFileTest, ClearForgetsWhatWasThere) {
  std::unique_ptr<SharedFile> file = Begin(5);
  ASSERT_TRUE(file->Reserve(50'000, 1).ok());
  file->Memory()[50'000] = 'x';
  ASSERT_TRUE(file->Clear().ok());
  ASSERT_TRUE(file->Reserve(50'000, 1).ok());
  EXPECT_EQ(file->Memory()[50'000], 0);
  EXPECT_THAT(Left(*file, 5), HasSubstr("given up"));
}

TEST_F(SharedFileTest, WholePagesAreGivenBackAndComeAgainEmpty) {
  const std::unique_ptr<SharedFile> file = Begin(5);
  const uint64_t before = DiskBytes();
  ASSERT_TRUE(file->Reserve(65'536, 200'000).ok());
  EXPECT_GE(DiskBytes(), before + 200'000);
  file->Memory()[70'000] = 'x';
  file->Memory()[65'536] = 'y';
  ASSERT_TRUE(file->Return(65'537, 199'999));
  EXPECT_LE(DiskBytes(), before + 2 * 4'096);
  EXPECT_EQ(file->Memory()[65'536], 'y');  // of a page that was not given back whole
  ASSERT_TRUE(file->Reserve(65'536, 200'000).ok());
  EXPECT_EQ(file->Memory()[70'000], 0);
}

TEST_F(SharedFileTest, ADowntimeThatIsTooLongOrAClockThatWentBackIsTold) {
  EXPECT_TRUE(CheckDowntime(1'000, 20, 1'020, 20).ok());
  EXPECT_FALSE(CheckDowntime(1'000, 21, 1'021, 20).ok());
  EXPECT_TRUE(CheckDowntime(1'000, 1'000'000, 1'001'000, 0).ok());
  EXPECT_TRUE(CheckDowntime(1'000, 20, 1'015, 0).ok());
  EXPECT_FALSE(CheckDowntime(1'000, 20, 1'014, 0).ok());
  EXPECT_TRUE(CheckDowntime(1'000, 20, 9'000, 20).ok());
}

TEST_F(SharedFileTest, NoLinkIsFollowed) {
  std::ofstream(directory_.Sub("other")) << "precious";
  std::filesystem::create_symlink(directory_.Sub("other"), path_);
  EXPECT_FALSE(Try().ok());
  EXPECT_EQ(support::ReadTextFile(directory_.Sub("other")), "precious");
}

}  // namespace
}  // namespace terraced::storage
