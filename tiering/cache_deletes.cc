// delete and md, which may keep the item, as stale or without its value.
#include "tiering/two_tier_cache.h"

namespace terraced::tiering {

using storage::Item;
using Kind = Shard::FlashAnswer::Kind;

Outcome TwoTierCache::Delete(const Key& key, const DeletePlan& plan, Evidence* evidence,
                             ItemMeta* item) {
  const auto once = [&](DerivedRoom* room) {
    return DeleteOnce({key, plan, evidence, item, room});
  };
  return plan.Keeps() ? RunWithRoom(key, once) : once(nullptr);
}

Outcome TwoTierCache::Keep(const DeleteJob& job, const Moment& moment, Item* item,
                           const Shard::FlashAnswer& answer, Draft draft, Shard& shard) {
  const DeletePlan& plan = job.plan;
  if (plan.drops_value) {
    draft = TakeRoom(job.key, item, PrefixFor(0, plan.new_cas), 0, job.room);
    if (!draft) return Outcome::kNoMemory;
    tiers_->arena->ItemAt(draft.position_)->exptime_s = kExptimeNever;
  } else if (item != nullptr && !item->HasWholeUnique() &&
             PrefixFor(0, plan.new_cas).whole_unique) {
    draft = Widen(job.key, *item, job.room);
    if (!draft) return Outcome::kNoMemory;
  }
  Item* const kept = draft ? tiers_->arena->ItemAt(draft.position_) : item;
  SetUnique(kept, plan.new_cas);
  shard.RemoveSlots(job.key, moment, item,
                    item == nullptr ? answer.found->serial : storage::kNoSerial);
  Shard::MakeDirty(kept);
  if (plan.touches) kept->exptime_s = plan.exptime_s;
  if (plan.drops_value) kept->last_access_s = moment.now_s;
  kept->Clear(storage::kItemTokenSent);
  if (plan.invalidates) kept->Set(storage::kItemStale);
  // Read since its record was written (I4).
  if (!plan.drops_value && answer.slot.hit) kept->Set(storage::kItemFetched);
  if (draft) {
    const uint32_t exptime_s = kept->exptime_s;
    shard.Link(draft.Release(), item, job.key, moment, SegmentFor(exptime_s));
    --shard.commands.total_items;
  }
  return Outcome::kDeleted;
}

Outcome TwoTierCache::DeleteOnce(const DeleteJob& job) {
  const DeletePlan& plan = job.plan;
  const Fill::Try* tried = nullptr;
  Draft draft;
  if (plan.invalidates && !plan.drops_value && job.evidence->fill != nullptr) {
    draft = DraftFromFill(job.key, job.evidence, true, &tried, plan.new_cas);
  }
  Shard& shard = tiers_->ShardOf(job.key.hash);
  MutexLock lock(shard.mutex);
  const Moment moment = Now();
  CommandCounters& counters = shard.commands;
  Item* const item = shard.FindLive(job.key, moment);
  Shard::FlashAnswer answer;
  if (item == nullptr) {
    answer = shard.AskFlash(job.key, moment, job.evidence);
    if (answer.kind == Kind::kNeedsFlash) return Outcome::kNeedsFlash;
    if (answer.kind == Kind::kFailed) {
      // Nobody knows whether it was there; from now on it is not (I2), unless only one of its values was meant.
      if (!plan.compares) shard.RemoveSlots(job.key, moment, nullptr, storage::kNoSerial);
      return Outcome::kFlashFailed;
    }
    if (answer.kind == Kind::kAbsent) {
      ++counters.delete_misses;
      return Outcome::kNotFound;
    }
  }
  const uint64_t present_cas = item != nullptr ? tiers_->allocator.Uniques().Unique(*item)
                                               : answer.found->record.meta.cas_unique;
  if (plan.compares && present_cas != plan.compare_cas) {
    if (plan.meta) ++counters.delete_misses;  // memcached counts none in the binary protocol
    return Outcome::kExists;
  }
  const int64_t slab_class = item != nullptr ? tiers_->allocator.ListClass(*item) : 0;
  const int64_t bytes = item != nullptr ? item->ValueBytes()
                                        : static_cast<int64_t>(answer.found->record.value.size());
  ClassCounters* const of_class = item != nullptr ? &shard.CountersOf(*item) : nullptr;
  if (plan.Keeps()) {
    if (item == nullptr && !plan.drops_value) {
      if (tried != answer.found) return Outcome::kNeedsFlash;  // another record counts by now
      if (!draft) return Outcome::kNoMemory;
    }
    if (item != nullptr) draft.Reset();
    const Outcome outcome = Keep(job, moment, item, answer, std::move(draft), shard);
    if (outcome != Outcome::kDeleted) return outcome;
  } else {
    shard.RemoveSlots(job.key, moment, item,
                      item == nullptr ? answer.found->serial : storage::kNoSerial);
    if (item != nullptr) shard.Unlink(item, job.key.hash, moment);
  }
  // memcached tells nothing of what is marked as stale.
  if ((moment.events & kDeletions) != 0 && !plan.invalidates) {
    tiers_->events.Note({.type = EventType::kDeleted,
                         .text = job.key.bytes,
                         .numbers = {plan.meta ? 1 : 0, slab_class, bytes}});
  }
  if (!plan.invalidates) {
    ++counters.delete_hits;
    if (of_class != nullptr) ++of_class->delete_hits;
  }
  return Outcome::kDeleted;
}

}  // namespace terraced::tiering
