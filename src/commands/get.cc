// get, gets, gat, gats: one key of the command at a time; END is written by the connection after the last.
#include "src/commands/command_table.h"

namespace terraced::server {

Step HandleGet(const CommandContext& context, const Request& request, tiering::Evidence* evidence,
               ReplySink& sink) {
  tiering::ValueSink& value = sink.Value(request, context.options.cas_enabled);
  const tiering::Outcome outcome = context.cache.Get(request.key, evidence, value);
  // A read that failed or took too long is a miss for a plain get: the cache has counted it as such.
  return outcome == tiering::Outcome::kNeedsFlash ? Step::kNeedsFlash : Step::kDone;
}

Step HandleGetAndTouch(const CommandContext& context, const Request& request,
                       tiering::Evidence* evidence, ReplySink& sink) {
  const uint32_t exptime_s = AbsoluteExptime(request.exptime, context.clock);
  tiering::ValueSink& value = sink.Value(request, context.options.cas_enabled);
  switch (context.cache.GetAndTouch(request.key, exptime_s, evidence, value)) {
    case tiering::Outcome::kNeedsFlash:
      return Step::kNeedsFlash;
    case tiering::Outcome::kFlashFailed:
    case tiering::Outcome::kNoMemory:  // it is on flash, and RAM has no room to bring it up
      return Step::kFlashFailed;
    default:
      return Step::kDone;
  }
}

}  // namespace terraced::server
