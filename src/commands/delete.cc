// delete, md; touch.
#include "src/commands/command_table.h"
#include "src/prefix_stats.h"

namespace terraced::server {
namespace {

// Of a touched item only what it is, without its value.
class MetaOnly final : public tiering::ValueSink {
 public:
  char* Begin(const tiering::ItemMeta& meta) override {
    item = meta;
    return nullptr;
  }
  void Pinned(const tiering::ItemMeta& meta, storage::ItemRef) override { item = meta; }

  tiering::ItemMeta item;
};

tiering::DeletePlan DeletePlanOf(const CommandContext& context, const Request& request) {
  tiering::DeletePlan plan{.meta = request.command->verb == Verb::kMetaDelete};
  if (request.asks == 0) return plan;
  if (request.Asks(kAsksCompare)) {
    // With -C every item has the unique 0, as far as clients can tell.
    plan.compares = context.options.cas_enabled || request.compare_cas != 0;
    plan.compare_cas = context.options.cas_enabled ? request.compare_cas : 0;
  }
  if (request.Asks(kAsksNewCas)) plan.new_cas = request.new_cas;
  plan.invalidates = request.Asks(kAsksInvalidate);
  plan.drops_value = request.Asks(kAsksDropValue);
  plan.touches = request.Asks(kAsksTouch);
  if (plan.touches) plan.exptime_s = AbsoluteExptime(request.exptime, context.clock);
  return plan;
}

}  // namespace

Step HandleDelete(const CommandContext& context, const Request& request,
                  tiering::Evidence* evidence, ReplySink& sink) {
  tiering::ItemMeta item;
  const tiering::DeletePlan plan = DeletePlanOf(context, request);
  const tiering::Outcome outcome = context.cache.Delete(request.key, plan, evidence, &item);
  if (outcome == tiering::Outcome::kNeedsFlash) return Step::kNeedsFlash;
  if (!request.command->Has(kMeta)) context.prefixes.NoteDelete(request.key.bytes);
  switch (outcome) {
    case tiering::Outcome::kDeleted:
      sink.Done(request, Reply::kDeleted, item);
      return Step::kDone;
    case tiering::Outcome::kExists:
      sink.Done(request, Reply::kExists, item);
      return Step::kDone;
    case tiering::Outcome::kFlashFailed:
      sink.Answer(request, Reply::kFlashFailed);
      return Step::kDone;
    case tiering::Outcome::kNoMemory:
      sink.Answer(request, Reply::kNoMemoryToChange);
      return Step::kDone;
    default:
      sink.Done(request, Reply::kNotFound, item);
      return Step::kDone;
  }
}

Step HandleTouch(const CommandContext& context, const Request& request, tiering::Evidence* evidence,
                 ReplySink& sink) {
  const tiering::ReadPlan plan{.wants_value = false,
                               .touches = true,
                               .exptime_s = AbsoluteExptime(request.exptime, context.clock)};
  MetaOnly value;
  switch (context.cache.Read(request.key, plan, evidence, value)) {
    case tiering::Outcome::kNeedsFlash:
      return Step::kNeedsFlash;
    case tiering::Outcome::kHit:
      if (!context.options.cas_enabled) value.item.cas_unique = 0;
      sink.Done(request, Reply::kTouched, value.item);
      return Step::kDone;
    case tiering::Outcome::kFlashFailed:
      sink.Answer(request, Reply::kFlashFailed);
      return Step::kDone;
    case tiering::Outcome::kNoMemory:  // it is on flash, and RAM has no room to bring it up
      sink.Answer(request, Reply::kNoMemoryToChange);
      return Step::kDone;
    default:
      sink.Done(request, Reply::kNotFound, value.item);
      return Step::kDone;
  }
}

}  // namespace terraced::server
