// set, add, replace, append, prepend, cas: room for the item when the command line is known, the store itself
// when the value is there.
#include "src/commands/command_table.h"

namespace terraced::server {
namespace {

tiering::StoreMode ModeOf(Verb verb) {
  switch (verb) {
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
    default:
      return tiering::StoreMode::kSet;
  }
}

Reply ReplyTo(tiering::Outcome outcome) {
  switch (outcome) {
    case tiering::Outcome::kStored:
      return Reply::kStored;
    case tiering::Outcome::kExists:
      return Reply::kExists;
    case tiering::Outcome::kNotFound:
      return Reply::kNotFound;
    case tiering::Outcome::kTooLarge:
      return Reply::kTooLarge;
    case tiering::Outcome::kNoMemory:
      return Reply::kNoMemoryToStore;
    case tiering::Outcome::kFlashFailed:
      return Reply::kFlashFailed;
    default:
      return Reply::kNotStored;
  }
}

}  // namespace

tiering::AllocateResult BeginStore(const CommandContext& context, const Request& request,
                                   bool may_wait, tiering::Draft* draft, ReplySink& sink) {
  const uint32_t exptime_s = AbsoluteExptime(request.exptime, context.clock);
  const tiering::AllocateResult result = context.cache.Allocate(
      request.key, request.client_flags, exptime_s, request.value_bytes, may_wait, draft);
  if (result != tiering::AllocateResult::kTooLarge &&
      result != tiering::AllocateResult::kNoMemory) {
    return result;
  }
  // A client whose set was refused must not go on reading what it meant to replace (I2). The other store
  // commands leave the old value, as memcached does.
  if (request.command->verb == Verb::kSet) context.cache.DropRefused(request.key);
  sink.Answer(request, result == tiering::AllocateResult::kTooLarge ? Reply::kTooLarge
                                                                    : Reply::kNoMemoryToStore);
  return result;
}

Step HandleStore(const CommandContext& context, const Request& request, tiering::Evidence* evidence,
                 ReplySink& sink) {
  // With -C no CAS unique matches: items are numbered from 1.
  const uint64_t compare_cas = context.options.cas_enabled ? request.number : 0;
  uint64_t cas_unique = 0;
  const tiering::Outcome outcome =
      context.cache.Store(request.key, ModeOf(request.command->verb), request.draft, compare_cas,
                          evidence, &cas_unique);
  if (outcome == tiering::Outcome::kNeedsFlash) return Step::kNeedsFlash;
  sink.Answer(request, ReplyTo(outcome));
  return Step::kDone;
}

}  // namespace terraced::server
