#include "src/option_table.h"

#include <algorithm>
#include <charconv>

#include "src/ext_path.h"
#include "src/net/address.h"
#include "src/option_value.h"
#include "storage/base/sync_point.h"
#include "tiering/flash_reader.h"

namespace terraced::server {
namespace {

using storage::SlabOptions;
using tiering::CacheOptions;

constexpr double kKilo = 1024;
constexpr double kMega = 1024 * kKilo;
constexpr double kGiga = 1024 * kMega;
constexpr double kTera = 1024 * kGiga;
constexpr double kPromoteHitsMax = 65536;
constexpr double kWholeMax = 2147483647;  // of counts and seconds: fits every field

// Where a row's value lives.
template <auto Member>
Field Slab(Options& options) {
  return &(options.cache.slabs.*Member);
}
template <auto Member>
Field Cache(Options& options) {
  return &(options.cache.*Member);
}
template <auto Member>
Field Server(Options& options) {
  return &(options.server.*Member);
}
template <auto Member>
Field Tls(Options& options) {
  return &(options.server.tls.*Member);
}
template <auto Member>
Field Daemon(Options& options) {
  return &(options.daemon.*Member);
}
template <auto Member>
Field Accepted(Options& options) {
  return &(options.accepted.*Member);
}
Field Nothing(Options&) {
  return std::monostate();
}

// memcached: without the maintainer there are no segments.
Status FollowMaintainer(Options& options) {
  options.cache.lru_segmented = options.cache.lru_maintainer;
  return Status();
}

// no_modern: what memcached 1.4 did. `modern` itself changes nothing, as in memcached.
Status FollowModern(Options& options) {
  if (options.accepted.modern) return Status();
  options.cache.slab_reassign = false;
  options.cache.slab_automove = 0;
  options.cache.lru_crawler = false;
  options.cache.lru_maintainer = false;
  options.cache.lru_segmented = false;
  options.server.maxconns_fast = false;
  return Status();
}

Status FollowListen(Options& options) {
  return ListenAddresses(options.server).status();
}

Status FollowUnixMask(Options& options) {
  const std::string& text = options.accepted.unix_mask;
  const char* const end = text.data() + text.size();
  uint32_t mask = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, mask, 8);
  if (error != std::errc() || stop != end || mask > 0777) {
    return Status(StatusCode::kInvalidArgument,
                  "'" + text + "' is no mask: give permissions in octal from 0 to 777, as in 770");
  }
  options.server.unix_mask = mask;
  return Status();
}

Status FollowProtocol(Options& options) {
  using enum BindingProtocol;
  const std::string& name = options.accepted.protocol;
  options.accepted.protocol_given = true;
  options.server.binding_protocol = name == "ascii" ? kAscii : name == "binary" ? kBinary : kAuto;
  return Status();
}

Status FollowAllow(Options& options) {
  TERRACED_ASSIGN_OR_RETURN(options.server.allow, ParseAddressRanges(options.accepted.allow));
  return Status();
}

// Of the hits that follow a first one, extstore moves one in recache_rate back to RAM.
Status FollowRecacheRate(Options& options) {
  const uint32_t rate = options.accepted.ext_recache_rate;
  options.cache.promote_hits = rate == 0 ? 0 : rate + 1;
  return Status();
}

// What memcached reads as a number has to be one though it changes nothing.
Status CheckIgnoredNumber(Options& options) {
  uint32_t number = 0;
  const std::string& text = options.accepted.ignored;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && stop == end) return Status();
  return Status(StatusCode::kInvalidArgument,
                "'" + text + "' is not a number: give one from 0 to 4294967295");
}

Status FollowDelimiter(Options& options) {
  options.server.detail_enabled = true;
  return Status();
}

// Else -U is the TCP port as well.
Status FollowPort(Options& options) {
  options.server.tcp_port_given = true;
  return Status();
}

Field KillAtField(Options& options) {
  return &options.kill_at;
}

#ifdef TERRACED_MUTANTS
Field MutantField(Options& options) {
  return &options.mutant;
}

Status CheckMutant(Options& options) {
  const auto found = std::find(kMutantNames.begin(), kMutantNames.end(), options.mutant);
  if (found != kMutantNames.end()) return Status();
  return Status(StatusCode::kInvalidArgument, "'" + options.mutant + "' is no mutant's name");
}
#endif

using enum OptionKind;
using enum OptionGroup;

// memcached's, of which not even the value is looked at.
constexpr OptionSpec Ignored(std::string_view name, uint32_t flags) {
  return {.name = name,
          .kind = kText,
          .field = Accepted<&AcceptedOptions::ignored>,
          .value = "<value>",
          .group = kAccepted,
          .flags = kExtended | kNoEffect | flags};
}

constexpr OptionSpec IgnoredNumber(std::string_view name, uint32_t flags) {
  OptionSpec spec = Ignored(name, flags);
  spec.after = CheckIgnoredNumber;
  return spec;
}

// Columns: name, letter, other spelling, kind, field, bounds, value in documents, group, flags,
// help; then choices, what follows, and action where there are any.
// A table reads by rows, which clang-format would break at every column.
// clang-format off
constexpr OptionSpec kOptions[] = {
    // --- Network ---
    {"port", 'p', "", kNumber, Server<&ServerOptions::tcp_port>, {-1, 65535}, "<number>", kNetwork,
     kUsage,
     "TCP port; -1 is any free one, 0 none but those that -l names", "", FollowPort},
    {"listen", 'l', "", kList, Server<&ServerOptions::listen>, {}, "<address>", kNetwork, 0,
     "address to listen on, as in 127.0.0.1, [::1]:11211 or *; may be repeated; without it every "
     "address; proto[ascii]: or proto[binary]: in front counts instead of -B", "", FollowListen},
    {"unix-socket", 's', "", kText, Server<&ServerOptions::unix_socket>, {}, "<file>", kNetwork, 0,
     "Unix socket to listen on, instead of the network; removed at a clean stop"},
    {"unix-mask", 'a', "", kText, Accepted<&AcceptedOptions::unix_mask>, {}, "<mask>", kNetwork, 0,
     "permissions of the Unix socket, in octal", "", FollowUnixMask},
    {"allow", 0, "", kText, Accepted<&AcceptedOptions::allow>, {}, "<cidr;cidr;...>", kNetwork,
     kExtended,
     "clients of other addresses are closed at once, as in 127.0.0.1;10.0.0.0/8;fd00::/8; those of a "
     "Unix socket are never; without it everybody may connect", "", FollowAllow},
    {"enable-shutdown", 'A', "", kSwitch, Server<&ServerOptions::shutdown_command>, {}, "", kNetwork,
     0,
     "any client may stop the daemon: shutdown, or shutdown graceful"},
    {"conn-limit", 'c', "", kNumber, Server<&ServerOptions::connections_max>, {1, 10e6}, "<number>",
     kNetwork, 0,
     "connections at the same time; the limit of open files follows it"},
    {"listen-backlog", 'b', "", kNumber, Server<&ServerOptions::backlog>, {0, 1e6}, "<number>",
     kNetwork, 0,
     "connections that may wait to be accepted"},
    {"threads", 't', "", kNumber, Server<&ServerOptions::worker_threads>, {1, 256}, "<number>",
     kNetwork, 0,
     "worker threads; more than there are processors do not help"},
    {"max-reqs-per-event", 'R', "", kNumber, Server<&ServerOptions::requests_per_event>,
     {1, kWholeMax}, "<number>", kNetwork, 0,
     "requests of one connection before it is another one's turn"},
    {"protocol", 'B', "", kChoice, Accepted<&AcceptedOptions::protocol>, {}, "<name>", kNetwork,
     kUsage,
     "protocol of connections; auto takes it from the first byte", "auto,ascii,binary", FollowProtocol},
    {"udp-port", 'U', "", kNumber, Server<&ServerOptions::udp_port>, {-1, 65535}, "<number>",
     kNetwork, 0,
     "UDP port; 0 is none; without -p it is the TCP port as well"},
    {"enable-sasl", 'S', "", kSwitch, Server<&ServerOptions::sasl>, {}, "", kNetwork, 0,
     "clients log in with SASL first, and speak the binary protocol; memcached.conf is looked for in "
     "SASL_CONF_PATH, or in /etc/sasl and /etc/sasl2"},
    {"auth-file", 'Y', "", kText, Server<&ServerOptions::auth_file>, {}, "<file>", kNetwork, 0,
     "clients log in by `set x 0 0 <bytes>` with user and password as its value, and speak the text "
     "protocol; a line of the file is user:password; SIGHUP reads it again"},
    {"disable-cas", 'C', "", kSwitch, Server<&ServerOptions::cas_enabled>, {}, "", kNetwork,
     kClears,
     "show 0 for every CAS unique; cas stores nothing"},
    {"disable-dumping", 'X', "", kSwitch, Server<&ServerOptions::dump_enabled>, {}, "", kNetwork,
     kClears,
     "refuse stats cachedump and lru_crawler metadump"},
    {"prefix-delimiter", 'D', "", kText, Server<&ServerOptions::prefix_delimiter>, {}, "<char>", kNetwork, 0,
     "what ends the prefix of a key for stats detail, which it turns on", "", FollowDelimiter},
    {"disable-flush-all", 'F', "", kSwitch, Server<&ServerOptions::flush_enabled>, {}, "", kNetwork,
     kClears,
     "refuse flush_all"},
    {"disable-watch", 'W', "", kSwitch, Server<&ServerOptions::watch_enabled>, {}, "", kNetwork,
     kClears,
     "refuse watch"},
    {"watcher_logbuf_size", 0, "", kBytes, Server<&ServerOptions::watcher_logbuf_bytes>,
     {kKilo, kGiga, 1ULL << 10}, "<kilobytes>", kNetwork, kExtended,
     "lines on their way to one watcher; what finds no room is skipped"},
    {"worker_logbuf_size", 0, "", kBytes, Server<&ServerOptions::worker_logbuf_bytes>,
     {kKilo, kGiga, 1ULL << 10}, "<kilobytes>", kNetwork, kExtended,
     "events of one thread on their way to the watchers; what finds no room is dropped"},
    {"maxconns_fast", 0, "", kSwitch, Server<&ServerOptions::maxconns_fast>, {}, "", kNetwork,
     kExtended,
     "refuse connections over the limit with an error instead of letting them wait"},
    {"idle_timeout", 0, "", kNumber, Server<&ServerOptions::idle_timeout_s>, {0, kWholeMax},
     "<seconds>", kNetwork, kExtended,
     "connections idle for longer are closed, but those of a Unix socket; 0 is never"},
    {"pipelined_reads_max", 0, "", kNumber, Server<&ServerOptions::pipelined_reads_max>, {1, 65536},
     "<number>", kNetwork, kExtended,
     "flash reads that one connection may have under way"},
    {"reply_max", 0, "reply_bytes_max", kBytes, Server<&ServerOptions::reply_bytes_max>,
     {64 * kKilo, kGiga}, "<size>", kNetwork, kExtended,
     "unsent replies at which a connection is no longer read from"},
    {"reply_memory", 0, "reply_memory_bytes", kBytes, Server<&ServerOptions::reply_memory_bytes>,
     {0, kTera}, "<size>", kNetwork, kExtended,
     "memory for unsent replies of all connections together; as it is used up each is no longer "
     "read from at less, down to 16k; 0 is a sixteenth of -m, at least 16m"},

    // --- TLS ---
    {"enable-ssl", 'Z', "", kSwitch, Server<&ServerOptions::tls_enabled>, {}, "", kNetwork, 0,
     "TLS for TCP connections; ssl_chain_cert and ssl_key are needed"},
    {"ssl_chain_cert", 0, "", kText, Tls<&TlsOptions::chain_cert>, {}, "<file>", kNetwork, kExtended,
     "certificate chain, PEM; read again by refresh_certs and SIGHUP, as are the key and ssl_ca_cert"},
    {"ssl_key", 0, "", kText, Tls<&TlsOptions::key>, {}, "<file>", kNetwork, kExtended,
     "private key of the certificate, without a pass phrase"},
    {"ssl_keyformat", 0, "", kChoice, Tls<&TlsOptions::key_format>, {}, "<name>", kNetwork, kExtended,
     "format of the key", "PEM,DER"},
    {"ssl_verify_mode", 0, "", kNumber, Tls<&TlsOptions::verify_mode>, {0, 3}, "<number>", kNetwork,
     kExtended,
     "certificates of clients: 0 none is asked for, 1 one that is given must be good, 2 or 3 one is required"},
    {"ssl_ca_cert", 0, "", kText, Tls<&TlsOptions::ca_cert>, {}, "<file>", kNetwork, kExtended,
     "who may have signed certificates of clients, PEM"},
    {"ssl_ciphers", 0, "", kText, Tls<&TlsOptions::ciphers>, {}, "<list>", kNetwork, kExtended,
     "cipher list of TLS 1.2 and below, as openssl ciphers takes it"},
    {"ssl_min_version", 0, "", kNumber, Tls<&TlsOptions::min_version>, {0, 3}, "<number>", kNetwork,
     kExtended,
     "least version of TLS: 2 is TLS 1.2"},
    {"ssl_wbuf_size", 0, "", kBytes, Tls<&TlsOptions::write_buffer_bytes>,
     {kKilo, kMega, 1ULL << 10}, "<kilobytes>", kNetwork, kExtended,
     "buffer of a worker in which small replies become one record"},
    {"ssl_session_cache", 0, "", kSwitch, Tls<&TlsOptions::session_cache>, {}, "", kNetwork, kExtended,
     "let clients resume sessions"},
    {"ssl_kernel_tls", 0, "", kSwitch, Tls<&TlsOptions::kernel_tls>, {}, "", kNetwork, kExtended,
     "let the kernel encrypt, where it can"},
    {"ssl_handshake_timeout", 0, "", kNumber, Tls<&TlsOptions::handshake_timeout_s>, {1, 3600},
     "<seconds>", kNetwork, kExtended,
     "a client that has not finished its handshake by then is hung up on"},

    // --- Memory ---
    {"memory-limit", 'm', "", kBytes, Slab<&SlabOptions::limit_bytes>, {kMega, kTera, 1ULL << 20},
     "<megabytes>", kMemory, kUsage,
     "memory for items"},
    {"max-item-size", 'I', "", kBytes, Slab<&SlabOptions::item_bytes_max>, {kKilo, kGiga}, "<size>",
     kMemory, kUsage,
     "largest item, its key and header included; at most half of -m"},
    {"disable-evictions", 'M', "", kSwitch, Cache<&CacheOptions::evict_to_free>, {}, "", kMemory,
     kClears,
     "answer an error instead of evicting when memory is used up"},
    {"slab-growth-factor", 'f', "", kFraction, Slab<&SlabOptions::growth_factor>, {1.01, 1000},
     "<factor>", kMemory, 0,
     "how much larger each slab class's chunks are than those before; with 1.25 and -m 64 or more those below 1k are closer"},
    {"slab-min-size", 'n', "", kBytes, Slab<&SlabOptions::chunk_bytes_min>, {1, 512 * kKilo},
     "<bytes>", kMemory, 0,
     "room for key, value and flags in the smallest chunk"},
    {"lock-memory", 'k', "", kSwitch, Daemon<&DaemonOptions::lock_memory>, {}, "", kMemory, 0,
     "keep item memory from being paged out"},
    {"memory-file", 'e', "", kText, Cache<&CacheOptions::memory_file>, {}, "<file>", kMemory, 0,
     "keep item memory in this file, on tmpfs or hugetlbfs, where a restart and even a crash leave it"},
    {"enable-largepages", 'L', "", kSwitch, Slab<&SlabOptions::preallocate>, {}, "", kMemory, 0,
     "take all item memory at once, in huge pages where there are any"},
    {"slab_chunk_max", 0, "", kBytes, Slab<&SlabOptions::slab_chunk_bytes_max>,
     {kKilo, kMega, 1ULL << 10}, "<kilobytes>", kMemory, kExtended,
     "largest chunk; larger items are chains of chunks"},
    {"slab_sizes", 0, "", kChunkSizes, Slab<&SlabOptions::slab_sizes>, {}, "<bytes-bytes-...>",
     kMemory, kExtended | kUsage,
     "chunk sizes of the slab classes, instead of -f"},
    {"slab_reassign", 0, "", kSwitch, Cache<&CacheOptions::slab_reassign>, {}, "", kMemory,
     kExtended,
     "pages may move between slab classes"},
    {"slab_automove", 0, "", kNumber, Cache<&CacheOptions::slab_automove>, {0, 2}, "<number>",
     kMemory, kExtended | kOptional,
     "move pages by itself: 0 is off, 1 careful, 2 at every eviction"},
    {"slab_automove_ratio", 0, "", kFraction, Cache<&CacheOptions::slab_automove_ratio>,
     {0.001, 0.999}, "<ratio>", kMemory, kExtended,
     "how much younger than the others a slab class's items must be to be given a page"},
    {"slab_automove_window", 0, "", kNumber, Cache<&CacheOptions::slab_automove_window_s>,
     {3, 1800}, "<seconds>", kMemory, kExtended,
     "how long a slab class is watched before pages move"},

    {"track_sizes", 0, "", kSwitch, Cache<&CacheOptions::track_sizes>, {}, "", kMemory, kExtended,
     "count items by their size, for stats sizes"},

    // --- LRU ---
    {"lru_maintainer", 0, "", kSwitch, Cache<&CacheOptions::lru_maintainer>, {}, "", kLru,
     kExtended,
     "sort items into HOT, WARM and COLD in the background", "", FollowMaintainer},
    {"hot_lru_pct", 0, "", kNumber, Cache<&CacheOptions::hot_lru_pct>, {1, 79}, "<percent>", kLru,
     kExtended,
     "share of a slab class for HOT items; with WARM at most 80"},
    {"warm_lru_pct", 0, "", kNumber, Cache<&CacheOptions::warm_lru_pct>, {1, 79}, "<percent>", kLru,
     kExtended,
     "share of a slab class for WARM items; with HOT at most 80"},
    {"hot_max_factor", 0, "", kFraction, Cache<&CacheOptions::hot_max_factor>, {0.01, 1000},
     "<factor>", kLru, kExtended,
     "items idle for longer than this times the age of COLD leave HOT"},
    {"warm_max_factor", 0, "", kFraction, Cache<&CacheOptions::warm_max_factor>, {0.01, 1000},
     "<factor>", kLru, kExtended,
     "items idle for longer than this times the age of COLD leave WARM"},
    {"temporary_ttl", 0, "", kNumber, Cache<&CacheOptions::temporary_ttl_s>, {-1, kWholeMax},
     "<seconds>", kLru, kExtended | kNegatable,
     "items that live no longer are never evicted before; -1 is off"},
    {"lru_crawler", 0, "", kSwitch, Cache<&CacheOptions::lru_crawler>, {}, "", kLru, kExtended,
     "look for expired items in the background"},
    {"lru_crawler_sleep", 0, "", kNumber, Cache<&CacheOptions::lru_crawler_sleep_us>, {0, 1e6},
     "<microseconds>", kLru, kExtended,
     "pause of the crawler between items"},

    // --- Flash tier ---
    {"flash_path", 0, "", kText, Cache<&CacheOptions::flash_path>, {}, "<directory>", kFlash,
     kExtended,
     "directory of the flash tier, made when missing; without it there is only RAM"},
    {"flash_size", 0, "flash_size_bytes", kBytes, Cache<&CacheOptions::flash_size_bytes>,
     {1, 1024 * kTera}, "<size>", kFlash, kExtended,
     "disk space the flash tier may take; without it the smaller of 8g and a quarter of the free "
     "space"},
    {"flash_read_threads", 0, "ext_threads", kNumber, Cache<&CacheOptions::flash_read_threads>,
     {1, tiering::FlashReader::kThreadsMax}, "<number>", kFlash, kExtended | kLive,
     "threads that read flash; each waits for one read at a time"},
    {"flash_batch", 0, "flash_batch_bytes", kBytes, Cache<&CacheOptions::flash_batch_bytes>,
     {0, kGiga}, "<size>", kFlash, kExtended,
     "items demoted together, one file; 0 is chosen from -m and flash_size"},
    {"flash_item_max", 0, "flash_item_max_bytes", kBytes,
     Cache<&CacheOptions::flash_item_max_bytes>, {0, kGiga}, "<size>", kFlash, kExtended | kLive,
     "larger items stay in RAM; 0 is half a batch"},
    {"flash_item_min", 0, "flash_item_min_bytes", kBytes,
     Cache<&CacheOptions::flash_item_min_bytes>, {0, kGiga}, "<size>", kFlash, kExtended | kLive,
     "smaller items are evicted instead of demoted"},
    {"flash_ttl_min", 0, "flash_ttl_min_s", kNumber, Cache<&CacheOptions::flash_ttl_min_s>,
     {0, kWholeMax}, "<seconds>", kFlash, kExtended | kLive,
     "items that live no longer are evicted instead of demoted"},
    {"flash_admit_unread", 0, "", kSwitch, Cache<&CacheOptions::flash_admit_unread>, {}, "", kFlash,
     kExtended | kLive,
     "demote items that nobody ever read even when flash is full"},
    {"flash_write_rate", 0, "flash_write_rate_bytes", kBytes,
     Cache<&CacheOptions::flash_write_rate_bytes>, {0, kTera}, "<size>", kFlash, kExtended | kLive,
     "bytes written to flash per second; 0 is no limit"},
    {"flash_write_day", 0, "flash_write_day_bytes", kBytes,
     Cache<&CacheOptions::flash_write_day_bytes>, {0, 1024 * kTera}, "<size>", kFlash, kExtended | kLive,
     "bytes written to flash per 24 hours; 0 is no limit"},
    {"promote_hits", 0, "", kNumber, Cache<&CacheOptions::promote_hits>, {0, kPromoteHitsMax},
     "<number>", kFlash, kExtended | kLive,
     "flash hits after which an item moves back to RAM; 0 is never; where n is over 2, each hit after "
     "the first has a chance of 1 in n-1, as with extstore's recache_rate=n-1"},
    {"second_chance_pct", 0, "", kNumber, Cache<&CacheOptions::second_chance_pct>, {0, 100},
     "<percent>", kFlash, kExtended | kLive,
     "share of a dropped batch that may be written again because it was read"},
    {"demotion_wait", 0, "demotion_wait_ms", kNumber, Cache<&CacheOptions::demotion_wait_ms>,
     {0, 10'000}, "<milliseconds>", kFlash, kExtended | kLive,
     "how long a storing connection waits for demotion before RAM evicts; 0 is never"},
    {"flash_read_deadline", 0, "flash_read_deadline_ms", kNumber,
     Cache<&CacheOptions::flash_read_deadline_ms>, {1, 600'000}, "<milliseconds>", kFlash,
     kExtended | kLive,
     "a get that waited longer for flash is a miss"},
    {"flash_wait_deadline", 0, "flash_wait_deadline_ms", kNumber,
     Cache<&CacheOptions::flash_wait_deadline_ms>, {1, 600'000}, "<milliseconds>", kFlash,
     kExtended | kLive,
     "a command that must know and waited longer answers an error"},
    {"flash_read_max", 0, "flash_read_bytes_max", kBytes,
     Cache<&CacheOptions::flash_read_bytes_max>, {kMega, kTera}, "<size>", kFlash, kExtended,
     "memory for records on their way from flash to a reply"},
    {"flash_block_cache", 0, "flash_block_cache_bytes", kBytes,
     Cache<&CacheOptions::flash_block_cache_bytes>, {0, kTera}, "<size>", kFlash, kExtended,
     "memory for blocks of flash files, besides the system's page cache"},
    {"flash_open_files", 0, "flash_open_files_max", kNumber,
     Cache<&CacheOptions::flash_open_files_max>, {16, 1e6}, "<number>", kFlash, kExtended,
     "flash files held open"},
    {"flash_direct_reads", 0, "", kSwitch, Cache<&CacheOptions::flash_direct_reads>, {}, "", kFlash,
     kExtended,
     "read flash past the system's page cache"},
    {"flash_index_dir", 0, "", kText, Cache<&CacheOptions::flash_index_dir>, {}, "<directory>",
     kFlash, kExtended,
     "tmpfs directory for the flash index, which makes flash warm after a crash; none keeps it in "
     "private memory"},
    {"max_downtime", 0, "max_downtime_s", kNumber, Cache<&CacheOptions::max_downtime_s>,
     {0, kWholeMax}, "<seconds>", kFlash, kExtended,
     "flash starts empty if the daemon was down for longer (deletes were missed); 0 is no limit"},
    {"flash_warm_rate", 0, "flash_warm_rate_bytes", kBytes,
     Cache<&CacheOptions::flash_warm_rate_bytes>, {0, kGiga}, "<size>", kFlash, kExtended | kLive,
     "bytes read per second to bring back what was in RAM before a clean stop; 0 brings nothing"},
    {"stop_timeout", 0, "stop_timeout_s", kNumber, Cache<&CacheOptions::stop_timeout_s>,
     {0, 86'400}, "<seconds>", kFlash, kExtended,
     "how long a stop may take to bring what is only in RAM to flash"},
    {"ext_path", 0, "", kList, Accepted<&AcceptedOptions::ext_path>, {}, "<path:size>", kFlash,
     kExtended | kHidden,
     "extstore's spelling of flash_path and flash_size", "", FollowExtPaths},
    {"ext_item_size", 0, "", kBytes, Cache<&CacheOptions::flash_item_min_bytes>, {0, kGiga},
     "<size>", kFlash, kExtended | kHidden | kLive,
     "extstore's spelling of flash_item_min"},
    {"ext_recache_rate", 0, "", kNumber, Accepted<&AcceptedOptions::ext_recache_rate>,
     {0, kPromoteHitsMax - 1}, "<number>", kFlash, kExtended | kHidden | kLive,
     "extstore's spelling of promote_hits, which counts the first hit too", "", FollowRecacheRate},

    // --- Process ---
    {"daemon", 'd', "", kSwitch, Daemon<&DaemonOptions::daemonize>, {}, "", kProcess, 0,
     "run in the background"},
    {"user", 'u', "", kText, Daemon<&DaemonOptions::user>, {}, "<user>", kProcess, 0,
     "user to run as when started by root, who must say so"},
    {"pidfile", 'P', "", kText, Daemon<&DaemonOptions::pid_file>, {}, "<file>", kProcess, 0,
     "file for the process number"},
    {"log-file", 0, "logfile", kText, Daemon<&DaemonOptions::log_file>, {}, "<file>", kProcess, 0,
     "file that log lines are appended to"},
    {"enable-coredumps", 'r', "", kSwitch, Daemon<&DaemonOptions::core_dumps>, {}, "", kProcess, 0,
     "raise the limit of core files; with -d, stay in the current directory"},
    {"verbose", 'v', "", kCounter, Daemon<&DaemonOptions::verbosity>, {}, "", kProcess, 0,
     "log errors and warnings; with -vv commands and replies too"},
    {"config", 0, "", kText, Daemon<&DaemonOptions::config_file>, {}, "<file>", kProcess,
     kNotInFile,
     "read options from this file first; the command line wins"},
    {"extended", 'o', "", kSuboptions, Nothing, {}, "<name=value,...>", kOther, 0,
     "options without a letter; each is a long option too, and a switch that is on is turned off "
     "by no_ in front of its name"},
    {"help", 'h', "", kAction, Nothing, {}, "", kOther, kNotInFile,
     "print this and exit", "", nullptr, StartAction::kHelp},
    {"version", 'V', "", kAction, Nothing, {}, "", kOther, kNotInFile,
     "print the version and exit", "", nullptr, StartAction::kVersion},
    {"license", 'i', "", kAction, Nothing, {}, "", kOther, kNotInFile,
     "print the licence and exit", "", nullptr, StartAction::kLicense},
    {"print-config", 0, "", kAction, Nothing, {}, "", kOther, kNotInFile | kHidden,
     "print etc/terraced.conf", "", nullptr, StartAction::kPrintConfig},
    {"print-manual", 0, "", kAction, Nothing, {}, "", kOther, kNotInFile | kHidden,
     "print the options of the manual page", "", nullptr, StartAction::kPrintManual},
    {"test_commands", 0, "", kSwitch, Server<&ServerOptions::test_commands>, {}, "", kOther,
     kExtended | kHidden,
     "the debug command, for tests"},
    {"kill_at", 0, "", kText, KillAtField, {}, "<point:n>", kOther, kExtended | kHidden,
     "end by SIGKILL at a kill point, for tests; needs test_commands"},
#ifdef TERRACED_MUTANTS
    {"mutant", 0, "", kText, MutantField, {}, "<name>", kOther, kExtended | kHidden,
     "the fault to show, for tests", "", CheckMutant},
#endif

    // --- memcached's, without effect here ---
    {"napi_ids", 'N', "", kNumber, Accepted<&AcceptedOptions::napi_ids>, {1, 256}, "<number>",
     kAccepted, kNoEffect},
    {"hashpower", 0, "", kNumber, Accepted<&AcceptedOptions::hashpower>, {12, 32}, "<number>",
     kAccepted, kExtended | kNoEffect},
    {"hashexpand", 0, "", kSwitch, Accepted<&AcceptedOptions::hashexpand>, {}, "", kAccepted,
     kExtended | kNoEffect},
    {"tail_repair_time", 0, "", kNumber, Accepted<&AcceptedOptions::tail_repair_time_s>,
     {10, kWholeMax}, "<seconds>", kAccepted, kExtended | kNoEffect},
    {"hash_algorithm", 0, "", kChoice, Accepted<&AcceptedOptions::hash_algorithm>, {}, "<name>",
     kAccepted, kExtended | kNoEffect,
     "", "jenkins,murmur3,xxh3"},
    {"lru_crawler_tocrawl", 0, "", kNumber, Accepted<&AcceptedOptions::lru_crawler_tocrawl>,
     {0, 4294967295.0}, "<number>", kAccepted, kExtended | kNoEffect},
    {"read_buf_mem_limit", 0, "", kBytes, Accepted<&AcceptedOptions::read_buf_mem_bytes>,
     {0, kTera, 1ULL << 20}, "<megabytes>", kAccepted, kExtended | kNoEffect},
    {"slab_automove_freeratio", 0, "", kFraction,
     Accepted<&AcceptedOptions::slab_automove_freeratio>, {0, 1}, "<ratio>", kAccepted,
     kExtended | kNoEffect},
    {"modern", 0, "", kSwitch, Accepted<&AcceptedOptions::modern>, {}, "", kOther, kExtended,
     "no_modern: the defaults of memcached 1.4", "", FollowModern},
    Ignored("inline_ascii_resp", kOptional),
    Ignored("resp_obj_mem_limit", kOptional),
    Ignored("sock_cookie_id", 0),
    Ignored("chunked_items", kOptional),
    Ignored("drop_privileges", kOptional),
    IgnoredNumber("ext_page_size", 0),
    IgnoredNumber("ext_wbuf_size", 0),
    IgnoredNumber("ext_io_depth", 0),
    IgnoredNumber("ext_item_age", kLive),
    IgnoredNumber("ext_low_ttl", kLive),
    IgnoredNumber("ext_compact_under", kLive),
    IgnoredNumber("ext_drop_under", kLive),
    {"ext_max_frag", 0, "", kFraction, Accepted<&AcceptedOptions::ext_max_frag>, {0, 1000},
     "<ratio>", kAccepted, kExtended | kNoEffect | kLive},
    IgnoredNumber("ext_max_sleep", kLive),
    Ignored("ext_drop_unread", kOptional | kLive),
};
// clang-format on

bool IsSameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return x == y || ((x == '-' || x == '_') && (y == '-' || y == '_'));
  });
}

}  // namespace

std::string_view GroupTitle(OptionGroup group) {
  switch (group) {
    case kNetwork:
      return "Network";
    case kMemory:
      return "Memory";
    case kLru:
      return "LRU and crawler";
    case kFlash:
      return "Flash tier";
    case kProcess:
      return "Process";
    case kAccepted:
      return "Accepted without effect";
    case kOther:
      break;
  }
  return "Other";
}

std::string OptionSpec::Spelling() const {
  if (letter != 0) return std::string("-") + letter;
  if (Has(kExtended)) return "-o " + std::string(name);
  return "--" + std::string(name);
}

std::span<const OptionSpec> OptionTable() {
  return kOptions;
}

const OptionSpec* FindByLetter(char letter) {
  for (const OptionSpec& spec : kOptions) {
    if (spec.letter == letter && letter != 0) return &spec;
  }
  return nullptr;
}

const OptionSpec* FindByName(std::string_view name, bool extended_only) {
  if (name.empty()) return nullptr;
  for (const OptionSpec& spec : kOptions) {
    if (extended_only && !spec.Has(kExtended)) continue;
    if (IsSameName(spec.name, name) || IsSameName(spec.also, name)) return &spec;
  }
  return nullptr;
}

}  // namespace terraced::server
