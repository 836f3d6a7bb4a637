// set, add, replace, append, prepend, cas, ms: room for the item when the command line is known, the store itself
// when the value is there.
#include "src/commands/command_table.h"
#include "src/prefix_stats.h"

namespace terraced::server {
namespace {

// A mode that replaces with a CAS unique to compare is cas.
tiering::StoreMode MetaModeOf(const Request& request) {
  switch (request.mode) {
    case 'E':
      return tiering::StoreMode::kAdd;
    case 'A':
      return tiering::StoreMode::kAppend;
    case 'P':
      return tiering::StoreMode::kPrepend;
    default:
      break;
  }
  if (request.Asks(kAsksCompare)) return tiering::StoreMode::kCas;
  return request.mode == 'R' ? tiering::StoreMode::kReplace : tiering::StoreMode::kSet;
}

tiering::StoreMode ModeOf(const Request& request) {
  switch (request.command->verb) {
    case Verb::kAdd:
      return tiering::StoreMode::kAdd;
    case Verb::kReplace:
      return tiering::StoreMode::kReplace;
    case Verb::kAppend:
      return tiering::StoreMode::kAppend;
    case Verb::kPrepend:
      return tiering::StoreMode::kPrepend;
    case Verb::kCas:
      return tiering::StoreMode::kCas;
    case Verb::kMetaSet:
      return MetaModeOf(request);
    default:
      return tiering::StoreMode::kSet;
  }
}

tiering::StorePlan StorePlanOf(const CommandContext& context, const Request& request) {
  tiering::StorePlan plan{.mode = ModeOf(request)};
  if (request.command->verb == Verb::kCas) plan.compare_cas = request.number;
  if (request.asks != 0) {
    if (request.Asks(kAsksCompare)) plan.compare_cas = request.compare_cas;
    if (request.Asks(kAsksNewCas)) plan.new_cas = request.new_cas;
    plan.stale_if_older = request.Asks(kAsksInvalidate);
    plan.vivifies = request.Asks(kAsksVivify);
    plan.binary_key = request.Asks(kAsksBinaryKey);
  }
  // With -C no CAS unique matches: items are numbered from 1.
  if (!context.options.cas_enabled) plan.compare_cas = 0;
  // SET, ADD and REPLACE of the binary protocol with a CAS unique are all cas.
  const bool joins =
      plan.mode == tiering::StoreMode::kAppend || plan.mode == tiering::StoreMode::kPrepend;
  if (request.command->Has(kBinary) && plan.compare_cas != 0 && !joins) {
    plan.mode = tiering::StoreMode::kCas;
  }
  return plan;
}

// The exptime of a new item. What ms makes for want of something to append to has that of N.
uint32_t ExptimeOf(const CommandContext& context, const Request& request) {
  if (!request.command->Has(kMeta)) return AbsoluteExptime(request.exptime, context.clock);
  const tiering::StoreMode mode = ModeOf(request);
  const bool joins = mode == tiering::StoreMode::kAppend || mode == tiering::StoreMode::kPrepend;
  if (joins && request.Asks(kAsksVivify)) {
    return AbsoluteExptime(request.vivify_exptime, context.clock);
  }
  return request.Asks(kAsksTouch) ? AbsoluteExptime(request.exptime, context.clock) : kExptimeNever;
}

// Whether the client means to replace whatever there is: if that is refused it must not go on reading the old value.
bool Replaces(const Request& request) {
  return request.command->verb == Verb::kSet || request.command->verb == Verb::kMetaSet;
}

Reply ReplyTo(tiering::Outcome outcome) {
  switch (outcome) {
    case tiering::Outcome::kStored:
      return Reply::kStored;
    case tiering::Outcome::kExists:
      return Reply::kExists;
    case tiering::Outcome::kNotFound:
      return Reply::kNotFound;
    case tiering::Outcome::kNoMemory:
      return Reply::kNoMemoryToStore;
    case tiering::Outcome::kFlashFailed:
      return Reply::kFlashFailed;
    default:
      return Reply::kNotStored;  // also memcached's word for an append that makes a value too large
  }
}

// No item of it was ever made: the cache has nothing to tell.
void ReportRefused(const CommandContext& context, const Request& request,
                   tiering::Outcome outcome) {
  context.watch.Note(
      {.type = tiering::EventType::kItemStore,
       .text = request.key.bytes,
       .numbers = {static_cast<int64_t>(outcome), static_cast<int64_t>(ModeOf(request)), 0, 0,
                   static_cast<int64_t>(request.value_bytes)}});
}

}  // namespace

tiering::AllocateResult BeginStore(const CommandContext& context, const Request& request,
                                   bool may_wait, tiering::Draft* draft, ReplySink& sink) {
  const tiering::AllocatePlan plan{.client_flags = request.client_flags,
                                   .exptime_s = ExptimeOf(context, request),
                                   .value_bytes = request.value_bytes,
                                   .new_cas = request.Asks(kAsksNewCas) ? request.new_cas : 0,
                                   .may_wait = may_wait};
  const tiering::AllocateResult result = context.cache.Allocate(request.key, plan, draft);
  const bool counts = result == tiering::AllocateResult::kOk && !request.command->Has(kMeta);
  if (counts) context.prefixes.NoteSet(request.key.bytes);
  if (result != tiering::AllocateResult::kTooLarge &&
      result != tiering::AllocateResult::kNoMemory) {
    return result;
  }
  if (context.watch.Wants(tiering::kMutations)) {
    const bool too_large = result == tiering::AllocateResult::kTooLarge;
    ReportRefused(context, request,
                  too_large ? tiering::Outcome::kTooLarge : tiering::Outcome::kNoMemory);
  }
  // A client whose set was refused must not go on reading what it meant to replace (I2). The other store
  // commands leave the old value, as memcached does.
  if (Replaces(request)) context.cache.DropRefused(request.key);
  sink.Answer(request, result == tiering::AllocateResult::kTooLarge ? Reply::kTooLarge
                                                                    : Reply::kNoMemoryToStore);
  return result;
}

Step HandleStore(const CommandContext& context, const Request& request, tiering::Evidence* evidence,
                 ReplySink& sink) {
  tiering::ItemMeta item;
  item.value_bytes = static_cast<uint32_t>(request.value_bytes);
  const tiering::Outcome outcome = context.cache.Store(request.key, StorePlanOf(context, request),
                                                       request.draft, evidence, &item);
  if (outcome == tiering::Outcome::kNeedsFlash) return Step::kNeedsFlash;
  if (!context.options.cas_enabled) item.cas_unique = 0;
  sink.Done(request, ReplyTo(outcome), item);
  return Step::kDone;
}

}  // namespace terraced::server
