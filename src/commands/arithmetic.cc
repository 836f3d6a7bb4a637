// incr, decr, ma.
#include "src/commands/command_table.h"
#include "src/protocol/meta_codec.h"

namespace terraced::server {
namespace {

tiering::CountPlan CountPlanOf(const CommandContext& context, const Request& request) {
  const Clock& clock = context.clock;
  const bool meta = request.command->Has(kMeta);
  const bool down = request.command->verb == Verb::kDecr ||
                    (meta && (request.mode == 'D' || request.mode == '-'));
  tiering::CountPlan plan{
      .direction = down ? tiering::Arithmetic::kDecrement : tiering::Arithmetic::kIncrement,
      .delta = request.number};
  if (request.asks == 0) return plan;
  if (request.Asks(kAsksCompare)) plan.compare_cas = request.compare_cas;
  // With -C no CAS unique is any item's.
  if (!context.options.cas_enabled && plan.compare_cas != 0) plan.compare_cas = UINT64_MAX;
  if (request.Asks(kAsksNewCas)) plan.new_cas = request.new_cas;
  plan.binary_key = request.Asks(kAsksBinaryKey);
  plan.touches = request.Asks(kAsksTouch);
  if (plan.touches) plan.exptime_s = AbsoluteExptime(request.exptime, clock);
  plan.vivifies = request.Asks(kAsksVivify);
  if (plan.vivifies) {
    plan.initial = request.initial;
    const bool touched_last = plan.touches && FlagStandsBefore(request.flags, 'N', 'T');
    plan.vivify_exptime_s =
        touched_last ? plan.exptime_s : AbsoluteExptime(request.vivify_exptime, clock);
  }
  return plan;
}

}  // namespace

Step HandleArithmetic(const CommandContext& context, const Request& request,
                      tiering::Evidence* evidence, ReplySink& sink) {
  uint64_t value = 0;
  tiering::ItemMeta item;
  const tiering::CountPlan plan = CountPlanOf(context, request);
  switch (context.cache.Count(request.key, plan, evidence, &item, &value)) {
    case tiering::Outcome::kNeedsFlash:
      return Step::kNeedsFlash;
    case tiering::Outcome::kNotFound:
      sink.Done(request, Reply::kNotFound, item);
      return Step::kDone;
    case tiering::Outcome::kExists:
      sink.Done(request, Reply::kExists, item);
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
      if (!context.options.cas_enabled) item.cas_unique = 0;
      sink.Number(request, value, item);
      return Step::kDone;
  }
}

}  // namespace terraced::server
