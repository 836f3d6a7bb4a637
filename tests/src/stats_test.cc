#include "src/stats.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

namespace terraced::server {
namespace {

class StatMap final : public ReplySink {
 public:
  void Answer(const Request&, Reply) override {}
  void Done(const Request&, Reply, const tiering::ItemMeta&) override {}
  void Number(const Request&, uint64_t, const tiering::ItemMeta&) override {}
  void Miss(const Request&) override {}
  void Say(const Request&, std::string_view) override {}
  void Refuse(const Request&, std::string_view) override {}
  tiering::ValueSink& Value(const Request&, bool) override { std::abort(); }
  void End(const Request&) override {}
  void Stat(std::string_view name, std::string_view value) override {
    EXPECT_TRUE(seen.emplace(name, value).second) << name << " twice";
  }
  std::map<std::string, std::string> seen;
};

std::map<std::string, std::string> Group(std::string_view group, const StatsInput& input) {
  StatMap map;
  EXPECT_TRUE(WriteStatGroup(group, input, map)) << group;
  return map.seen;
}

class StatsTest : public testing::Test {
 protected:
  Options options_;
  Clock clock_{1'000};
  StatsInput input_{{}, {}, options_, clock_};
};

TEST_F(StatsTest, EveryNameIsThereOnceAndExplained) {
  std::set<std::string_view> names;
  for (const StatSpec& stat : Stats()) {
    EXPECT_TRUE(names.insert(stat.name).second) << stat.name;
    EXPECT_FALSE(stat.help.empty()) << stat.name;
    EXPECT_EQ(stat.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789"),
              std::string_view::npos);
  }
  // memcached's, as monitoring scripts read them.
  for (const char* name :
       {"pid", "uptime", "time", "version", "curr_connections", "cmd_get", "get_hits", "get_misses",
        "evictions", "bytes", "curr_items", "limit_maxbytes", "threads"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST_F(StatsTest, ExtstoreNamesAreOtherNamesOfOurs) {
  std::set<std::string_view> names;
  for (const StatSpec& stat : Stats()) names.insert(stat.name);
  for (const StatSpec& stat : Stats()) {
    if (stat.group != StatGroup::kExtstore) continue;
    EXPECT_TRUE(names.contains(stat.help) || stat.help.starts_with("always 0")) << stat.name;
  }
}

TEST_F(StatsTest, ShowsTheFlashTierOnlyWhereThereIsOne) {
  EXPECT_FALSE(Group("", input_).contains("flash_items"));
  EXPECT_FALSE(Group("", input_).contains("extstore_objects_used"));
  input_.cache.flash.enabled = true;
  input_.cache.flash.items = 7;
  EXPECT_EQ(Group("", input_)["flash_items"], "7");
  EXPECT_EQ(Group("", input_)["extstore_objects_used"], "7");
  EXPECT_EQ(Group("flash", input_)["flash_items"], "7");
}

TEST_F(StatsTest, ShowsTlsOnlyWhereItIsOn) {
  EXPECT_FALSE(Group("", input_).contains("ssl_handshake_errors"));
  options_.server.tls_enabled = true;
  input_.server.ssl_handshake_errors = 3;
  EXPECT_EQ(Group("", input_)["ssl_handshake_errors"], "3");
  EXPECT_FALSE(Group("flash", input_).contains("ssl_handshake_errors"));
}

TEST_F(StatsTest, SumsClassesAndCountsConnections) {
  input_.cache.classes[3].reclaimed = 5;
  input_.cache.classes[9].reclaimed = 6;
  input_.server.curr_connections = 4;
  std::map<std::string, std::string> stats = Group("", input_);
  EXPECT_EQ(stats["reclaimed"], "11");
  EXPECT_EQ(stats["curr_connections"], "4");
  EXPECT_EQ(stats["accepting_conns"], "1");
  EXPECT_EQ(stats["time"], "1000");
  EXPECT_EQ(stats["version"], "1.6.18");
  EXPECT_EQ(stats["terraced_version"], TERRACED_VERSION);
}

TEST_F(StatsTest, ListsClassesThatHoldSomething) {
  EXPECT_TRUE(Group("items", input_).empty());
  input_.cache.gauges[5].items = {1, 2, 3, 0};
  input_.cache.slabs[5].total_pages = 1;
  input_.cache.slabs[5].chunk_bytes = 240;
  std::map<std::string, std::string> items = Group("items", input_);
  EXPECT_EQ(items["items:5:number"], "6");
  EXPECT_EQ(items["items:5:number_cold"], "3");
  EXPECT_TRUE(items.contains("items:5:moves_to_cold"));
  EXPECT_FALSE(items.contains("items:5:number_temp"));
  std::map<std::string, std::string> slabs = Group("slabs", input_);
  EXPECT_EQ(slabs["5:chunk_size"], "240");
  EXPECT_EQ(slabs["active_slabs"], "1");
}

TEST_F(StatsTest, KnowsItsGroups) {
  EXPECT_TRUE(Group("extstore", input_).empty());
  EXPECT_EQ(Group("settings", input_)["num_threads"], "4");
  StatMap map;
  EXPECT_FALSE(WriteStatGroup("nonsense", input_, map));
}

TEST_F(StatsTest, TheTableInTheDocumentsIsThisOne) {
  std::ifstream file(std::string(TERRACED_SOURCE_DIR) + "/src/README.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(StatsDocumentation()), std::string::npos)
      << "put this into src/README.md:\n"
      << StatsDocumentation();
}

}  // namespace
}  // namespace terraced::server
