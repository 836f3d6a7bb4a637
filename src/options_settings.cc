// `stats settings`: memcached's names in memcached's order, then ours.
#include <array>
#include <cstdio>

#include "src/option_table.h"
#include "src/option_value.h"
#include "src/options.h"
#include "storage/base/log.h"

namespace terraced::server {
namespace {

// One line: the value of a row of the options table (`option`), a constant, or something made.
struct SettingSpec {
  std::string_view name;
  std::string_view option = {};
  std::string_view constant = {};
  std::string (*make)(const Options& options) = nullptr;
};

std::string YesNo(bool value) {
  return value ? "yes" : "no";
}

std::string Inter(const Options& options) {
  const std::string listen = FormatValue(*FindByLetter('l'), options);
  return listen.empty() ? "NULL" : listen;
}

std::string Protocol(const Options& options) {
  return options.accepted.protocol == "auto" ? "auto-negotiate" : options.accepted.protocol;
}

// memcached divides UDP's threads among several addresses.
std::string ThreadsPerUdp(const Options& options) {
  const std::vector<std::string>& listen = options.server.listen;
  const bool several = listen.size() > 1;
  return std::to_string(several ? 1 : options.server.worker_threads);
}

std::string Octal(const Options& options) {
  std::array<char, 16> text;
  std::snprintf(text.data(), text.size(), "%o", options.server.unix_mask);
  return text.data();
}

// extstore does not count the first hit.
std::string RecacheRate(const Options& options) {
  const uint32_t hits = options.cache.promote_hits;
  return std::to_string(hits == 0 ? 0 : hits - 1);
}

std::string OrNull(const std::string& text) {
  return text.empty() ? "(null)" : text;
}

// memcached shows OpenSSL's number of it.
std::string KeyFormat(const Options& options) {
  return options.server.tls.key_format == "DER" ? "2" : "1";
}

std::string TemporaryTtl(const Options& options) {
  // memcached shows its default of 61 where the TEMP segment is off.
  const int64_t ttl_s = options.cache.temporary_ttl_s;
  return std::to_string(ttl_s < 0 ? 61 : ttl_s);
}

constexpr SettingSpec kSettings[] = {
    {.name = "maxbytes", .option = "memory-limit"},
    {.name = "maxconns", .option = "conn-limit"},
    {.name = "tcpport", .option = "port"},
    {.name = "udpport", .option = "udp-port"},
    {.name = "inter", .make = Inter},
    {.name = "verbosity", .make = [](const Options&) { return std::to_string(Log::Verbosity()); }},
    {.name = "oldest", .constant = "0"},
    {.name = "evictions",
     .make = [](const Options& o) { return std::string(o.cache.evict_to_free ? "on" : "off"); }},
    {.name = "domain_socket", .option = "unix-socket"},
    {.name = "umask", .make = Octal},
    {.name = "shutdown_command", .option = "enable-shutdown"},
    {.name = "growth_factor", .option = "slab-growth-factor"},
    {.name = "chunk_size", .option = "slab-min-size"},
    {.name = "num_threads", .option = "threads"},
    {.name = "num_threads_per_udp", .make = ThreadsPerUdp},
    {.name = "stat_key_prefix",
     .make = [](const Options& o) { return o.server.prefix_delimiter.substr(0, 1); }},
    {.name = "detail_enabled",
     .make = [](const Options& o) { return YesNo(o.server.detail_enabled); }},
    {.name = "reqs_per_event", .option = "max-reqs-per-event"},
    {.name = "cas_enabled", .option = "disable-cas"},
    {.name = "tcp_backlog", .option = "listen-backlog"},
    {.name = "binding_protocol", .make = Protocol},
    {.name = "auth_enabled_sasl", .option = "enable-sasl"},
    {.name = "auth_enabled_ascii",
     .make =
         [](const Options& o) {
           return o.server.auth_file.empty() ? std::string("no") : o.server.auth_file;
         }},
    {.name = "item_size_max", .option = "max-item-size"},
    {.name = "maxconns_fast", .option = "maxconns_fast"},
    {.name = "hashpower_init", .option = "hashpower"},
    {.name = "slab_reassign", .option = "slab_reassign"},
    {.name = "slab_automove", .option = "slab_automove"},
    {.name = "slab_automove_ratio", .option = "slab_automove_ratio"},
    {.name = "slab_automove_window", .option = "slab_automove_window"},
    {.name = "slab_chunk_max", .option = "slab_chunk_max"},
    {.name = "lru_crawler", .option = "lru_crawler"},
    {.name = "lru_crawler_sleep", .option = "lru_crawler_sleep"},
    {.name = "lru_crawler_tocrawl", .option = "lru_crawler_tocrawl"},
    {.name = "tail_repair_time", .option = "tail_repair_time"},
    {.name = "flush_enabled", .option = "disable-flush-all"},
    {.name = "dump_enabled", .option = "disable-dumping"},
    {.name = "hash_algorithm", .option = "hash_algorithm"},
    {.name = "lru_maintainer_thread", .option = "lru_maintainer"},
    {.name = "lru_segmented",
     .make = [](const Options& o) { return YesNo(o.cache.lru_segmented); }},
    {.name = "hot_lru_pct", .option = "hot_lru_pct"},
    {.name = "warm_lru_pct", .option = "warm_lru_pct"},
    {.name = "hot_max_factor", .option = "hot_max_factor"},
    {.name = "warm_max_factor", .option = "warm_max_factor"},
    {.name = "temp_lru",
     .make = [](const Options& o) { return YesNo(o.cache.temporary_ttl_s >= 0); }},
    {.name = "temporary_ttl", .make = TemporaryTtl},
    {.name = "idle_timeout", .option = "idle_timeout"},
    {.name = "watcher_logbuf_size", .option = "watcher_logbuf_size"},
    {.name = "worker_logbuf_size", .option = "worker_logbuf_size"},
    {.name = "read_buf_mem_limit", .option = "read_buf_mem_limit"},
    {.name = "track_sizes", .option = "track_sizes"},
    {.name = "inline_ascii_response", .constant = "no"},
    {.name = "ext_item_size",
     .make = [](const Options& o) { return std::to_string(o.cache.flash_item_min_bytes); }},
    {.name = "ext_item_age", .constant = "4294967295"},
    {.name = "ext_low_ttl", .constant = "0"},
    {.name = "ext_recache_rate", .make = RecacheRate},
    {.name = "ext_wbuf_size", .constant = "4194304"},
    {.name = "ext_compact_under", .constant = "0"},
    {.name = "ext_drop_under", .constant = "0"},
    {.name = "ext_max_sleep", .constant = "1000000"},
    {.name = "ext_max_frag", .option = "ext_max_frag"},
    {.name = "slab_automove_freeratio",
     .make =
         [](const Options& o) {
           std::array<char, 32> text;
           std::snprintf(text.data(), text.size(), "%.3f", o.accepted.slab_automove_freeratio);
           return std::string(text.data());
         }},
    {.name = "ext_drop_unread", .constant = "no"},
    {.name = "ssl_enabled", .option = "enable-ssl"},
    {.name = "ssl_chain_cert",
     .make = [](const Options& o) { return OrNull(o.server.tls.chain_cert); }},
    {.name = "ssl_key", .make = [](const Options& o) { return OrNull(o.server.tls.key); }},
    {.name = "ssl_verify_mode", .option = "ssl_verify_mode"},
    {.name = "ssl_keyformat", .make = KeyFormat},
    {.name = "ssl_ciphers", .option = "ssl_ciphers"},
    {.name = "ssl_ca_cert", .option = "ssl_ca_cert"},
    {.name = "ssl_wbuf_size", .option = "ssl_wbuf_size"},
    {.name = "ssl_session_cache", .option = "ssl_session_cache"},
    {.name = "ssl_kernel_tls", .option = "ssl_kernel_tls"},
    {.name = "ssl_min_version",
     .make = [](const Options& o) { return "tlsv1." + std::to_string(o.server.tls.min_version); }},
    {.name = "proxy_enabled", .constant = "no"},
    {.name = "proxy_uring_enabled", .constant = "no"},
    {.name = "num_napi_ids",
     .make =
         [](const Options& o) {
           return o.accepted.napi_ids == 0 ? "(null)" : std::to_string(o.accepted.napi_ids);
         }},
    {.name = "memory_file",
     .make =
         [](const Options& o) {
           return o.cache.memory_file.empty() ? std::string("(null)") : o.cache.memory_file;
         }},
    {.name = "client_flags_size", .constant = "4"},
    // Not one of memcached's.
    {.name = "watch_enabled", .option = "disable-watch"},
};

// As memcached prints it: sizes in bytes, decimals with two places.
std::string FormatSetting(const OptionSpec& spec, const Options& options) {
  Options copy = options;
  const Field field = spec.field(copy);
  if (const auto* fraction = std::get_if<double*>(&field)) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%.2f", **fraction);
    return text.data();
  }
  if (spec.kind == OptionKind::kBytes) {
    OptionSpec in_bytes = spec;
    in_bytes.kind = OptionKind::kNumber;
    return FormatValue(in_bytes, options);
  }
  const std::string value = FormatValue(spec, options);
  return value.empty() ? "NULL" : value;
}

bool IsShownAlready(std::string_view option) {
  for (const SettingSpec& setting : kSettings) {
    if (setting.option == option || setting.name == option) return true;
  }
  return false;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> SettingsForStats(const Options& options) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (const SettingSpec& setting : kSettings) {
    std::string value(setting.constant);
    if (setting.make != nullptr) {
      value = setting.make(options);
    } else if (!setting.option.empty()) {
      value = FormatSetting(*FindByName(setting.option, false), options);
    }
    settings.emplace_back(setting.name, std::move(value));
  }
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.Has(kExtended) || !spec.IsDocumented() || IsShownAlready(spec.name)) continue;
    settings.emplace_back(spec.name, FormatSetting(spec, options));
  }
  return settings;
}

}  // namespace terraced::server
