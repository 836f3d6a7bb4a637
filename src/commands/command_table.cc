#include "src/commands/command_table.h"

namespace terraced::server {
namespace {

constexpr uint32_t kStoreFlags = kWrites | kStores | kTakesNoreply;
constexpr uint32_t kTouchesMany = kWrites | kManyKeys | kTakesExptime | kAnswersValue;

// The most frequent words first: the search is linear. Token counts are memcached's, including those that it
// only tolerates (`set k 0 0 1 junk` stores).
constexpr CommandSpec kCommands[] = {
    {"get", Verb::kGet, 2, kAnyTokens, kReads | kManyKeys | kAnswersValue, &HandleGet},
    {"set", Verb::kSet, 5, 6, kStoreFlags, &HandleStore},
    {"gets", Verb::kGets, 2, kAnyTokens, kReads | kManyKeys | kAnswersCas | kAnswersValue,
     &HandleGet},
    {"delete", Verb::kDelete, 2, 4, kWrites | kTakesNoreply, &HandleDelete},
    {"incr", Verb::kIncr, 3, 4, kWrites | kTakesNoreply, &HandleArithmetic},
    {"decr", Verb::kDecr, 3, 4, kWrites | kTakesNoreply, &HandleArithmetic},
    {"add", Verb::kAdd, 5, 6, kStoreFlags, &HandleStore},
    {"replace", Verb::kReplace, 5, 6, kStoreFlags, &HandleStore},
    {"append", Verb::kAppend, 5, 6, kStoreFlags, &HandleStore},
    {"prepend", Verb::kPrepend, 5, 6, kStoreFlags, &HandleStore},
    {"cas", Verb::kCas, 6, 7, kStoreFlags, &HandleStore},
    {"touch", Verb::kTouch, 3, 4, kWrites | kTakesNoreply, &HandleTouch},
    {"gat", Verb::kGat, 2, kAnyTokens, kTouchesMany, &HandleGetAndTouch},
    {"gats", Verb::kGats, 2, kAnyTokens, kTouchesMany | kAnswersCas, &HandleGetAndTouch},
    {"bget", Verb::kGet, 2, kAnyTokens, kReads | kManyKeys | kAnswersValue, &HandleGet},
    {"flush_all", Verb::kFlushAll, 1, 3, kWrites | kTakesNoreply, &HandleFlushAll},
    {"stats", Verb::kStats, 1, kAnyTokens, kReads, &HandleStats},
    {"version", Verb::kVersion, 1, kAnyTokens, kReads, &HandleVersion},
    {"verbosity", Verb::kVerbosity, 2, 3, kReads | kTakesNoreply, &HandleVerbosity},
    {"extstore", Verb::kExtstore, 1, kAnyTokens, kWrites | kTakesNoreply, &HandleExtstore},
    {"shutdown", Verb::kShutdown, 1, kAnyTokens, kWrites, &HandleShutdown},
    {"lru", Verb::kAdministration, 1, kAnyTokens, kReads | kTakesNoreply, &HandleLru},
    {"lru_crawler", Verb::kAdministration, 1, kAnyTokens, kReads, &HandleLruCrawler},
    {"slabs", Verb::kAdministration, 1, kAnyTokens, kReads, &HandleSlabs},
    {"cache_memlimit", Verb::kAdministration, 2, kAnyTokens, kReads | kTakesNoreply,
     &HandleCacheMemlimit},
    {"refresh_certs", Verb::kRefreshCerts, 1, kAnyTokens, kReads | kTakesNoreply,
     &HandleRefreshCerts},
    {"watch", Verb::kWatch, 1, kAnyTokens, kReads | kTakesNoreply, &HandleWatch},
    {"quit", Verb::kQuit, 1, kAnyTokens, kReads, &HandleQuit},
    {"debug", Verb::kDebug, 2, 4, kWrites | kTestOnly, &HandleDebug},
    {"mg", Verb::kMetaGet, 2, kAnyTokens, kReads | kMeta | kAnswersValue, &HandleMetaGet},
    {"ms", Verb::kMetaSet, 3, kAnyTokens, kWrites | kStores | kMeta, &HandleStore},
    {"md", Verb::kMetaDelete, 2, kAnyTokens, kWrites | kMeta, &HandleDelete},
    {"ma", Verb::kMetaArithmetic, 2, kAnyTokens, kWrites | kMeta, &HandleArithmetic},
    {"me", Verb::kMetaDebug, 2, kAnyTokens, kReads | kMeta, &HandleMetaGet},
    {"mn", Verb::kMetaNoop, 1, kAnyTokens, kReads | kMeta, &HandleMetaNoop},
};
constexpr CommandSpec kChangingMetaGet = {
    "mg", Verb::kMetaGet, 2, kAnyTokens, kWrites | kMeta | kAnswersValue, &HandleMetaGet};
constexpr CommandSpec kLoginRow = {"", Verb::kLogin, 0, kAnyTokens, kReads | kLogsIn, &HandleLogin};
constexpr CommandSpec kRefused = {"", Verb::kRefused, 0, kAnyTokens, kReads, &HandleRefused};
constexpr CommandSpec kRefusedBlock = {"",         Verb::kRefused,     0,
                                       kAnyTokens, kReads | kSwallows, &HandleRefused};

}  // namespace

std::span<const CommandSpec> Commands() {
  return kCommands;
}

const CommandSpec* FindCommand(std::string_view word) {
  for (const CommandSpec& command : kCommands) {
    if (command.word == word) return &command;
  }
  return nullptr;
}

const CommandSpec& ChangingMetaGet() {
  return kChangingMetaGet;
}

const CommandSpec& LoginCommand() {
  return kLoginRow;
}

const CommandSpec& RefusedCommand() {
  return kRefused;
}

const CommandSpec& RefusedBlockCommand() {
  return kRefusedBlock;
}

}  // namespace terraced::server
