// `stats settings` as src/options_settings.cc makes it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "src/option_table.h"
#include "src/options.h"

namespace terraced::server {
namespace {

using Settings = std::map<std::string, std::string>;

Settings SettingsOf(std::initializer_list<const char*> arguments) {
  Result<CommandLine> line =
      ParseCommandLine(std::span<const char* const>(arguments.begin(), arguments.size()));
  EXPECT_TRUE(line.ok()) << line.status().message();
  if (!line.ok()) return {};
  const auto settings = SettingsForStats(line.value().options);
  return Settings(settings.begin(), settings.end());
}

// Names, order and values as memcached 1.6.18 answers them without options, as far as the features
// exist.
TEST(OptionsSettingsTest, DefaultsAreMemcachedsInMemcachedsOrder) {
  const std::pair<std::string, std::string> expected[] = {{"maxbytes", "67108864"},
                                                          {"maxconns", "1024"},
                                                          {"tcpport", "11211"},
                                                          {"udpport", "0"},
                                                          {"inter", "NULL"},
                                                          {"verbosity", "0"},
                                                          {"oldest", "0"},
                                                          {"evictions", "on"},
                                                          {"domain_socket", "NULL"},
                                                          {"umask", "700"},
                                                          {"shutdown_command", "no"},
                                                          {"growth_factor", "1.25"},
                                                          {"chunk_size", "48"},
                                                          {"num_threads", "4"},
                                                          {"num_threads_per_udp", "4"},
                                                          {"stat_key_prefix", ":"},
                                                          {"detail_enabled", "no"},
                                                          {"reqs_per_event", "20"},
                                                          {"cas_enabled", "yes"},
                                                          {"tcp_backlog", "1024"},
                                                          {"binding_protocol", "auto-negotiate"},
                                                          {"auth_enabled_sasl", "no"},
                                                          {"auth_enabled_ascii", "no"},
                                                          {"item_size_max", "1048576"},
                                                          {"maxconns_fast", "yes"},
                                                          {"hashpower_init", "0"},
                                                          {"slab_reassign", "yes"},
                                                          {"slab_automove", "1"},
                                                          {"slab_automove_ratio", "0.80"},
                                                          {"slab_automove_window", "30"},
                                                          {"slab_chunk_max", "524288"},
                                                          {"lru_crawler", "yes"},
                                                          {"lru_crawler_sleep", "100"},
                                                          {"lru_crawler_tocrawl", "0"},
                                                          {"tail_repair_time", "0"},
                                                          {"flush_enabled", "yes"},
                                                          {"dump_enabled", "yes"},
                                                          {"hash_algorithm", "murmur3"},
                                                          {"lru_maintainer_thread", "yes"},
                                                          {"lru_segmented", "yes"},
                                                          {"hot_lru_pct", "20"},
                                                          {"warm_lru_pct", "40"},
                                                          {"hot_max_factor", "0.20"},
                                                          {"warm_max_factor", "2.00"},
                                                          {"temp_lru", "no"},
                                                          {"temporary_ttl", "61"},
                                                          {"idle_timeout", "0"},
                                                          {"watcher_logbuf_size", "262144"},
                                                          {"worker_logbuf_size", "65536"},
                                                          {"read_buf_mem_limit", "0"},
                                                          {"track_sizes", "no"},
                                                          {"inline_ascii_response", "no"},
                                                          {"ext_item_size", "0"},
                                                          {"ext_item_age", "4294967295"},
                                                          {"ext_low_ttl", "0"},
                                                          {"ext_recache_rate", "1"},
                                                          {"ext_wbuf_size", "4194304"},
                                                          {"ext_compact_under", "0"},
                                                          {"ext_drop_under", "0"},
                                                          {"ext_max_sleep", "1000000"},
                                                          {"ext_max_frag", "0.80"},
                                                          {"slab_automove_freeratio", "0.010"},
                                                          {"ext_drop_unread", "no"},
                                                          {"ssl_enabled", "no"},
                                                          {"ssl_chain_cert", "(null)"},
                                                          {"ssl_key", "(null)"},
                                                          {"ssl_verify_mode", "0"},
                                                          {"ssl_keyformat", "1"},
                                                          {"ssl_ciphers", "NULL"},
                                                          {"ssl_ca_cert", "NULL"},
                                                          {"ssl_wbuf_size", "16384"},
                                                          {"ssl_session_cache", "no"},
                                                          {"ssl_kernel_tls", "no"},
                                                          {"ssl_min_version", "tlsv1.2"},
                                                          {"proxy_enabled", "no"},
                                                          {"proxy_uring_enabled", "no"},
                                                          {"num_napi_ids", "(null)"},
                                                          {"memory_file", "(null)"},
                                                          {"client_flags_size", "4"}};
  const auto settings = SettingsForStats(Options());
  ASSERT_GE(settings.size(), std::size(expected));
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(settings[i], expected[i]);
}

TEST(OptionsSettingsTest, EverySettingIsOneWordAndStandsOnce) {
  std::set<std::string> names;
  for (const auto& [name, value] : SettingsForStats(Options())) {
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(name.find_first_of(" \r\n"), std::string::npos) << name;
    EXPECT_FALSE(value.empty()) << name;
    EXPECT_EQ(value.find_first_of("\r\n"), std::string::npos) << name;
  }
}

TEST(OptionsSettingsTest, EveryDocumentedNameOfTheListIsShown) {
  const Settings settings = SettingsOf({});
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.Has(kExtended) || !spec.IsDocumented() || spec.name == "lru_maintainer") continue;
    EXPECT_EQ(settings.count(std::string(spec.name)), 1U) << spec.name;
  }
  EXPECT_EQ(settings.count("test_commands"), 0U);
}

TEST(OptionsSettingsTest, WhatIsGivenIsShownInMemcachedsUnits) {
  const Settings settings = SettingsOf(
      {"-m",
       "100",
       "-c",
       "2000",
       "-t",
       "2",
       "-b",
       "77",
       "-R",
       "7",
       "-n",
       "60",
       "-C",
       "-F",
       "-M",
       "-f",
       "1.3",
       "-I",
       "2m",
       "-B",
       "ascii",
       "-l",
       "127.0.0.1",
       "-l",
       "::1",
       "-s",
       "/run/t",
       "-a",
       "0660",
       "-A",
       "-N",
       "2",
       "-o",
       "slab_chunk_max=256,no_slab_reassign,temporary_ttl=100,no_maxconns_fast,flash_size=4g,"
       "flash_path=/srv/c,no_lru_maintainer,slab_sizes=96-192,track_sizes",
       "-X",
       "-D",
       "/"});
  const std::pair<const char*, const char*> expected[] = {
      {"maxbytes", "104857600"},    {"maxconns", "2000"},
      {"num_threads", "2"},         {"tcp_backlog", "77"},
      {"reqs_per_event", "7"},      {"chunk_size", "60"},
      {"cas_enabled", "no"},        {"flush_enabled", "no"},
      {"evictions", "off"},         {"growth_factor", "1.30"},
      {"item_size_max", "2097152"}, {"binding_protocol", "ascii"},
      {"domain_socket", "/run/t"},  {"umask", "660"},
      {"shutdown_command", "yes"},  {"num_napi_ids", "2"},
      {"num_threads_per_udp", "1"}, {"inter", "127.0.0.1,::1"},
      {"slab_chunk_max", "262144"}, {"slab_reassign", "no"},
      {"temp_lru", "yes"},          {"temporary_ttl", "100"},
      {"maxconns_fast", "no"},      {"flash_size", "4294967296"},
      {"flash_path", "/srv/c"},     {"lru_maintainer_thread", "no"},
      {"lru_segmented", "no"},      {"slab_sizes", "96-192"},
      {"track_sizes", "yes"},       {"dump_enabled", "no"},
      {"stat_key_prefix", "/"},     {"detail_enabled", "yes"}};
  for (const auto& [name, value] : expected) EXPECT_EQ(settings.at(name), value) << name;
}

}  // namespace
}  // namespace terraced::server
