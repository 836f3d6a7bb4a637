// get, gets, gat, gats: one key of the command at a time; END is written by the connection after the last. mg, me.
#include "src/commands/command_table.h"
#include "src/prefix_stats.h"
#include "src/protocol/meta_codec.h"

namespace terraced::server {

Step HandleGet(const CommandContext& context, const Request& request, tiering::Evidence* evidence,
               ReplySink& sink) {
  tiering::ValueSink& value = sink.Value(request, context.options.cas_enabled);
  const tiering::Outcome outcome = context.cache.Get(request.key, evidence, value);
  if (outcome == tiering::Outcome::kNeedsFlash) return Step::kNeedsFlash;
  context.prefixes.NoteGet(request.key.bytes, outcome == tiering::Outcome::kHit);
  // A read that failed or took too long is a miss for a plain get: the cache has counted it as such.
  if (outcome != tiering::Outcome::kHit) sink.Miss(request);
  return Step::kDone;
}

Step HandleGetAndTouch(const CommandContext& context, const Request& request,
                       tiering::Evidence* evidence, ReplySink& sink) {
  const tiering::ReadPlan plan{.touches = true,
                               .exptime_s = AbsoluteExptime(request.exptime, context.clock)};
  const bool one_key = !request.command->Has(kManyKeys);
  tiering::ValueSink& value = sink.Value(request, context.options.cas_enabled);
  const tiering::Outcome outcome = context.cache.Read(request.key, plan, evidence, value);
  if (outcome == tiering::Outcome::kNeedsFlash) return Step::kNeedsFlash;
  context.prefixes.NoteGet(request.key.bytes, outcome == tiering::Outcome::kHit);
  switch (outcome) {
    case tiering::Outcome::kFlashFailed:
      if (!one_key) return Step::kFlashFailed;
      sink.Answer(request, Reply::kFlashFailed);
      return Step::kDone;
    case tiering::Outcome::kNoMemory:  // it is on flash, and RAM has no room to bring it up
      if (!one_key) return Step::kFlashFailed;
      sink.Answer(request, Reply::kNoMemoryToChange);
      return Step::kDone;
    case tiering::Outcome::kMiss:
      sink.Miss(request);
      return Step::kDone;
    default:
      return Step::kDone;
  }
}

Step HandleMetaGet(const CommandContext& context, const Request& request,
                   tiering::Evidence* evidence, ReplySink& sink) {
  const Clock& clock = context.clock;
  const bool debugs = request.command->verb == Verb::kMetaDebug;
  tiering::ReadPlan plan{.wants_value = request.Asks(kAsksValue) && !debugs,
                         .describes = debugs,
                         .bumps = !debugs && !request.Asks(kAsksNoBump),
                         .may_win = !debugs,
                         .binary_key = request.Asks(kAsksBinaryKey)};
  if (request.command->Has(kWrites)) {
    plan.touches = request.Asks(kAsksTouch);
    if (plan.touches) plan.exptime_s = AbsoluteExptime(request.exptime, clock);
    plan.vivifies = request.Asks(kAsksVivify);
    if (plan.vivifies) {
      const bool touched_last = plan.touches && FlagStandsBefore(request.flags, 'N', 'T');
      plan.vivify_exptime_s =
          touched_last ? plan.exptime_s : AbsoluteExptime(request.vivify_exptime, clock);
    }
    if (request.Asks(kAsksRecache)) {
      plan.recache_before_s = AbsoluteExptime(request.recache_s, clock);
      plan.recache_sees_touch = plan.touches && FlagStandsBefore(request.flags, 'T', 'R');
    }
  }
  tiering::ValueSink& value = sink.Value(request, context.options.cas_enabled);
  switch (context.cache.Read(request.key, plan, evidence, value)) {
    case tiering::Outcome::kNeedsFlash:
      return Step::kNeedsFlash;
    case tiering::Outcome::kMiss:
      sink.Miss(request);
      return Step::kDone;
    case tiering::Outcome::kFlashFailed:
      // One that would have changed the item must not look like a miss.
      if (request.command->Has(kWrites)) {
        sink.Answer(request, Reply::kFlashFailed);
      } else {
        sink.Miss(request);
      }
      return Step::kDone;
    case tiering::Outcome::kNoMemory:
      sink.Answer(request, Reply::kNoMemoryToChange);
      return Step::kDone;
    default:
      return Step::kDone;
  }
}

}  // namespace terraced::server
