#include "storage/ram/arena_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.h"

namespace terraced::storage {
namespace {

using testing::HasSubstr;

constexpr uint64_t kOwner = 3;
constexpr uint64_t kRun = 9;
const HashKey kKey{{1, 2, 3, 4}};
constexpr std::array<uint32_t, 2> kChunks = {96, 1024};

class ArenaFileTest : public testing::Test {
 protected:
  std::unique_ptr<ArenaFile> Open() {
    Result<std::unique_ptr<ArenaFile>> opened =
        ArenaFile::Open(directory_.Sub("arena"), kOwner, 8U << 20);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return std::move(opened).value();
  }
  void Begin() {
    const std::unique_ptr<ArenaFile> file = Open();
    ASSERT_TRUE(file->Clear(kKey).ok());
    file->SetGeometry(3, kChunks);
    file->SetStartCount(17);
    file->File().BeginRun(kRun);
    file->File().ConfirmRun();
  }
  static std::string Left(ArenaFile& file, uint64_t run, const HashKey* key) {
    return std::string(file.CheckLeft(run, key, TimeStamp::Now(), 0).message());
  }
  support::TempDirectory directory_;
};

TEST_F(ArenaFileTest, WhatItsHeaderSaysIsThereForTheNextProcess) {
  Begin();
  const std::unique_ptr<ArenaFile> file = Open();
  EXPECT_FALSE(file->IsLeft());
  EXPECT_EQ(Left(*file, kRun, &kKey), "ok");
  EXPECT_TRUE(file->IsLeft());
  EXPECT_TRUE(file->HasGeometry(3, kChunks));
  EXPECT_EQ(file->StartCount(), 17U);
  EXPECT_EQ(file->Key().words, kKey.words);
  EXPECT_TRUE(file->AllAdopted());
}

TEST_F(ArenaFileTest, AnotherHashKeyRunOrGeometryIsNothingToGoOnWith) {
  Begin();
  const HashKey other{{1, 2, 3, 5}};
  EXPECT_THAT(Left(*Open(), kRun, &other), HasSubstr("another hash key"));
  EXPECT_THAT(Left(*Open(), kRun + 1, &kKey), HasSubstr("another run"));
  const std::unique_ptr<ArenaFile> file = Open();
  EXPECT_EQ(Left(*file, 0, nullptr), "ok");
  EXPECT_FALSE(file->HasGeometry(4, kChunks));
  EXPECT_FALSE(file->IsLeft());
  EXPECT_FALSE(file->HasGeometry(3, std::array<uint32_t, 1>{96}));
}

TEST_F(ArenaFileTest, AGenerationThatBeginsHasAdoptedNothing) {
  Begin();
  const std::unique_ptr<ArenaFile> file = Open();
  ASSERT_EQ(Left(*file, kRun, &kKey), "ok");
  file->BeginGeneration(true);
  EXPECT_TRUE(file->Generation());
  EXPECT_FALSE(file->AllAdopted());
  file->SetAllAdopted();
  EXPECT_TRUE(file->AllAdopted());
}

}  // namespace
}  // namespace terraced::storage
