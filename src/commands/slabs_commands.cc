// slabs, cache_memlimit.
#include <algorithm>
#include <optional>

#include "src/commands/command_table.h"
#include "src/protocol/text_codec.h"
#include "src/protocol/words.h"
#include "tiering/administration.h"

namespace terraced::server {
namespace {

constexpr uint64_t kMemlimitLeastMb = 8;
constexpr uint64_t kMemlimitMostMb = 1'000'000'000;
constexpr uint64_t kAutomoveMost = 2;
constexpr uint64_t kWindowLeastS = 3;
constexpr uint64_t kWindowMostS = 1800;
constexpr int64_t kClassNumberMost = 1'000'000;  // beyond every class

constexpr std::string_view kError = "ERROR";
constexpr std::string_view kOk = "OK";
constexpr std::string_view kBadLine = "CLIENT_ERROR bad command line format";

std::string_view Reassign(const Words& words, tiering::Cache& cache) {
  if (!cache.Options().slab_reassign) return "CLIENT_ERROR slab reassignment disabled";
  int64_t from = 0;
  int64_t to = 0;
  if (!ParseSigned(words[2], &from) || !ParseSigned(words[3], &to)) return kBadLine;
  const auto number = [](int64_t given) {
    return static_cast<int>(std::clamp(given, -kClassNumberMost, kClassNumberMost));
  };
  switch (cache.Admin().ReassignPage(number(from), number(to))) {
    case tiering::ReassignResult::kOk:
      break;
    case tiering::ReassignResult::kBusy:
      return "BUSY currently processing reassign request";
    case tiering::ReassignResult::kBadClass:
      return "BADCLASS invalid src or dst class id";
    case tiering::ReassignResult::kNoSpare:
      return "NOSPARE source class has no spare pages";
    case tiering::ReassignResult::kSame:
      return "SAME src and dst class are identical";
  }
  return kOk;
}

std::string_view SetDecimal(std::string_view text, tiering::LiveSetting<double>& setting) {
  const std::optional<double> value = ParseDecimal(text);
  if (!value.has_value()) return kError;
  setting.Set(*value);
  return kOk;
}

std::string_view SetWindow(std::string_view text, tiering::AdminSettings& settings) {
  uint64_t window_s = 0;
  if (!ParseUnsigned(text, &window_s)) return kError;
  if (window_s < kWindowLeastS || window_s > kWindowMostS) return kError;
  settings.slab_automove_window_s.Set(static_cast<uint32_t>(window_s));
  return kOk;
}

std::string_view Automove(const Words& words, tiering::Cache& cache) {
  tiering::AdminSettings& settings = cache.Admin().Settings();
  if (words[2] == "ratio") {
    return words.count < 4 ? kError : SetDecimal(words[3], settings.slab_automove_ratio);
  }
  // extstore's, which memcached does not know without it.
  if (words[2] == "freeratio" && cache.HasFlash()) {
    return words.count < 4 ? kError : SetDecimal(words[3], settings.slab_automove_freeratio);
  }
  if (words[2] == "window" && words.count >= 4) return SetWindow(words[3], settings);
  uint64_t level = 0;
  if (!ParseUnsigned(words[2], &level)) return kBadLine;
  if (level > kAutomoveMost) return kError;
  settings.slab_automove.Set(static_cast<uint32_t>(level));
  return kOk;
}

std::string_view SetMemoryLimit(std::string_view text, tiering::Administration& admin) {
  uint64_t megabytes = 0;
  if (!ParseUnsigned(text, &megabytes)) return kError;
  if (megabytes < kMemlimitLeastMb) {
    return "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m";
  }
  if (megabytes > kMemlimitMostMb) {
    return "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes";
  }
  if (!admin.SetMemoryLimit(megabytes << 20).ok()) {
    return "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust";
  }
  return kOk;
}

}  // namespace

Step HandleSlabs(const CommandContext& context, const Request& request, tiering::Evidence*,
                 ReplySink& sink) {
  const Words words = SplitWords(request.line);
  if (words.count >= 3 && words[1] == "automove") {
    const std::string_view reply = Automove(words, context.cache);
    if (words[words.count - 1] != "noreply") sink.Say(request, reply);
    return Step::kDone;
  }
  const bool reassigns = words.count == 4 && words[1] == "reassign";
  sink.Say(request, reassigns ? Reassign(words, context.cache) : kError);
  return Step::kDone;
}

Step HandleCacheMemlimit(const CommandContext& context, const Request& request, tiering::Evidence*,
                         ReplySink& sink) {
  sink.Say(request, SetMemoryLimit(SplitWords(request.line)[1], context.cache.Admin()));
  return Step::kDone;
}

}  // namespace terraced::server
