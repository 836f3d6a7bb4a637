// incr, decr.
#include "src/commands/command_table.h"

namespace terraced::server {

Step HandleArithmetic(const CommandContext& context, const Request& request,
                      tiering::Evidence* evidence, ReplySink& sink) {
  const tiering::Arithmetic direction = request.command->verb == Verb::kIncr
                                            ? tiering::Arithmetic::kIncrement
                                            : tiering::Arithmetic::kDecrement;
  uint64_t value = 0;
  switch (context.cache.Count(request.key, direction, request.number, evidence, &value)) {
    case tiering::Outcome::kNeedsFlash:
      return Step::kNeedsFlash;
    case tiering::Outcome::kMiss:
    case tiering::Outcome::kNotFound:
      sink.Answer(request, Reply::kNotFound);
      return Step::kDone;
    case tiering::Outcome::kNonNumeric:
      sink.Answer(request, Reply::kNonNumeric);
      return Step::kDone;
    case tiering::Outcome::kTooLarge:
    case tiering::Outcome::kNoMemory:
      sink.Answer(request, Reply::kNoMemoryToChange);
      return Step::kDone;
    case tiering::Outcome::kFlashFailed:
      sink.Answer(request, Reply::kFlashFailed);
      return Step::kDone;
    default:
      sink.Number(request, value);
      return Step::kDone;
  }
}

}  // namespace terraced::server
