// The command table: one row for each word of the wire: who runs it, how many tokens it takes and how it
// behaves. Codecs, connections, tests and the fuzz dictionary walk the same rows. Opcodes: binary_table.h.
// Threads: constant. Errors: a word without a row is unknown.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "src/protocol/reply_sink.h"
#include "src/protocol/request.h"
#include "src/server_options.h"
#include "src/watch/watch_hub.h"
#include "storage/base/clock.h"
#include "storage/base/status.h"
#include "tiering/cache.h"

namespace terraced::server {

class Authentication;
class ListingTours;
class PrefixStats;  // src/prefix_stats.h

// What `stats`, `extstore`, `shutdown` and `debug` ask of the daemon around the cache.
class ServerControl {
 public:
  // False: there is no such group.
  virtual bool WriteStats(std::string_view group, ReplySink& sink) = 0;
  virtual void ResetStats() = 0;
  // Errors: as ChangeOption (option_change.h); kUnavailable: no memory or no thread for it.
  virtual Status ChangeSetting(std::string_view name, std::string_view value) = 0;
  // For connections that come from here on. Errors: kUnavailable: there is no TLS; else the old certificates stay.
  virtual Status RefreshCertificates() = 0;
  // As SIGINT does, or `graceful` as SIGUSR1; returns at once.
  virtual void RequestStop(bool graceful) = 0;
  // Of `stats conns`, which no thread can answer by itself.
  virtual ListingTours& Tours() = 0;

 protected:
  ~ServerControl() = default;
};

// All that a handler may use; one per worker.
struct CommandContext {
  tiering::Cache& cache;
  const Clock& clock;
  const ServerOptions& options;
  ServerControl& control;
  PrefixStats& prefixes;
  WatchHub& watch = UnusedWatchHub();
  const Authentication* authentication = nullptr;  // with -S or -Y
};

// What a handler leaves to do.
enum class Step : uint8_t {
  kDone,         // answered (or silent)
  kNeedsFlash,   // nothing answered: run again once evidence->need was read
  kFlashFailed,  // gat: this key could not be brought up, the whole command must not look complete
  kClose,        // answer what is outstanding, then close
  kListConnections,  // `stats conns`: answer when every worker has been asked
  kDump,             // the cache's dump has begun: write it piece by piece
  kDemote,           // `debug demote`: answer OK when the cache says so
  kWatch,            // the connection takes no more commands and is sent what it asked to watch
  kLogIn,            // SASL or -Y: the connection knows how far its client has come
};

enum class Verb : uint8_t {
  kGet,
  kGets,
  kGat,
  kGats,
  kSet,
  kAdd,
  kReplace,
  kAppend,
  kPrepend,
  kCas,
  kDelete,
  kTouch,
  kIncr,
  kDecr,
  kFlushAll,
  kStats,
  kVersion,
  kVerbosity,
  kExtstore,
  kShutdown,
  kRefreshCerts,
  kWatch,
  kQuit,
  kDebug,
  kMetaGet,
  kMetaSet,
  kMetaDelete,
  kMetaArithmetic,
  kMetaDebug,
  kMetaNoop,
  kAdministration,  // lru, lru_crawler, slabs, cache_memlimit: words that their handlers look at
  kLogin,           // -Y
  kSaslList,
  kSaslAuth,
  kSaslStep,
  kRefused,  // no word of the wire: a request the codec could not accept
};

enum CommandFlags : uint32_t {
  kReads = 1U << 0,   // may overlap with earlier reads of the same connection
  kWrites = 1U << 1,  // waits for them: what it changes must not show in their answers
  kStores = 1U << 2,  // a data block follows
  kManyKeys = 1U << 3,
  kTakesExptime = 1U << 4,  // before the keys
  kTakesNoreply = 1U << 5,
  kAnswersCas = 1U << 6,
  kTestOnly = 1U << 7,       // exists with -o test_commands
  kMeta = 1U << 8,           // its words are flags, and its answers the meta protocol's
  kSwallows = 1U << 9,       // a data block follows, which nobody wants
  kAnswersValue = 1U << 10,  // of each key: as long as values are
  kBinary = 1U << 11,        // of the binary protocol
  kLogsIn =
      1U << 12,  // what follows is decoded when it was run: it may be a stranger's or a client's
};

// The evidence is empty the first time and carries a fill (or the news that there will be none) afterwards.
using Handler = Step (*)(const CommandContext& context, const Request& request,
                         tiering::Evidence* evidence, ReplySink& sink);

struct CommandSpec {
  std::string_view word;
  Verb verb;
  uint8_t tokens_min;  // the word itself counts
  uint8_t tokens_max;
  uint32_t flags;
  Handler handler;

  bool Has(uint32_t flag) const { return (flags & flag) != 0; }
  // What stands behind a data block.
  std::string_view BlockEnd() const { return Has(kBinary) ? std::string_view() : "\r\n"; }
};
constexpr uint8_t kAnyTokens = 255;

std::span<const CommandSpec> Commands();
const CommandSpec* FindCommand(std::string_view word);  // nullptr: unknown
// mg with a flag that changes the item.
const CommandSpec& ChangingMetaGet();
const CommandSpec& LoginCommand();  // of user and password
const CommandSpec& RefusedCommand();
const CommandSpec& RefusedBlockCommand();  // of value_bytes and the line end

// get.cc
Step HandleGet(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleGetAndTouch(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleMetaGet(const CommandContext&, const Request&, tiering::Evidence*,
                   ReplySink&);  // mg, me
// store.cc
Step HandleStore(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
// Where the value of a store command will be written; the answer (if it is refused) was given.
tiering::AllocateResult BeginStore(const CommandContext& context, const Request& request,
                                   bool may_wait, tiering::Draft* draft, ReplySink& sink);
// delete.cc
Step HandleDelete(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleTouch(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
// arithmetic.cc
Step HandleArithmetic(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
// lru_commands.cc
Step HandleLru(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleLruCrawler(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
// slabs_commands.cc
Step HandleSlabs(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleCacheMemlimit(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
// stats_commands.cc: false: the group is not one of its.
bool RunStatsCommand(const CommandContext& context, const Request& request, ReplySink& sink);
// admin.cc
Step HandleFlushAll(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleStats(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleVersion(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleVerbosity(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleExtstore(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleMetaNoop(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleQuit(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleDebug(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleRefused(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
// login.cc
Step HandleLogin(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleSasl(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
// process_commands.cc
Step HandleShutdown(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
Step HandleRefreshCerts(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);
// watch.cc
Step HandleWatch(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&);

}  // namespace terraced::server
