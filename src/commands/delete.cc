// delete, touch.
#include "src/commands/command_table.h"

namespace terraced::server {

Step HandleDelete(const CommandContext& context, const Request& request,
                  tiering::Evidence* evidence, ReplySink& sink) {
  switch (context.cache.Delete(request.key, evidence)) {
    case tiering::Outcome::kNeedsFlash:
      return Step::kNeedsFlash;
    case tiering::Outcome::kDeleted:
      sink.Answer(request, Reply::kDeleted);
      return Step::kDone;
    case tiering::Outcome::kFlashFailed:
      sink.Answer(request, Reply::kFlashFailed);
      return Step::kDone;
    default:
      sink.Answer(request, Reply::kNotFound);
      return Step::kDone;
  }
}

Step HandleTouch(const CommandContext& context, const Request& request, tiering::Evidence* evidence,
                 ReplySink& sink) {
  const uint32_t exptime_s = AbsoluteExptime(request.exptime, context.clock);
  switch (context.cache.Touch(request.key, exptime_s, evidence)) {
    case tiering::Outcome::kNeedsFlash:
      return Step::kNeedsFlash;
    case tiering::Outcome::kTouched:
      sink.Answer(request, Reply::kTouched);
      return Step::kDone;
    case tiering::Outcome::kFlashFailed:
      sink.Answer(request, Reply::kFlashFailed);
      return Step::kDone;
    case tiering::Outcome::kNoMemory:  // it is on flash, and RAM has no room to bring it up
      sink.Answer(request, Reply::kNoMemoryToChange);
      return Step::kDone;
    default:
      sink.Answer(request, Reply::kNotFound);
      return Step::kDone;
  }
}

}  // namespace terraced::server
