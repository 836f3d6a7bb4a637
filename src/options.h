// Options: everything the daemon can be told, and how it is told: the command line, its -o list,
// the configuration file. One table (src/option_table.h) drives all of them and the documents.
// Threads: plain values, made by the main thread before any other exists.
// Ownership: owns its text; the arguments are only read during the call.
// Errors: one Status whose message names the option, and file and line where it stood there, and
// says what would be right. A value that cannot be is ParseCommandLine's (memcached exits 1),
// options that contradict each other are CheckOptions's (memcached exits 64). A few values that
// cannot be exit 64 in memcached too: their Status is kNotFound (kUsage in the table). Sources:
// memcached 1.6.18 -h, and its behaviour for everything -h leaves open.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "src/server_options.h"
#include "storage/base/status.h"
#include "tiering/cache_options.h"

namespace terraced::server {

// memcached's options that change nothing here. They are read, so that a working command line stays
// one, and kept, because `stats settings` shows them.
struct AcceptedOptions {
  std::string protocol = "auto";  // -B, which binding_protocol follows
  bool protocol_given = false;
  std::string unix_mask = "700";  // -a, which the server's follows
  std::string allow;              // as given
  uint32_t napi_ids = 0;          // -N
  uint32_t hashpower = 0;
  bool hashexpand = true;
  uint32_t tail_repair_time_s = 0;
  std::string hash_algorithm = "murmur3";
  uint32_t lru_crawler_tocrawl = 0;
  uint64_t read_buf_mem_bytes = 0;
  double slab_automove_freeratio = 0.01;
  bool modern = true;
  double ext_max_frag = 0.8;
  std::vector<std::string> ext_path;  // PATH:SIZE each, taken apart into flash_path and flash_size
  uint32_t ext_recache_rate = 0;      // promote_hits follows it
  std::string ignored;                // values of options that nothing shows
};

struct Options {
  tiering::CacheOptions cache;
  ServerOptions server;
  DaemonOptions daemon;
  AcceptedOptions accepted;
  std::string kill_at;  // tests only: <point>:<n>, see storage/base/kill_point.h
  std::string mutant;   // only in builds with TERRACED_MUTANTS
};

enum class StartAction : uint8_t {
  kServe,
  kHelp,
  kVersion,
  kLicense,
  kPrintConfig,  // hidden: etc/terraced.conf
  kPrintManual,  // hidden: the OPTIONS section of man/terraced.1
};

struct CommandLine {
  StartAction action = StartAction::kServe;
  Options options;
  std::vector<std::string> notices;  // lines to log: options without effect here
};

// `arguments` without the program's name. Reads the file that --config names; what the command line
// says wins over it.
Result<CommandLine> ParseCommandLine(std::span<const char* const> arguments);

// Contradictions between options; fills in what follows from others (item_bytes_max of the server).
Status CheckOptions(Options* options);
// Those between options that can be changed while the daemon runs.
Status CheckLiveOptions(const Options& options);

// The flash quota against the filesystem. `used_bytes` is what the tier's directory holds already:
// it may be used again. Without flash_size: the smaller of 8 GB and a quarter of what could be
// used.
struct FlashSpace {
  uint64_t free_bytes = 0;
  uint64_t used_bytes = 0;
};
constexpr uint64_t kFlashSizeDefaultBytes = 8ULL << 30;
constexpr uint64_t kFlashBatchesLeast = 16;
// What so many batches of the size that the cache will choose take; never less than the cache asks for.
uint64_t FlashSizeLeast(const Options& options);
// What the unsent replies of all connections may take: reply_memory, or what follows from -m.
constexpr uint64_t kReplyMemoryLeastBytes = 16ULL << 20;
uint64_t ReplyMemoryBytes(const Options& options);
Status ResolveFlashSize(Options* options, const FlashSpace& space);

// Descriptors that the options ask for: connections, flash files, and a reserve for everything
// else.
constexpr uint64_t kDescriptorsReserve = 64;
uint64_t DescriptorsNeeded(const Options& options);

// `stats settings`, in memcached's order and spelling, then ours.
std::vector<std::pair<std::string, std::string>> SettingsForStats(const Options& options);

}  // namespace terraced::server
