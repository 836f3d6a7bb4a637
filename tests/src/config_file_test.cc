#include "src/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/process.h"

namespace terraced::server {
namespace {

using testing::ElementsAre;

std::vector<ConfigLine> Split(std::string_view text) {
  Result<std::vector<ConfigLine>> lines = SplitConfig(text, "conf");
  EXPECT_TRUE(lines.ok()) << lines.status().message();
  return lines.ok() ? std::move(lines).value() : std::vector<ConfigLine>();
}

TEST(ConfigFileTest, WordsAreSplitAtBlanksAndLinesAreCounted) {
  const std::vector<ConfigLine> lines = Split("-m 64\n\n  -o\ta=1,b  \r\n# only words\n-v");
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].number, 1);
  EXPECT_THAT(lines[0].words, ElementsAre("-m", "64"));
  EXPECT_EQ(lines[1].number, 3);
  EXPECT_THAT(lines[1].words, ElementsAre("-o", "a=1,b"));
  EXPECT_EQ(lines[2].number, 5);
  EXPECT_THAT(lines[2].words, ElementsAre("-v"));
}

TEST(ConfigFileTest, ACommentBeginsWhereAWordCould) {
  const std::vector<ConfigLine> lines = Split("-P /run/a#b.pid # the pid file\n#-v\n -v#\n");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0].words, ElementsAre("-P", "/run/a#b.pid"));
  EXPECT_THAT(lines[1].words, ElementsAre("-v#"));
}

TEST(ConfigFileTest, QuotesKeepBlanks) {
  const std::vector<ConfigLine> lines =
      Split("-P \"/my pids/#1\" --log-file='/a b'c \"it's\" ''\n");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0].words, ElementsAre("-P", "/my pids/#1", "--log-file=/a bc", "it's", ""));
}

TEST(ConfigFileTest, NothingIsNoLine) {
  EXPECT_TRUE(Split("").empty());
  EXPECT_TRUE(Split("\n \t\n#\n").empty());
}

TEST(ConfigFileTest, WhatIsNoConfigurationIsRefused) {
  EXPECT_EQ(SplitConfig("-v\n'open", "f").status().message(), "f:2: a quote is not closed");
  EXPECT_EQ(SplitConfig(std::string_view("-v\0", 3), "f").status().message(),
            "f:1: holds a NUL byte: this is no configuration file");
}

TEST(ConfigFileTest, AFileThatIsTooLongIsRefused) {
  const support::TempDirectory directory;
  const std::string path = directory.Sub("long");
  std::ofstream(path) << std::string(kConfigFileBytesMax + 1, '\n');
  const Result<std::vector<ConfigLine>> lines = ReadConfigFile(path);
  ASSERT_FALSE(lines.ok());
  EXPECT_EQ(lines.status().message(),
            "--config: " + path + " is over 1m: this is no configuration file");
}

// Whatever the bytes are, reading ends with words or with one line that says why not.
TEST(ConfigFileTest, AnyBytesEndInWordsOrOneLine) {
  uint32_t state = 1;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    const uint32_t length = state % 60;
    for (uint32_t i = 0; i < length; ++i) {
      state = state * 1664525 + 1013904223;
      constexpr std::string_view kAlphabet = "-=o #'\"\n\t\\ab1,\r";
      text += round % 2 == 0 ? kAlphabet[(state >> 16) % kAlphabet.size()]
                             : static_cast<char>(state >> 24);
    }
    state = state * 1664525 + 1013904223;
    const Result<std::vector<ConfigLine>> lines = SplitConfig(text, "f");
    if (!lines.ok()) {
      EXPECT_EQ(lines.status().message().find('\n'), std::string_view::npos);
      continue;
    }
    for (const ConfigLine& line : lines.value()) EXPECT_FALSE(line.words.empty());
  }
}

}  // namespace
}  // namespace terraced::server
