// lru, lru_crawler.
#include <algorithm>
#include <bitset>
#include <cmath>
#include <limits>
#include <optional>

#include "src/commands/command_table.h"
#include "src/protocol/text_codec.h"
#include "src/protocol/words.h"
#include "tiering/administration.h"

namespace terraced::server {
namespace {

constexpr uint64_t kHotAndWarmMax = 80;
constexpr uint64_t kSleepMaxUs = 1'000'000;

constexpr std::string_view kError = "ERROR";
constexpr std::string_view kOk = "OK";
constexpr std::string_view kBadLine = "CLIENT_ERROR bad command line format";
constexpr std::string_view kCrawlerOff = "CLIENT_ERROR lru crawler disabled";
constexpr std::string_view kCrawlerBusy = "BUSY currently processing crawler request";
constexpr std::string_view kBadClass = "BADCLASS invalid class id";

std::string_view Tune(const Words& words, tiering::AdminSettings& settings) {
  constexpr size_t kWords = 6;
  if (words.count < kWords) return kError;
  uint64_t hot = 0;
  uint64_t warm = 0;
  if (!ParseUnsigned(words[2], &hot) || !ParseUnsigned(words[3], &warm)) return kError;
  const std::optional<double> hot_factor = ParseDecimal(words[4]);
  const std::optional<double> warm_factor = ParseDecimal(words[5]);
  if (!hot_factor.has_value() || !warm_factor.has_value() || !std::isfinite(*hot_factor) ||
      !std::isfinite(*warm_factor)) {
    return kError;
  }
  if (hot > kHotAndWarmMax || warm > kHotAndWarmMax - hot) {
    return "ERROR hot and warm pcts must not exceed 80";
  }
  if (*hot_factor <= 0 || *warm_factor <= 0) {
    return "ERROR hot/warm age factors must be greater than 0";
  }
  settings.hot_lru_pct.Set(static_cast<uint32_t>(hot));
  settings.warm_lru_pct.Set(static_cast<uint32_t>(warm));
  settings.hot_max_factor.Set(*hot_factor);
  settings.warm_max_factor.Set(*warm_factor);
  return kOk;
}

std::string_view ChangeLru(const Words& words, tiering::Cache& cache) {
  tiering::AdminSettings& settings = cache.Admin().Settings();
  if (words.count < 3) return kError;
  if (words[1] == "tune") return Tune(words, settings);
  // Without the maintainer there are no segments.
  if (!cache.Options().lru_maintainer) return kError;
  if (words[1] == "mode") {
    if (words[2] != "flat" && words[2] != "segmented") return kError;
    settings.lru_segmented.Set(words[2] == "segmented");
    return kOk;
  }
  int64_t ttl_s = 0;
  if (words[1] != "temp_ttl" || !ParseSigned(words[2], &ttl_s)) return kError;
  settings.temporary_ttl_s.Set(std::min<int64_t>(ttl_s, std::numeric_limits<int32_t>::max()));
  return kOk;
}

// "all", "hash", or numbers with commas between them; nothing where one is no class's. An empty set: there was none.
std::optional<std::bitset<storage::kSlabClassesMax>> ParseClasses(std::string_view text) {
  std::bitset<storage::kSlabClassesMax> classes;
  if (text == "all" || text == "hash") return classes.set();
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (word.empty()) continue;
    uint64_t number = 0;
    if (!ParseUnsigned(word, &number) || number == 0 || number >= classes.size()) {
      return std::nullopt;
    }
    classes.set(number);
  }
  return classes;
}

std::string_view Crawl(std::string_view where, tiering::Administration& admin) {
  const auto classes = ParseClasses(where);
  if (!classes.has_value()) return kBadClass;
  if (classes->none()) return "NOTSTARTED no items to crawl";
  return admin.StartCrawl() ? kOk : kCrawlerBusy;
}

// Empty: the dump begins.
std::string_view Dump(const CommandContext& context, const Words& words) {
  tiering::Administration& admin = context.cache.Admin();
  if (!admin.Settings().lru_crawler.Get()) return kCrawlerOff;
  if (!context.options.dump_enabled) return "ERROR metadump not allowed";
  const auto classes = ParseClasses(words[2]);
  if (!classes.has_value()) return kBadClass;
  if (classes->none()) return "NOTSTARTED no items to crawl";
  const tiering::DumpScope scope{.classes = *classes, .keys_only = words[1] == "mgdump"};
  return admin.BeginDump(scope) ? std::string_view() : kCrawlerBusy;
}

std::string_view SwitchCrawler(bool on, tiering::AdminSettings& settings) {
  // The words are memcached's: there a thread is started, and is there already.
  if (on && settings.lru_crawler.Get()) return "ERROR failed to start lru crawler thread";
  settings.lru_crawler.Set(on);
  return kOk;
}

std::string_view SetSleep(std::string_view text, tiering::AdminSettings& settings) {
  uint64_t sleep_us = 0;
  if (!ParseUnsigned(text, &sleep_us)) return kBadLine;
  if (sleep_us > kSleepMaxUs) return "CLIENT_ERROR sleep must be one second or less";
  settings.lru_crawler_sleep_us.Set(static_cast<uint32_t>(sleep_us));
  return kOk;
}

std::string_view SetToCrawl(std::string_view text, tiering::AdminSettings& settings) {
  uint64_t items = 0;
  if (!ParseUnsigned(text, &items)) return kBadLine;
  settings.lru_crawler_tocrawl.Set(static_cast<uint32_t>(items));
  return kOk;
}

}  // namespace

Step HandleLru(const CommandContext& context, const Request& request, tiering::Evidence*,
               ReplySink& sink) {
  sink.Say(request, ChangeLru(SplitWords(request.line), context.cache));
  return Step::kDone;
}

Step HandleLruCrawler(const CommandContext& context, const Request& request, tiering::Evidence*,
                      ReplySink& sink) {
  const Words words = SplitWords(request.line);
  tiering::AdminSettings& settings = context.cache.Admin().Settings();
  std::string_view reply = kError;
  if (words.count == 2 && (words[1] == "enable" || words[1] == "disable")) {
    reply = SwitchCrawler(words[1] == "enable", settings);
  } else if (words.count == 3 && words[1] == "sleep") {
    reply = SetSleep(words[2], settings);
  } else if (words.count == 3 && words[1] == "tocrawl") {
    reply = SetToCrawl(words[2], settings);
  } else if (words.count == 3 && words[1] == "crawl") {
    reply = settings.lru_crawler.Get() ? Crawl(words[2], context.cache.Admin()) : kCrawlerOff;
  } else if (words.count == 3 && (words[1] == "metadump" || words[1] == "mgdump")) {
    reply = Dump(context, words);
    if (reply.empty()) return Step::kDump;
  }
  sink.Say(request, reply);
  return Step::kDone;
}

}  // namespace terraced::server
