// Stats: what `stats` says. One table (stats_table.cc) names every counter, its unit, kind and meaning and
// says where its value comes from; `stats`, `stats flash`, the table in src/README.md and its test walk it.
// Groups with a row per slab class (items, slabs) are written by stats_classes.cc.
// Threads: pure functions over plain values that were collected before.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/options.h"
#include "src/protocol/reply_sink.h"
#include "src/watch/watch_hub.h"
#include "storage/base/clock.h"
#include "tiering/cache_stats.h"

namespace terraced::server {

// What listener and workers have counted, summed.
struct ServerStats {
  uint64_t curr_connections = 0;
  uint64_t total_connections = 0;
  uint64_t rejected_connections = 0;
  uint64_t rejected_by_address = 0;
  uint64_t listen_disabled_num = 0;
  uint64_t time_in_listen_disabled_us = 0;
  bool accepting_conns = true;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t conn_yields = 0;
  uint64_t idle_kicks = 0;
  uint64_t auth_cmds = 0;
  uint64_t auth_errors = 0;
  uint64_t flash_waits = 0;
  uint64_t room_waits = 0;
  uint64_t reply_pauses = 0;
  uint64_t udp_requests_dropped = 0;
  uint64_t udp_replies_dropped = 0;
  uint64_t ssl_handshake_errors = 0;
  uint64_t ssl_proto_errors = 0;
  uint64_t ssl_new_sessions = 0;
  uint64_t time_since_server_cert_refresh = 0;
  uint64_t read_buf_count = 0;
  uint64_t read_buf_bytes = 0;
  uint64_t reply_buf_bytes = 0;
  uint64_t reply_buf_limit_bytes = 0;
  WatchStats watch;
};

struct StatsInput {
  tiering::CacheStats cache;
  ServerStats server;
  const Options& options;
  const Clock& clock;
};

enum class StatUnit : uint8_t { kCount, kBytes, kSeconds, kMicroseconds, kFlag, kText };
enum class StatKind : uint8_t { kCounter, kGauge };  // a counter only grows, until `stats reset`
enum class StatGroup : uint8_t {
  kGeneral,
  kFlash,     // in `stats flash`, and in `stats` where a flash tier is configured
  kTls,       // in `stats` where TLS is on
  kExtstore,  // in `stats` where a flash tier is configured: memcached's name for the same thing
};

struct StatSpec {
  std::string_view name;
  StatUnit unit;
  StatKind kind;
  StatGroup group;
  std::string_view help;
  std::string (*value)(const StatsInput& input);
};

std::span<const StatSpec> Stats();
// The rows of the table in src/README.md.
std::string StatsDocumentation();

// A group of `stats`; false: there is none of that name. "" is the general one.
bool WriteStatGroup(std::string_view group, const StatsInput& input, ReplySink& sink);
void WriteItemStats(const StatsInput& input, ReplySink& sink);
void WriteSlabStats(const tiering::CacheStats& stats, ReplySink& sink);

}  // namespace terraced::server
