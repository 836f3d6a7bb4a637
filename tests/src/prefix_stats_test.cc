#include "src/prefix_stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace terraced::server {
namespace {

TEST(PrefixStatsTest, CountsByWhatStandsBeforeTheDelimiter) {
  PrefixStats stats('/', true);
  stats.NoteGet("a/1", true);
  stats.NoteGet("a/1/2", false);
  stats.NoteSet("a/");
  stats.NoteDelete("b/1");
  stats.NoteGet("/x", false);
  stats.NoteGet("none", true);
  stats.NoteGet("a:b", true);
  EXPECT_EQ(stats.Dump(),
            "PREFIX  get 1 hit 0 set 0 del 0\r\n"
            "PREFIX a get 2 hit 1 set 1 del 0\r\n"
            "PREFIX b get 0 hit 0 set 0 del 1\r\n");
  stats.Reset();
  EXPECT_EQ(stats.Dump(), "");
}

TEST(PrefixStatsTest, CountsNothingWhileItIsOff) {
  PrefixStats stats(':', false);
  stats.NoteGet("a:1", true);
  stats.Switch(true);
  stats.NoteSet("a:1");
  stats.Switch(false);
  stats.NoteDelete("a:1");
  EXPECT_EQ(stats.Dump(), "PREFIX a get 0 hit 0 set 1 del 0\r\n");
}

TEST(PrefixStatsTest, KnowsSoManyPrefixesAndNoMore) {
  PrefixStats stats(':', true);
  for (size_t i = 0; i < PrefixStats::kPrefixesMax + 10; ++i) {
    stats.NoteSet(std::to_string(i) + ":");
  }
  stats.NoteSet("0:");
  const std::string dump = stats.Dump();
  EXPECT_EQ(std::count(dump.begin(), dump.end(), '\n'),
            static_cast<std::ptrdiff_t>(PrefixStats::kPrefixesMax));
  EXPECT_NE(dump.find("PREFIX 0 get 0 hit 0 set 2 del 0\r\n"), std::string::npos);
}

}  // namespace
}  // namespace terraced::server
