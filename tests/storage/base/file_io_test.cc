#include "storage/base/file_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "tests/support/process.h"

namespace terraced::storage {
namespace {

class FileIoTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<FileDescriptor> opened = OpenDirectory(directory_.Path());
    ASSERT_TRUE(opened.ok());
    fd_ = std::move(opened).value();
  }
  support::TempDirectory directory_;
  FileDescriptor fd_;
};

TEST_F(FileIoTest, ReplacesAFileWhole) {
  ASSERT_TRUE(ReplaceFile(fd_.Get(), "F", "first").ok());
  ASSERT_TRUE(ReplaceFile(fd_.Get(), "F", "2nd").ok());
  EXPECT_EQ(ReadSmallFile(fd_.Get(), "F", 100).value(), "2nd");
  EXPECT_FALSE(std::filesystem::exists(directory_.Sub("F.new")));
}

TEST_F(FileIoTest, TellsWhetherAPathLeadsToWhatWasOpened) {
  const std::string path = directory_.Path() + "/here";
  ASSERT_TRUE(MakeDirectory(fd_.Get(), "here").ok());
  const Result<FileDescriptor> opened = OpenDirectory(path);
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE(CheckIsAt(opened.value().Get(), path).ok());
  std::filesystem::rename(path, directory_.Path() + "/there");
  EXPECT_EQ(CheckIsAt(opened.value().Get(), path).code(), StatusCode::kNotFound);
  ASSERT_TRUE(MakeDirectory(fd_.Get(), "here").ok());
  EXPECT_EQ(CheckIsAt(opened.value().Get(), path).code(), StatusCode::kUnavailable);
  EXPECT_TRUE(CheckIsAt(opened.value().Get(), directory_.Path() + "/there").ok());
}

TEST_F(FileIoTest, TellsAbsentFromTooLong) {
  EXPECT_EQ(ReadSmallFile(fd_.Get(), "F", 100).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(ReplaceFile(fd_.Get(), "F", "12345").ok());
  EXPECT_EQ(ReadSmallFile(fd_.Get(), "F", 5).value(), "12345");
  EXPECT_EQ(ReadSmallFile(fd_.Get(), "F", 4).status().code(), StatusCode::kCorruption);
}

TEST_F(FileIoTest, ReadsFewerBytesOnlyAtTheEnd) {
  ASSERT_TRUE(ReplaceFile(fd_.Get(), "F", "12345").ok());
  const Result<FileDescriptor> file = OpenOwnFile(fd_.Get(), "F", O_RDONLY);
  ASSERT_TRUE(file.ok());
  std::array<char, 4> buffer = {};
  EXPECT_EQ(ReadAt(file.value().Get(), 1, buffer, "F").value(), 4U);
  EXPECT_EQ(ReadAt(file.value().Get(), 3, buffer, "F").value(), 2U);
  EXPECT_EQ(ReadAt(file.value().Get(), 9, buffer, "F").value(), 0U);
  EXPECT_EQ(FileBytes(file.value().Get(), "F").value(), 5U);
}

TEST_F(FileIoTest, OpensRegularFilesOfItsOwnOnly) {
  std::ofstream(directory_.Sub("target")) << "x";
  std::filesystem::create_symlink(directory_.Sub("target"), directory_.Sub("link"));
  std::filesystem::create_directory(directory_.Sub("folder"));
  ASSERT_EQ(::mkfifo(directory_.Sub("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(OpenOwnFile(fd_.Get(), "target", O_RDONLY).ok());
  EXPECT_FALSE(OpenOwnFile(fd_.Get(), "link", O_RDONLY).ok());
  EXPECT_FALSE(OpenOwnFile(fd_.Get(), "folder", O_RDONLY).ok());
  EXPECT_FALSE(OpenOwnFile(fd_.Get(), "pipe", O_RDWR).ok());
}

TEST_F(FileIoTest, RemovingAndMakingAreDoneWhenTheyAreDoneAlready) {
  EXPECT_TRUE(RemoveFile(fd_.Get(), "none").ok());
  EXPECT_TRUE(MakeDirectory(fd_.Get(), "d").ok());
  EXPECT_TRUE(MakeDirectory(fd_.Get(), "d").ok());
  EXPECT_FALSE(RemoveFile(fd_.Get(), "d").ok());
}

TEST_F(FileIoTest, DescriptorsMoveAndClose) {
  Result<FileDescriptor> opened = OpenOwnFile(fd_.Get(), "F", O_RDWR | O_CREAT);
  ASSERT_TRUE(opened.ok());
  FileDescriptor first = std::move(opened).value();
  const int raw = first.Get();
  FileDescriptor second = std::move(first);
  EXPECT_EQ(second.Get(), raw);
  EXPECT_EQ(first.Get(), -1);  // NOLINT(bugprone-use-after-move): that is what is being tested
  second.Reset();
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

}  // namespace
}  // namespace terraced::storage
