// incr, decr, ma: the new number is a new item, built in the critical section that found the old one.
#include <algorithm>
#include <array>
#include <charconv>

#include "tiering/number_text.h"
#include "tiering/two_tier_cache.h"

namespace terraced::tiering {

using storage::Item;
using Kind = Shard::FlashAnswer::Kind;

namespace {

std::string TextOf(uint64_t number) {
  std::array<char, 20> digits;
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr};
}

uint32_t BinaryKeyBit(bool binary) {
  return binary ? uint32_t{storage::kItemBinaryKey} : 0;
}

}  // namespace

Outcome TwoTierCache::Count(const Key& key, const CountPlan& plan, Evidence* evidence,
                            ItemMeta* item, uint64_t* value) {
  const CountJob job{key, plan, evidence, item, value};
  return RunWithRoom(key, [&](DerivedRoom* room) { return CountOnce(job, room); });
}

Outcome TwoTierCache::CountMissing(const CountJob& job, const Moment& moment, DerivedRoom* room,
                                   Shard& shard) {
  const CountPlan& plan = job.plan;
  const bool up = plan.direction == Arithmetic::kIncrement;
  const std::string text = TextOf(plan.initial);
  Draft draft;
  if (plan.vivifies) {
    draft = TakeRoom(job.key, nullptr, PrefixFor(0, plan.new_cas),
                     static_cast<uint32_t>(text.size()), room);
    if (!draft) return Outcome::kNoMemory;
  }
  ++(up ? shard.commands.incr_misses : shard.commands.decr_misses);
  if (!plan.vivifies) return Outcome::kNotFound;
  draft.FillValue({text});
  Item* const fresh = tiers_->arena->ItemAt(draft.position_);
  SetUnique(fresh, plan.new_cas);
  fresh->exptime_s = plan.vivify_exptime_s;
  fresh->last_access_s = moment.now_s;
  fresh->Set(BinaryKeyBit(plan.binary_key));
  *job.item = MetaOf(*fresh);
  job.item->created = true;
  job.item->exptime_s = kExptimeNever;
  *job.value = plan.initial;
  if ((moment.events & kMutations) != 0) {
    ReportStore(job.key, StoreMode::kAdd, Outcome::kStored, *fresh);
  }
  shard.RemoveSlots(job.key, moment, nullptr, storage::kNoSerial);
  shard.Link(draft.Release(), nullptr, job.key, moment, SegmentFor(plan.vivify_exptime_s));
  return Outcome::kStored;
}

Outcome TwoTierCache::CountOnce(const CountJob& job, DerivedRoom* room) {
  const CountPlan& plan = job.plan;
  const bool up = plan.direction == Arithmetic::kIncrement;
  Shard& shard = tiers_->ShardOf(job.key.hash);
  MutexLock lock(shard.mutex);
  const Moment moment = Now();
  CommandCounters& counters = shard.commands;
  Item* const item = shard.FindLive(job.key, moment);
  Shard::FlashAnswer answer;
  if (item == nullptr) {
    answer = shard.AskFlash(job.key, moment, job.evidence);
    if (answer.kind == Kind::kNeedsFlash) return Outcome::kNeedsFlash;
    if (answer.kind == Kind::kFailed) return Outcome::kFlashFailed;
    if (answer.kind == Kind::kAbsent) return CountMissing(job, moment, room, shard);
  }
  const ItemMeta found =
      item != nullptr ? MetaOf(*item) : MetaOf(answer.found->record, answer.slot.hit);
  // What would lie in several chunks is no number, in whichever tier it is.
  std::string_view old;
  if (item == nullptr) {
    const bool in_one_piece =
        !tiers_->allocator.IsChunked(job.key.bytes.size(), found.client_flags, found.value_bytes);
    if (in_one_piece) old = answer.found->record.value;
  } else if (!item->Has(storage::kItemChunked)) {
    old = tiers_->allocator.Value(*item);
  }
  // As memcached judges: what can be no number at all is said before a CAS unique that differs.
  if (old.empty()) return Outcome::kNonNumeric;
  if (plan.compare_cas != 0 && plan.compare_cas != found.cas_unique) return Outcome::kExists;
  uint64_t number = 0;
  if (!ParseCounter(old, &number)) return Outcome::kNonNumeric;
  number = up ? number + plan.delta : number - std::min(number, plan.delta);

  // A result shorter than what was stored is padded with blanks (memcached changes it in place).
  std::string text = TextOf(number);
  text.resize(std::max(text.size(), old.size()), ' ');
  Draft draft = TakeRoom(job.key, item, PrefixFor(found.client_flags, plan.new_cas),
                         static_cast<uint32_t>(text.size()), room);
  if (!draft) return Outcome::kNoMemory;
  draft.FillValue({text});
  Item* const fresh = tiers_->arena->ItemAt(draft.position_);
  SetUnique(fresh, plan.new_cas);
  fresh->exptime_s = plan.touches ? plan.exptime_s : found.exptime_s;
  fresh->last_access_s = moment.now_s;
  // It is the same item as before, but for its number.
  fresh->Set((found.stale ? uint32_t{storage::kItemStale} : 0) |
             (found.token_sent ? uint32_t{storage::kItemTokenSent} : 0) |
             (found.fetched ? uint32_t{storage::kItemFetched} : 0) |
             BinaryKeyBit(found.binary_key));
  ++(up ? counters.incr_hits : counters.decr_hits);
  ClassCounters& of_class = shard.CountersOf(*fresh);
  ++(up ? of_class.incr_hits : of_class.decr_hits);
  *job.item = MetaOf(*fresh);
  job.item->exptime_s = found.exptime_s;
  *job.value = number;
  shard.RemoveSlots(job.key, moment, item,
                    item == nullptr ? answer.found->serial : storage::kNoSerial);
  const uint32_t exptime_s = fresh->exptime_s;
  shard.Link(draft.Release(), item, job.key, moment, SegmentFor(exptime_s));
  --counters.total_items;
  return Outcome::kStored;
}

}  // namespace terraced::tiering
