// Runs the inputs that are kept in corpus/ through their targets: what a fuzzer has found once is a test of every
// build from then on, with sanitizers and without. One test for each target.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace terraced::fuzz {
namespace {

std::filesystem::path CorpusOf(const FuzzTarget& target) {
  return std::filesystem::path(TERRACED_SOURCE_DIR) / "tests/fuzz/corpus" / target.name;
}

std::vector<std::filesystem::path> FilesIn(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

class FuzzCorpusTest : public testing::TestWithParam<FuzzTarget> {};

TEST_P(FuzzCorpusTest, EveryKeptInputIsGood) {
  const FuzzTarget& target = GetParam();
  target.run("");
  const std::vector<std::filesystem::path> files = FilesIn(CorpusOf(target));
  EXPECT_FALSE(files.empty()) << "a target has a corpus, be it small";
  for (const std::filesystem::path& file : files) {
    // A target that finds something stops the process: the last line says which input it was.
    std::cout << file.filename().string() << std::endl;
    const std::string bytes = Read(file);
    target.run(bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpusTest, testing::ValuesIn(FuzzTargets()),
                         [](const testing::TestParamInfo<FuzzTarget>& test) {
                           return std::string(test.param.name);
                         });

TEST(FuzzTargetTest, EveryFolderOfTheCorpusHasItsTarget) {
  for (const std::filesystem::path& folder :
       FilesIn(std::filesystem::path(TERRACED_SOURCE_DIR) / "tests/fuzz/corpus")) {
    const std::string name = folder.filename().string();
    EXPECT_TRUE(std::any_of(FuzzTargets().begin(), FuzzTargets().end(),
                            [&name](const FuzzTarget& target) { return target.name == name; }))
        << name;
  }
}

}  // namespace
}  // namespace terraced::fuzz
