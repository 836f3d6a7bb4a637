#include <event2/event.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "src/protocol/text_reply.h"
#include "src/stats.h"
#include "storage/base/memory_reserve.h"

namespace terraced::server {
namespace {

using tiering::CacheStats;
using tiering::ClassCounters;
using tiering::CommandCounters;
using tiering::FlashStats;

std::string Text(uint64_t number) {
  return std::to_string(number);
}
std::string Text(bool flag) {
  return flag ? "1" : "0";
}
const std::string& Text(const std::string& text) {
  return text;
}

// Accessors, so that a row only has to name the field it shows.
template <auto kMember>
std::string Command(const StatsInput& input) {
  return Text(input.cache.commands.*kMember);
}
template <auto kMember>
std::string Cached(const StatsInput& input) {
  return Text(input.cache.*kMember);
}
template <auto kMember>
std::string Flash(const StatsInput& input) {
  return Text(input.cache.flash.*kMember);
}
template <auto kMember>
std::string Store(const StatsInput& input) {
  return Text(input.cache.flash.store.*kMember);
}
template <auto kMember>
std::string Net(const StatsInput& input) {
  return Text(input.server.*kMember);
}
template <auto kMember>
std::string Watched(const StatsInput& input) {
  return Text(input.server.watch.*kMember);
}
template <auto kMember>
std::string Sum(const StatsInput& input) {
  uint64_t sum = 0;
  for (const ClassCounters& one : input.cache.classes) sum += one.*kMember;
  return Text(sum);
}
std::string Zero(const StatsInput&) {
  return "0";
}

std::string CpuTime(timeval rusage::*member) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const timeval time = usage.*member;
  std::array<char, 48> text;
  std::snprintf(text.data(), text.size(), "%ld.%06ld", static_cast<long>(time.tv_sec),
                static_cast<long>(time.tv_usec));
  return text.data();
}
std::string UserTime(const StatsInput&) {
  return CpuTime(&rusage::ru_utime);
}
std::string SystemTime(const StatsInput&) {
  return CpuTime(&rusage::ru_stime);
}
std::string Pid(const StatsInput&) {
  return std::to_string(getpid());
}
std::string Uptime(const StatsInput& input) {
  return Text(uint64_t{input.clock.UptimeS()});
}
std::string Time(const StatsInput& input) {
  return Text(uint64_t{input.clock.NowS()});
}
std::string Version(const StatsInput&) {
  return std::string(kProtocolVersion);
}
std::string OwnVersion(const StatsInput&) {
  return TERRACED_VERSION;
}
std::string LibeventVersion(const StatsInput&) {
  return event_get_version();
}
std::string PointerSize(const StatsInput&) {
  return Text(uint64_t{sizeof(void*) * 8});
}
std::string MaxConnections(const StatsInput& input) {
  return Text(uint64_t{input.options.server.connections_max});
}
std::string Threads(const StatsInput& input) {
  return Text(uint64_t{input.options.server.worker_threads});
}
std::string ReservedDescriptors(const StatsInput& input) {
  return Text(DescriptorsNeeded(input.options) - input.options.server.connections_max);
}
std::string MallocFails(const StatsInput&) {
  return Text(MemoryReserve::Shortages());
}
std::string FlashRam(const StatsInput& input) {
  const FlashStats& flash = input.cache.flash;
  return Text(flash.index_bytes + flash.store.block_cache_bytes + flash.store.table_reader_bytes);
}

constexpr StatUnit kCount = StatUnit::kCount;
constexpr StatUnit kBytes = StatUnit::kBytes;
constexpr StatUnit kSeconds = StatUnit::kSeconds;
constexpr StatUnit kMicroseconds = StatUnit::kMicroseconds;
constexpr StatUnit kFlag = StatUnit::kFlag;
constexpr StatUnit kText = StatUnit::kText;
constexpr StatKind kCounter = StatKind::kCounter;
constexpr StatKind kGauge = StatKind::kGauge;
constexpr StatGroup kGeneral = StatGroup::kGeneral;
constexpr StatGroup kFlash = StatGroup::kFlash;
constexpr StatGroup kTls = StatGroup::kTls;
constexpr StatGroup kExtstore = StatGroup::kExtstore;

// In the order in which `stats` shows them: memcached's, then ours.
constexpr StatSpec kStats[] = {
    {"pid", kCount, kGauge, kGeneral, "process id", &Pid},
    {"uptime", kSeconds, kGauge, kGeneral, "since the start", &Uptime},
    {"time", kSeconds, kGauge, kGeneral, "Unix time as the daemon sees it", &Time},
    {"version", kText, kGauge, kGeneral, "the memcached whose behaviour clients may expect",
     &Version},
    {"terraced_version", kText, kGauge, kGeneral, "terraced's own version", &OwnVersion},
    {"libevent", kText, kGauge, kGeneral, "version of the event library", &LibeventVersion},
    {"pointer_size", kCount, kGauge, kGeneral, "bits of a pointer", &PointerSize},
    {"rusage_user", kSeconds, kCounter, kGeneral, "CPU time in user mode", &UserTime},
    {"rusage_system", kSeconds, kCounter, kGeneral, "CPU time in the kernel", &SystemTime},
    {"max_connections", kCount, kGauge, kGeneral, "-c", &MaxConnections},
    {"curr_connections", kCount, kGauge, kGeneral, "open client connections",
     &Net<&ServerStats::curr_connections>},
    {"total_connections", kCount, kCounter, kGeneral, "connections accepted",
     &Net<&ServerStats::total_connections>},
    {"rejected_connections", kCount, kCounter, kGeneral, "connections closed for being over -c",
     &Net<&ServerStats::rejected_connections>},
    {"connection_structures", kCount, kGauge, kGeneral, "connections held in memory",
     &Net<&ServerStats::curr_connections>},
    {"response_obj_oom", kCount, kCounter, kGeneral, "always 0: the daemon ends where memory does",
     &Zero},
    {"response_obj_count", kCount, kGauge, kGeneral,
     "always 0: replies are blocks, see read_buf_count", &Zero},
    {"response_obj_bytes", kBytes, kGauge, kGeneral,
     "always 0: replies are blocks, see read_buf_bytes", &Zero},
    {"read_buf_count", kCount, kGauge, kGeneral, "blocks of the connections' buffer pools",
     &Net<&ServerStats::read_buf_count>},
    {"read_buf_bytes", kBytes, kGauge, kGeneral, "their size", &Net<&ServerStats::read_buf_bytes>},
    {"read_buf_bytes_free", kBytes, kGauge, kGeneral,
     "always 0: free blocks are within read_buf_bytes", &Zero},
    {"read_buf_oom", kCount, kCounter, kGeneral, "always 0: the daemon ends where memory does",
     &Zero},
    {"reserved_fds", kCount, kGauge, kGeneral, "open files it may have beside connections",
     &ReservedDescriptors},
    {"reply_buf_bytes", kBytes, kGauge, kGeneral,
     "memory of replies that are not sent yet, and of reads under way",
     &Net<&ServerStats::reply_buf_bytes>},
    {"reply_buf_limit_bytes", kBytes, kGauge, kGeneral, "reply_memory",
     &Net<&ServerStats::reply_buf_limit_bytes>},
    {"cmd_get", kCount, kCounter, kGeneral, "keys asked for by get and gets",
     &Command<&CommandCounters::cmd_get>},
    {"cmd_set", kCount, kCounter, kGeneral, "store commands", &Command<&CommandCounters::cmd_set>},
    {"cmd_flush", kCount, kCounter, kGeneral, "flush_all commands",
     &Cached<&CacheStats::cmd_flush>},
    {"cmd_touch", kCount, kCounter, kGeneral, "touch, gat and gats",
     &Command<&CommandCounters::cmd_touch>},
    {"cmd_meta", kCount, kCounter, kGeneral, "meta debug commands",
     &Command<&CommandCounters::cmd_meta>},
    {"get_hits", kCount, kCounter, kGeneral, "keys found, in RAM or on flash",
     &Command<&CommandCounters::get_hits>},
    {"get_misses", kCount, kCounter, kGeneral, "keys not found",
     &Command<&CommandCounters::get_misses>},
    {"get_expired", kCount, kCounter, kGeneral, "misses of items that had expired",
     &Command<&CommandCounters::get_expired>},
    {"get_flushed", kCount, kCounter, kGeneral, "misses of items that were flushed",
     &Command<&CommandCounters::get_flushed>},
    {"delete_misses", kCount, kCounter, kGeneral, "delete of what was not there",
     &Command<&CommandCounters::delete_misses>},
    {"delete_hits", kCount, kCounter, kGeneral, "items deleted",
     &Command<&CommandCounters::delete_hits>},
    {"incr_misses", kCount, kCounter, kGeneral, "incr of what was not there",
     &Command<&CommandCounters::incr_misses>},
    {"incr_hits", kCount, kCounter, kGeneral, "incr done", &Command<&CommandCounters::incr_hits>},
    {"decr_misses", kCount, kCounter, kGeneral, "decr of what was not there",
     &Command<&CommandCounters::decr_misses>},
    {"decr_hits", kCount, kCounter, kGeneral, "decr done", &Command<&CommandCounters::decr_hits>},
    {"cas_misses", kCount, kCounter, kGeneral, "cas of what was not there",
     &Command<&CommandCounters::cas_misses>},
    {"cas_hits", kCount, kCounter, kGeneral, "cas done", &Command<&CommandCounters::cas_hits>},
    {"cas_badval", kCount, kCounter, kGeneral, "cas of an item changed since",
     &Command<&CommandCounters::cas_badval>},
    {"touch_hits", kCount, kCounter, kGeneral, "touch, gat and gats of what was there",
     &Command<&CommandCounters::touch_hits>},
    {"touch_misses", kCount, kCounter, kGeneral, "touch, gat and gats of what was not",
     &Command<&CommandCounters::touch_misses>},
    {"store_too_large", kCount, kCounter, kGeneral, "values refused for their size",
     &Cached<&CacheStats::store_too_large>},
    {"store_no_memory", kCount, kCounter, kGeneral, "values refused for want of memory",
     &Cached<&CacheStats::store_no_memory>},
    {"auth_cmds", kCount, kCounter, kGeneral, "attempts to log in", &Net<&ServerStats::auth_cmds>},
    {"auth_errors", kCount, kCounter, kGeneral, "failed attempts to log in",
     &Net<&ServerStats::auth_errors>},
    {"bytes_read", kBytes, kCounter, kGeneral, "received from clients",
     &Net<&ServerStats::bytes_read>},
    {"bytes_written", kBytes, kCounter, kGeneral, "sent to clients",
     &Net<&ServerStats::bytes_written>},
    {"limit_maxbytes", kBytes, kGauge, kGeneral, "-m", &Cached<&CacheStats::limit_maxbytes>},
    {"accepting_conns", kFlag, kGauge, kGeneral, "whether connections are accepted now",
     &Net<&ServerStats::accepting_conns>},
    {"listen_disabled_num", kCount, kCounter, kGeneral, "times that accepting was paused",
     &Net<&ServerStats::listen_disabled_num>},
    {"time_in_listen_disabled_us", kMicroseconds, kCounter, kGeneral, "how long it was paused",
     &Net<&ServerStats::time_in_listen_disabled_us>},
    {"threads", kCount, kGauge, kGeneral, "-t", &Threads},
    {"conn_yields", kCount, kCounter, kGeneral, "times a connection gave way after -R requests",
     &Net<&ServerStats::conn_yields>},
    {"idle_kicks", kCount, kCounter, kGeneral, "connections closed by idle_timeout",
     &Net<&ServerStats::idle_kicks>},
    {"rejected_by_address", kCount, kCounter, kGeneral,
     "connections closed for an address that allow does not name",
     &Net<&ServerStats::rejected_by_address>},
    {"reply_pauses", kCount, kCounter, kGeneral,
     "times requests waited for a client to read its replies", &Net<&ServerStats::reply_pauses>},
    {"udp_requests_dropped", kCount, kCounter, kGeneral,
     "requests over UDP that came while too many were under way",
     &Net<&ServerStats::udp_requests_dropped>},
    {"udp_replies_dropped", kCount, kCounter, kGeneral,
     "replies over UDP that were too large or could not be sent",
     &Net<&ServerStats::udp_replies_dropped>},
    {"ssl_handshake_errors", kCount, kCounter, kTls,
     "TLS handshakes that failed, were broken off or took too long",
     &Net<&ServerStats::ssl_handshake_errors>},
    {"ssl_proto_errors", kCount, kCounter, kTls,
     "TLS connections that failed after their handshake", &Net<&ServerStats::ssl_proto_errors>},
    {"ssl_new_sessions", kCount, kCounter, kTls, "sessions made for ssl_session_cache",
     &Net<&ServerStats::ssl_new_sessions>},
    {"time_since_server_cert_refresh", kSeconds, kGauge, kTls,
     "since the certificates were read last", &Net<&ServerStats::time_since_server_cert_refresh>},
    {"hash_power_level", kCount, kGauge, kGeneral, "log2 of the RAM index's slots",
     &Cached<&CacheStats::hash_power_level>},
    {"hash_bytes", kBytes, kGauge, kGeneral, "size of the RAM index",
     &Cached<&CacheStats::hash_bytes>},
    {"hash_is_expanding", kFlag, kGauge, kGeneral, "whether it is growing",
     &Cached<&CacheStats::hash_is_expanding>},
    {"slab_reassign_rescues", kCount, kCounter, kGeneral,
     "items moved out of a page that left its class", &Cached<&CacheStats::slab_reassign_rescues>},
    {"slab_reassign_chunk_rescues", kCount, kCounter, kGeneral,
     "always 0: chunks of large items are within slab_reassign_rescues", &Zero},
    {"slab_reassign_evictions_nomem", kCount, kCounter, kGeneral,
     "always 0: they are within evictions", &Zero},
    {"slab_reassign_inline_reclaim", kCount, kCounter, kGeneral, "always 0: not counted by itself",
     &Zero},
    {"slab_reassign_busy_items", kCount, kCounter, kGeneral, "items that were pinned then",
     &Cached<&CacheStats::slab_reassign_busy_items>},
    {"slab_reassign_busy_deletes", kCount, kCounter, kGeneral,
     "always 0: a page waits for pinned items, or stays", &Zero},
    {"slab_reassign_running", kFlag, kGauge, kGeneral, "whether a page is leaving its class",
     &Cached<&CacheStats::slab_reassign_running>},
    {"slabs_moved", kCount, kCounter, kGeneral, "pages moved between classes",
     &Cached<&CacheStats::slabs_moved>},
    {"lru_crawler_running", kFlag, kGauge, kGeneral, "whether the crawler is at work",
     &Cached<&CacheStats::lru_crawler_running>},
    {"lru_crawler_starts", kCount, kCounter, kGeneral, "times it began",
     &Cached<&CacheStats::lru_crawler_starts>},
    {"lru_maintainer_juggles", kCount, kCounter, kGeneral, "rounds of the LRU maintainer",
     &Cached<&CacheStats::lru_maintainer_juggles>},
    {"malloc_fails", kCount, kCounter, kGeneral,
     "allocations refused by the system that opened the reserve", &MallocFails},
    {"log_worker_dropped", kCount, kCounter, kGeneral,
     "events lost because worker_logbuf_size was full", &Watched<&WatchStats::dropped>},
    {"log_worker_written", kCount, kCounter, kGeneral, "events of classes that were watched",
     &Watched<&WatchStats::written>},
    {"log_watcher_skipped", kCount, kCounter, kGeneral,
     "lines that watchers missed because watcher_logbuf_size was full",
     &Watched<&WatchStats::skipped>},
    {"log_watcher_sent", kCount, kCounter, kGeneral, "lines for watchers",
     &Watched<&WatchStats::sent>},
    {"log_watchers", kCount, kGauge, kGeneral, "clients that watch",
     &Watched<&WatchStats::watchers>},
    {"unexpected_napi_ids", kCount, kCounter, kGeneral,
     "always 0: workers are not chosen by NAPI id", &Zero},
    {"round_robin_fallback", kCount, kCounter, kGeneral,
     "always 0: workers are not chosen by NAPI id", &Zero},
    {"bytes", kBytes, kGauge, kGeneral, "items in RAM: header, key and value",
     &Cached<&CacheStats::bytes>},
    {"curr_items", kCount, kGauge, kGeneral, "keys that can be answered, from RAM or flash",
     &Cached<&CacheStats::curr_items>},
    {"ram_items", kCount, kGauge, kGeneral, "those of them that are in RAM",
     &Cached<&CacheStats::ram_items>},
    {"total_items", kCount, kCounter, kGeneral, "items stored",
     &Command<&CommandCounters::total_items>},
    {"slab_global_page_pool", kCount, kGauge, kGeneral, "pages that belong to no class",
     &Cached<&CacheStats::slab_global_page_pool>},
    {"expired_unfetched", kCount, kCounter, kGeneral, "items that expired without ever being read",
     &Sum<&ClassCounters::expired_unfetched>},
    {"evicted_unfetched", kCount, kCounter, kGeneral, "items evicted without ever being read",
     &Sum<&ClassCounters::evicted_unfetched>},
    {"evicted_active", kCount, kCounter, kGeneral, "items evicted though they were read lately",
     &Sum<&ClassCounters::evicted_active>},
    {"evictions", kCount, kCounter, kGeneral,
     "live keys lost: from RAM without a flash copy, and in dropped batches",
     &Cached<&CacheStats::evictions>},
    {"reclaimed", kCount, kCounter, kGeneral, "expired items whose room was used again",
     &Sum<&ClassCounters::reclaimed>},
    {"crawler_reclaimed", kCount, kCounter, kGeneral, "expired items found by the crawler",
     &Sum<&ClassCounters::crawler_reclaimed>},
    {"crawler_items_checked", kCount, kCounter, kGeneral, "items the crawler looked at",
     &Sum<&ClassCounters::crawler_items_checked>},
    {"lrutail_reflocked", kCount, kCounter, kGeneral, "pinned items met at an LRU tail",
     &Sum<&ClassCounters::lrutail_reflocked>},
    {"moves_to_cold", kCount, kCounter, kGeneral, "items moved from HOT or WARM to COLD",
     &Sum<&ClassCounters::moves_to_cold>},
    {"moves_to_warm", kCount, kCounter, kGeneral, "items moved to WARM",
     &Sum<&ClassCounters::moves_to_warm>},
    {"moves_within_lru", kCount, kCounter, kGeneral, "active items moved to the head of their list",
     &Sum<&ClassCounters::moves_within_lru>},
    {"direct_reclaims", kCount, kCounter, kGeneral, "stores that had to make room themselves",
     &Sum<&ClassCounters::direct_reclaims>},
    {"lru_bumps_dropped", kCount, kCounter, kGeneral,
     "always 0: reads move items under their shard mutex", &Zero},

    {"get_hits_ram", kCount, kCounter, kFlash, "get_hits answered from RAM",
     &Command<&CommandCounters::get_hits_ram>},
    {"get_hits_flash", kCount, kCounter, kFlash, "get_hits answered from flash",
     &Command<&CommandCounters::get_hits_flash>},
    {"flash_state", kText, kGauge, kFlash, "off, online, or offline and why",
     &Flash<&FlashStats::state>},
    {"flash_start", kText, kGauge, kFlash, "warm, or why the tier began empty",
     &Flash<&FlashStats::start>},
    {"flash_hot_list", kText, kGauge, kFlash,
     "what the last clean stop found in RAM: none, off, warming, done, RAM is full, or failed",
     &Flash<&FlashStats::hot_list>},
    {"flash_hot_list_keys", kCount, kGauge, kFlash, "keys in that list",
     &Flash<&FlashStats::hot_list_keys>},
    {"flash_hot_list_seen", kCount, kGauge, kFlash, "of them, those that were looked at so far",
     &Flash<&FlashStats::hot_list_seen>},
    {"flash_hot_list_warmed", kCount, kGauge, kFlash,
     "of them, those that moved back to RAM; the others were there or are gone",
     &Flash<&FlashStats::hot_list_warmed>},
    {"flash_online", kFlag, kGauge, kFlash, "whether the tier is in use",
     &Flash<&FlashStats::online>},
    {"flash_limit_bytes", kBytes, kGauge, kFlash, "flash_size", &Flash<&FlashStats::limit_bytes>},
    {"flash_bytes_used", kBytes, kGauge, kFlash, "of it on disk now",
     &Flash<&FlashStats::bytes_used>},
    {"flash_bytes_dead", kBytes, kGauge, kFlash,
     "of them, about so many of records that are overwritten, deleted or in RAM again",
     &Flash<&FlashStats::bytes_dead>},
    {"flash_items", kCount, kGauge, kFlash, "records that can be read", &Flash<&FlashStats::items>},
    {"flash_batches", kCount, kGauge, kFlash, "batches (files) living now",
     &Flash<&FlashStats::batches>},
    {"flash_batches_free", kCount, kGauge, kFlash, "as many more have room in the quota",
     &Flash<&FlashStats::batches_free>},
    {"flash_batches_written", kCount, kCounter, kFlash, "batches written",
     &Flash<&FlashStats::batches_written>},
    {"flash_batches_failed", kCount, kCounter, kFlash, "batches given up for an error of the disk",
     &Flash<&FlashStats::batches_failed>},
    {"flash_batches_dropped", kCount, kCounter, kFlash, "batches dropped to keep the quota",
     &Flash<&FlashStats::batches_dropped>},
    {"flash_batches_damaged", kCount, kCounter, kFlash,
     "of them, batches whose list of key hashes could not be read",
     &Flash<&FlashStats::batches_damaged>},
    {"flash_turned_off", kCount, kCounter, kFlash,
     "times the tier was turned off because the disk kept failing", &Flash<&FlashStats::outages>},
    {"flash_demoted_items", kCount, kCounter, kFlash, "items moved from RAM to flash",
     &Flash<&FlashStats::demoted_items>},
    {"flash_demoted_bytes", kBytes, kCounter, kFlash, "their keys and values before compression",
     &Flash<&FlashStats::demoted_bytes>},
    {"flash_bytes_written", kBytes, kCounter, kFlash, "written to files",
     &Flash<&FlashStats::bytes_written>},
    {"flash_clean_drops", kCount, kCounter, kFlash,
     "items dropped from RAM that flash held unchanged", &Flash<&FlashStats::clean_drops>},
    {"flash_promotions", kCount, kCounter, kFlash, "items that moved back to RAM",
     &Command<&CommandCounters::flash_promotions>},
    {"flash_second_chances", kCount, kCounter, kFlash,
     "records that were hit and rewritten before their batch went",
     &Flash<&FlashStats::second_chances>},
    {"flash_records_evicted", kCount, kCounter, kFlash, "live records lost with a dropped batch",
     &Flash<&FlashStats::records_evicted>},
    {"flash_record_bytes_evicted", kBytes, kCounter, kFlash, "their share of the files",
     &Flash<&FlashStats::record_bytes_evicted>},
    {"flash_reads", kCount, kCounter, kFlash, "records read", &Flash<&FlashStats::reads>},
    {"flash_reads_coalesced", kCount, kCounter, kFlash, "commands that joined a read under way",
     &Flash<&FlashStats::reads_coalesced>},
    {"flash_reads_retried", kCount, kCounter, kFlash, "reads whose key had changed meanwhile",
     &Command<&CommandCounters::flash_reads_retried>},
    {"flash_read_misses", kCount, kCounter, kFlash, "reads that met only records of other keys",
     &Command<&CommandCounters::flash_read_misses>},
    {"flash_reads_timed_out", kCount, kCounter, kFlash, "commands whose read took too long",
     &Flash<&FlashStats::reads_timed_out>},
    {"flash_read_errors", kCount, kCounter, kFlash, "reads that failed",
     &Flash<&FlashStats::read_errors>},
    {"flash_records_corrupt", kCount, kCounter, kFlash, "records that failed their check",
     &Flash<&FlashStats::records_corrupt>},
    {"flash_read_queue", kCount, kGauge, kFlash, "reads waiting for a reader",
     &Flash<&FlashStats::read_queue>},
    {"flash_waits", kCount, kCounter, kFlash, "commands that waited for flash",
     &Net<&ServerStats::flash_waits>},
    {"flash_room_waits", kCount, kCounter, kFlash, "store commands held back for the demoter",
     &Net<&ServerStats::room_waits>},
    {"flash_demotion_waits", kCount, kCounter, kFlash,
     "times a store command was told to wait a moment", &Flash<&FlashStats::demotion_waits>},
    {"flash_demotions_cancelled", kCount, kCounter, kFlash,
     "items changed while they were on their way to flash",
     &Command<&CommandCounters::flash_demotions_cancelled>},
    {"flash_items_too_large", kCount, kCounter, kFlash,
     "items over flash_item_max that stayed in RAM", &Flash<&FlashStats::items_too_large>},
    {"flash_items_not_admitted", kCount, kCounter, kFlash, "items that admission kept off flash",
     &Flash<&FlashStats::items_not_admitted>},
    {"flash_index_bytes", kBytes, kGauge, kFlash, "RAM of the flash index",
     &Flash<&FlashStats::index_bytes>},
    {"flash_index_slots", kCount, kGauge, kFlash, "its slots, used and free",
     &Flash<&FlashStats::index_slots>},
    {"flash_index_growths", kCount, kCounter, kFlash, "times a partition of it grew",
     &Flash<&FlashStats::index_growths>},
    {"flash_index_full", kCount, kCounter, kFlash, "records that found no slot",
     &Flash<&FlashStats::index_full>},
    {"flash_index_collisions", kCount, kCounter, kFlash,
     "live records lost with a neighbour of equal fingerprint",
     &Command<&CommandCounters::flash_index_collisions>},
    {"flash_removals_unverified", kCount, kGauge, kFlash,
     "removed slots not yet told apart from collisions", &Flash<&FlashStats::removals_unverified>},
    {"flash_removals_not_verified", kCount, kCounter, kFlash, "removed slots that never will be",
     &Flash<&FlashStats::removals_not_verified>},
    {"flash_block_cache_bytes", kBytes, kGauge, kFlash, "RAM of RocksDB's block cache",
     &Store<&storage::BatchStoreStats::block_cache_bytes>},
    {"flash_block_cache_limit_bytes", kBytes, kGauge, kFlash, "its limit",
     &Store<&storage::BatchStoreStats::block_cache_limit_bytes>},
    {"flash_table_reader_bytes", kBytes, kGauge, kFlash, "RAM of RocksDB's open files",
     &Store<&storage::BatchStoreStats::table_reader_bytes>},
    {"flash_ram_bytes", kBytes, kGauge, kFlash,
     "RAM that flash costs: index, block cache, open files", &FlashRam},
    {"flash_files", kCount, kGauge, kFlash, "files RocksDB counts",
     &Store<&storage::BatchStoreStats::files>},
    {"flash_rocksdb_get_calls", kCount, kCounter, kFlash, "lookups RocksDB counts",
     &Store<&storage::BatchStoreStats::rocksdb_get_calls>},
    {"flash_rocksdb_get_bytes", kBytes, kCounter, kFlash, "of the records it found",
     &Store<&storage::BatchStoreStats::rocksdb_get_bytes>},

    {"get_extstore", kCount, kCounter, kExtstore, "flash_reads", &Flash<&FlashStats::reads>},
    {"get_aborted_extstore", kCount, kCounter, kExtstore, "flash_reads_timed_out",
     &Flash<&FlashStats::reads_timed_out>},
    {"get_oom_extstore", kCount, kCounter, kExtstore,
     "always 0: a read that finds no memory ends the daemon", &Zero},
    {"recache_from_extstore", kCount, kCounter, kExtstore, "flash_promotions",
     &Command<&CommandCounters::flash_promotions>},
    {"miss_from_extstore", kCount, kCounter, kExtstore, "flash_read_misses",
     &Command<&CommandCounters::flash_read_misses>},
    {"badcrc_from_extstore", kCount, kCounter, kExtstore, "flash_records_corrupt",
     &Flash<&FlashStats::records_corrupt>},
    {"extstore_compact_lost", kCount, kCounter, kExtstore,
     "always 0: what is lost is lost with a dropped batch", &Zero},
    {"extstore_compact_rescues", kCount, kCounter, kExtstore, "flash_second_chances",
     &Flash<&FlashStats::second_chances>},
    {"extstore_compact_skipped", kCount, kCounter, kExtstore, "always 0, likewise", &Zero},
    {"extstore_page_allocs", kCount, kCounter, kExtstore, "flash_batches_written",
     &Flash<&FlashStats::batches_written>},
    {"extstore_page_evictions", kCount, kCounter, kExtstore, "flash_batches_dropped",
     &Flash<&FlashStats::batches_dropped>},
    {"extstore_page_reclaims", kCount, kCounter, kExtstore, "flash_batches_dropped",
     &Flash<&FlashStats::batches_dropped>},
    {"extstore_pages_free", kCount, kGauge, kExtstore, "flash_batches_free",
     &Flash<&FlashStats::batches_free>},
    {"extstore_pages_used", kCount, kGauge, kExtstore, "flash_batches",
     &Flash<&FlashStats::batches>},
    {"extstore_objects_evicted", kCount, kCounter, kExtstore, "flash_records_evicted",
     &Flash<&FlashStats::records_evicted>},
    {"extstore_objects_read", kCount, kCounter, kExtstore, "flash_reads",
     &Flash<&FlashStats::reads>},
    {"extstore_objects_written", kCount, kCounter, kExtstore, "flash_demoted_items",
     &Flash<&FlashStats::demoted_items>},
    {"extstore_objects_used", kCount, kGauge, kExtstore, "flash_items", &Flash<&FlashStats::items>},
    {"extstore_bytes_evicted", kBytes, kCounter, kExtstore, "flash_record_bytes_evicted",
     &Flash<&FlashStats::record_bytes_evicted>},
    {"extstore_bytes_read", kBytes, kCounter, kExtstore, "flash_rocksdb_get_bytes",
     &Store<&storage::BatchStoreStats::rocksdb_get_bytes>},
    {"extstore_bytes_fragmented", kBytes, kGauge, kExtstore, "flash_bytes_dead",
     &Flash<&FlashStats::bytes_dead>},
    {"extstore_bytes_written", kBytes, kCounter, kExtstore, "flash_bytes_written",
     &Flash<&FlashStats::bytes_written>},
    {"extstore_bytes_used", kBytes, kGauge, kExtstore, "flash_bytes_used",
     &Flash<&FlashStats::bytes_used>},
    {"extstore_limit_maxbytes", kBytes, kGauge, kExtstore, "flash_limit_bytes",
     &Flash<&FlashStats::limit_bytes>},
    {"extstore_io_queue", kCount, kGauge, kExtstore, "flash_read_queue",
     &Flash<&FlashStats::read_queue>},
};

std::string_view NameOf(StatUnit unit) {
  switch (unit) {
    case StatUnit::kBytes:
      return "bytes";
    case StatUnit::kSeconds:
      return "s";
    case StatUnit::kMicroseconds:
      return "µs";
    case StatUnit::kFlag:
      return "0 or 1";
    case StatUnit::kText:
      return "text";
    default:
      return "";
  }
}

}  // namespace

std::span<const StatSpec> Stats() {
  return kStats;
}

std::string StatsDocumentation() {
  std::string table = "| name | unit | kind | meaning |\n|---|---|---|---|\n";
  for (const StatSpec& stat : kStats) {
    table.append("| ").append(stat.name).append(" | ").append(NameOf(stat.unit)).append(" | ");
    table.append(stat.kind == kCounter ? "counter" : "gauge").append(" | ");
    if (stat.group == kExtstore) table.append("the same as ");
    table.append(stat.help).append(" |\n");
  }
  return table;
}

}  // namespace terraced::server
