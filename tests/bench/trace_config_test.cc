#include "tests/bench/trace_config.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/process.h"

namespace terraced::bench {
namespace {

std::string Complaint(std::string_view text) {
  const Result<TraceConfig> config = ParseTraceConfig(text);
  return config.ok() ? "none" : std::string(config.status().message());
}

TEST(TraceConfigTest, ReadsNumbersAndListsBetweenComments) {
  const Result<TraceConfig> config = ParseTraceConfig(
      "# a trace\n\n"
      "keys = 5000   # many\n"
      "zipf_theta=1.25\r\n"
      "value_sizes=100:3, 2000:1.5\n"
      "ttls=0:1,60:0.5");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config.value().keys, 5000U);
  EXPECT_EQ(config.value().zipf_theta, 1.25);
  ASSERT_EQ(config.value().value_sizes.size(), 2U);
  EXPECT_EQ(config.value().value_sizes[1].value, 2000U);
  EXPECT_EQ(config.value().value_sizes[1].weight, 1.5);
  ASSERT_EQ(config.value().ttls.size(), 2U);
  EXPECT_EQ(config.value().ttls[1].value, 60U);
}

TEST(TraceConfigTest, KeepsTheDefaultOfWhatIsNotGiven) {
  const Result<TraceConfig> config = ParseTraceConfig("");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config.value().keys, TraceConfig().keys);
  EXPECT_EQ(config.value().ttls.size(), 1U);
}

TEST(TraceConfigTest, RefusesWhatItDoesNotKnowWithTheLinesNumber) {
  EXPECT_EQ(Complaint("keys=10\nkey=10\n"), "line 2: there is no parameter 'key'");
  EXPECT_TRUE(Complaint("\nkeys=ten\n").starts_with("line 2: keys: "));
  for (const char* const line :
       {"keys", "keys=", "keys=0", "keys=-1", "keys=1.5", "keys=10 20", "zipf_theta=-1",
        "zipf_theta=nan", "set_share=1.1", "value_sizes=", "value_sizes=100",
        "value_sizes=100:", "value_sizes=100:0", "value_sizes=1000001:1", "value_sizes=100:-1",
        "key_bytes=251", "seed=99999999999999999999"}) {
    EXPECT_TRUE(Complaint(line).starts_with("line 1: ")) << line;
  }
}

TEST(TraceConfigTest, RefusesWhatDoesNotFitTogether) {
  EXPECT_NE(Complaint("operations=10\nwarmup=10\n"), "none");
  EXPECT_EQ(Complaint("operations=10\nwarmup=9\n"), "none");
  EXPECT_NE(Complaint("set_share=0.6\ndelete_share=0.6\n"), "none");
}

TEST(TraceConfigTest, TheTreesOwnFilesCanBeRead) {
  size_t count = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(TERRACED_SOURCE_DIR "/tests/bench/traces")) {
    EXPECT_EQ(Complaint(support::ReadTextFile(file.path())), "none") << file.path();
    ++count;
  }
  EXPECT_GE(count, 5U);
}

}  // namespace
}  // namespace terraced::bench
