// The replayer of bench/ against both servers: what it counts is what was there, and what it would have to notice
// is noticed. Seconds each; the comparison itself is scripts/lib/bench_traces.py.
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "tests/bench/trace_generator.h"
#include "tests/bench/trace_replayer.h"
#include "tests/bench/trace_server.h"
#include "tests/bench/trace_text.h"
#include "tests/support/daemon.h"
#include "tests/support/servers.h"
#include "tests/support/stat_names.h"

namespace terraced::bench {
namespace {

enum class Server { kTerraced, kMemcached };

class TraceReplayTest : public ::testing::TestWithParam<Server> {
 protected:
  void Start() {
    const bool is_terraced = GetParam() == Server::kTerraced;
    const std::string flash =
        is_terraced ? "flash_path=" + directory_.Sub("flash") + ",flash_size=256m"
                    : "ext_item_size=64,ext_max_sleep=1000,slab_automove=2,slab_automove_freeratio="
                      "0.1,ext_path=" +
                          directory_.Sub("ext") + ":256m";
    Result<std::unique_ptr<support::Daemon>> daemon = support::Daemon::Start(
        {.binary = is_terraced ? support::TerracedBinary() : support::ReferenceBinary(),
         .arguments = {"-m", "32", "-t", "1", "-o", flash}});
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
  }
  void Replay(TraceSource& source, const ReplayShape& shape, ReplayCounts* counts) {
    Result<std::unique_ptr<TraceReplayer>> replayer = TraceReplayer::Create(daemon_->Port(), shape);
    ASSERT_TRUE(replayer.ok()) << replayer.status().message();
    const Result<bool> more = replayer.value()->Run(source, UINT64_MAX, counts);
    ASSERT_TRUE(more.ok()) << more.status().message();
    EXPECT_FALSE(more.value());
  }
  ReplayCounts ReplayText(const std::string& text) {
    std::istringstream input(text);
    TraceReader reader(input);
    ReplayCounts counts;
    Replay(reader, {.connections = 2, .depth = 100}, &counts);
    return counts;
  }

  support::TempDirectory directory_;
  std::unique_ptr<support::Daemon> daemon_;
  std::unique_ptr<support::Client> client_;
};

TEST_P(TraceReplayTest, EveryRepeatedKeyIsAHitWhileAllFit) {
  ASSERT_NO_FATAL_FAILURE(Start());
  TraceConfig config;
  config.operations = 50'000;
  config.keys = 20'000;
  config.value_sigma = 1;
  config.value_max = 3'000;
  TraceGenerator again(config);
  std::set<std::string> keys;
  TraceOperation operation;
  for (uint64_t i = 0; i < config.operations; ++i) {
    ASSERT_TRUE(again.Next(&operation).ok());
    keys.insert(operation.key);
  }
  TraceGenerator generator(config);
  ReplayCounts counts;
  // One at a time, so that no key is asked for before its set.
  ASSERT_NO_FATAL_FAILURE(Replay(generator, {.connections = 1, .depth = 1}, &counts));
  EXPECT_EQ(counts.operations, config.operations);
  EXPECT_EQ(counts.gets, config.operations);
  EXPECT_EQ(counts.fills, keys.size());
  EXPECT_EQ(counts.hits, config.operations - keys.size());
  EXPECT_EQ(counts.wrong + counts.refused + counts.errors, 0U);
  EXPECT_EQ(client_->Stat(support::kStatGetHits), counts.hits);
}

TEST_P(TraceReplayTest, TheLastOperationOfARoundOnAKeyHasTheLastWord) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const ReplayCounts counts = ReplayText(
      "get filled 10\nget filled 10\n"
      "get deleted 10\ndelete deleted\n"
      "get stored 10\nset stored 20\n"
      "get large 300000\n");
  EXPECT_EQ(counts.gets, 5U);
  EXPECT_EQ(counts.hits, 0U);
  EXPECT_EQ(counts.fills, 2U);
  EXPECT_EQ(counts.sets, 1U);
  EXPECT_EQ(counts.deletes, 1U);
  EXPECT_EQ(client_->Get("filled").size(), 10U);
  EXPECT_EQ(client_->Get("deleted"), "<miss>");
  EXPECT_EQ(client_->Get("stored").size(), 20U);
  EXPECT_EQ(client_->Get("large").size(), 300'000U);
  EXPECT_EQ(ReplayText("get large 1\nget filled 1\n").hits, 2U);
}

TEST_P(TraceReplayTest, AnotherValueIsNoticed) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(client_->Set("a", std::string(100, 'x')), "STORED\r\n");
  const ReplayCounts counts = ReplayText("set b 100\nget a 100\nget b 100\n");
  EXPECT_EQ(counts.hits, 2U);
  EXPECT_EQ(counts.wrong, 1U);
}

TEST_P(TraceReplayTest, ItemsExpireAfterTheirTtl) {
  ASSERT_NO_FATAL_FAILURE(Start());
  (void)ReplayText("set a 10 1\nset b 10\n");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (client_->Get("a") != "<miss>" && std::chrono::steady_clock::now() < end) {
  }
  EXPECT_EQ(ReplayText("get a 10 1\nget b 10\n").hits, 1U);
}

TEST_P(TraceReplayTest, WhatRamCannotHoldIsAHitOnFlash) {
  ASSERT_NO_FATAL_FAILURE(Start());
  TraceConfig config;
  config.operations = 120'000;
  config.keys = 30'000;
  config.zipf_theta = 0.2;
  config.value_median = 2'000;
  TraceGenerator generator(config);
  const Result<ServerSample> before = TakeSample(*client_, daemon_->Pid());
  ASSERT_TRUE(before.ok()) << before.status().message();
  ReplayCounts counts;
  ASSERT_NO_FATAL_FAILURE(Replay(generator, {}, &counts));
  const Result<ServerSample> after = TakeSample(*client_, daemon_->Pid());
  ASSERT_TRUE(after.ok()) << after.status().message();
  EXPECT_EQ(counts.wrong + counts.refused + counts.errors, 0U);
  // A miss is followed by a set, but for two misses of one key in one round.
  const uint64_t misses = counts.gets - counts.hits;
  EXPECT_LE(counts.fills, misses);
  EXPECT_GE(counts.fills, misses / 100 * 98);
  const ServerSample between = Between(before.value(), after.value());
  EXPECT_GT(between.cpu_s, 0);
  const std::string json = ReplayJson(counts, between, 1);
  const auto number = [&](const std::string& name) {
    const size_t at = json.find("\"" + name + "\": ");
    EXPECT_NE(at, std::string::npos) << name;
    return std::strtod(json.c_str() + at + name.size() + 4, nullptr);
  };
  // 60 MB of items: RAM alone would hold half of them.
  EXPECT_GT(number("hit_ratio"), 0.6);
  EXPECT_GT(number("hit_ratio_flash"), 0.2);
  EXPECT_DOUBLE_EQ(number("hits_ram") + number("hits_flash"), number("hits"));
  EXPECT_GT(number("flash_bytes_written"), 10e6);
}

INSTANTIATE_TEST_SUITE_P(Servers, TraceReplayTest,
                         ::testing::Values(Server::kTerraced, Server::kMemcached),
                         [](const ::testing::TestParamInfo<Server>& info) {
                           return info.param == Server::kTerraced ? "Terraced" : "Memcached";
                         });

}  // namespace
}  // namespace terraced::bench
