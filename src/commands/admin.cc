// flush_all, stats, version, verbosity, extstore, mn, quit; debug (tests only).
#include <algorithm>
#include <charconv>
#include <string>

#include "src/commands/command_table.h"
#include "src/prefix_stats.h"
#include "src/protocol/text_codec.h"
#include "storage/base/kill_point.h"
#include "storage/base/log.h"
#include "storage/base/sync_point.h"

namespace terraced::server {
namespace {

constexpr uint64_t kVerbosityMax = 2;  // what memcached's `verbosity` is capped at
constexpr uint32_t kDelayMsMax = 60'000;

void ListSyncPoints(const Request& request, ReplySink& sink) {
  for (size_t i = 0; i < kSyncPointNames.size(); ++i) {
    const uint64_t passed = SyncPoints::Passed(static_cast<SyncPoint>(i));
    sink.Stat(kSyncPointNames[i], std::to_string(passed));
  }
  sink.Answer(request, Reply::kEnd);
}

bool AttachDelay(std::string_view name, std::string_view delay) {
  const std::optional<SyncPoint> point = SyncPointByName(name);
  uint32_t delay_ms = 0;
  const auto [end, error] = std::from_chars(delay.data(), delay.data() + delay.size(), delay_ms);
  if (!point || error != std::errc() || end != delay.data() + delay.size()) return false;
  if (delay_ms > kDelayMsMax) return false;
  SyncPoints::AttachDelay(*point, delay_ms);
  return true;
}

bool ArmKill(std::string_view name, std::string_view nth_text) {
  uint64_t nth = 0;
  return ParseUnsigned(nth_text, &nth) && KillPoints::Arm(name, nth);
}

// extstore free_memchunks <slab class> <chunks>: memcached has no use for it any more, but takes it.
bool IsFreeMemchunks(const Request& request) {
  uint64_t slab_class = 0;
  uint64_t chunks = 0;
  return request.argument_count == kArgumentsMax &&
         std::string_view(request.arguments[0]) == "free_memchunks" &&
         ParseUnsigned(request.arguments[1], &slab_class) &&
         ParseUnsigned(request.arguments[2], &chunks) && slab_class < storage::kSlabClassesMax;
}

// Groups that memcached has, but not in the binary protocol.
bool IsTextOnlyGroup(std::string_view group) {
  return group == "conns" || group == "extstore" || group == "cachedump";
}

}  // namespace

Step HandleFlushAll(const CommandContext& context, const Request& request, tiering::Evidence*,
                    ReplySink& sink) {
  if (!context.options.flush_enabled) {
    sink.Answer(request, Reply::kFlushNotAllowed);
    return Step::kDone;
  }
  if (request.error != Reply::kNone) {
    sink.Answer(request, request.error);
    return Step::kDone;
  }
  uint32_t due_s = 0;
  if (request.exptime > 0) {
    due_s = AbsoluteExptime(request.exptime, context.clock);
    if (due_s <= context.clock.NowS()) due_s = 0;
  }
  context.cache.FlushAll(due_s);
  sink.Answer(request, Reply::kOk);
  return Step::kDone;
}

Step HandleStats(const CommandContext& context, const Request& request, tiering::Evidence*,
                 ReplySink& sink) {
  const std::string_view group =
      request.argument_count == 0 ? std::string_view() : request.arguments[0];
  if (group == "reset") {
    context.control.ResetStats();
    context.prefixes.Reset();
    sink.Answer(request, Reply::kReset);
    return Step::kDone;
  }
  const bool refused = request.command->Has(kBinary) && IsTextOnlyGroup(group);
  if (group == "conns" && !refused) return Step::kListConnections;
  if (!refused && RunStatsCommand(context, request, sink)) return Step::kDone;
  const bool known = !refused && context.control.WriteStats(group, sink);
  sink.Answer(request, known ? Reply::kEnd : Reply::kUnknownCommand);
  return Step::kDone;
}

Step HandleVersion(const CommandContext&, const Request& request, tiering::Evidence*,
                   ReplySink& sink) {
  sink.Answer(request, Reply::kVersion);
  return Step::kDone;
}

Step HandleVerbosity(const CommandContext&, const Request& request, tiering::Evidence*,
                     ReplySink& sink) {
  Log::SetVerbosity(static_cast<int>(std::min(request.number, kVerbosityMax)));
  sink.Answer(request, Reply::kOk);
  return Step::kDone;
}

Step HandleExtstore(const CommandContext& context, const Request& request, tiering::Evidence*,
                    ReplySink& sink) {
  if (request.argument_count < 2) {
    sink.Answer(request, Reply::kUnknownCommand);
    return Step::kDone;
  }
  if (IsFreeMemchunks(request)) {
    sink.Answer(request, Reply::kOk);
    return Step::kDone;
  }
  const Status status = context.control.ChangeSetting(request.arguments[0], request.arguments[1]);
  switch (status.code()) {
    case StatusCode::kOk:
      sink.Answer(request, Reply::kOk);
      break;
    case StatusCode::kNotFound:
      sink.Answer(request, Reply::kUnknownCommand);
      break;
    case StatusCode::kInvalidArgument:
      sink.Refuse(request, status.message());
      break;
    default:
      sink.Answer(request, Reply::kNoMemoryToChange);
      break;
  }
  return Step::kDone;
}

Step HandleMetaNoop(const CommandContext&, const Request& request, tiering::Evidence*,
                    ReplySink& sink) {
  sink.Answer(request, Reply::kMetaNoop);
  return Step::kDone;
}

Step HandleQuit(const CommandContext&, const Request& request, tiering::Evidence*,
                ReplySink& sink) {
  if (request.command->Has(kBinary)) sink.Answer(request, Reply::kOk);
  return Step::kClose;
}

Step HandleDebug(const CommandContext&, const Request& request, tiering::Evidence*,
                 ReplySink& sink) {
  const std::string_view what = request.arguments[0];
  if (what == "demote" && request.argument_count == 1) return Step::kDemote;
  if (what == "sync_points" && request.argument_count == 1) {
    ListSyncPoints(request, sink);
    return Step::kDone;
  }
  const bool with_number = request.argument_count == 3;
  const bool done = with_number &&
                    ((what == "delay" && AttachDelay(request.arguments[1], request.arguments[2])) ||
                     (what == "kill" && ArmKill(request.arguments[1], request.arguments[2])));
  sink.Answer(request, done ? Reply::kOk : Reply::kUnknownCommand);
  return Step::kDone;
}

Step HandleRefused(const CommandContext&, const Request& request, tiering::Evidence*,
                   ReplySink& sink) {
  sink.Answer(request, request.error);
  return Step::kDone;
}

}  // namespace terraced::server
