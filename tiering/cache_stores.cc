// The commands that store: set and its kin; flush_all. incr and decr are in cache_counts.cc. A new value is always built as a new item, which
// takes the place of the old one or, where it fits, moves into its chunk (Shard::Link); the slots of the key go before
// that (I2), and what is derived from an old value is built in the same critical section that found it.
#include <cstring>

#include "storage/base/sync_point.h"
#include "tiering/two_tier_cache.h"

namespace terraced::tiering {

using storage::Item;
using storage::Position;
using storage::SlabClass;
using Kind = Shard::FlashAnswer::Kind;

namespace {

// In one piece: where it lies, or copied together where it lies in a chain of chunks.
std::string_view ValueOf(const storage::ItemAllocator& allocator, const Item& item,
                         std::string* copy) {
  if (!item.Has(storage::kItemChunked)) return allocator.Value(item);
  copy->resize(item.ValueBytes());
  allocator.CopyValue(item, copy->data());
  return *copy;
}

}  // namespace

AllocateResult TwoTierCache::Allocate(const Key& key, const AllocatePlan& plan, Draft* draft) {
  TierCounters& counters = tiers_->counters;
  if (!tiers_->allocator.Fits(key.bytes.size(), plan.client_flags, plan.value_bytes)) {
    counters.store_too_large.fetch_add(1, std::memory_order_relaxed);
    return AllocateResult::kTooLarge;
  }
  TERRACED_DCHECK(!*draft);
  Position position = storage::kNoPosition;
  const storage::ItemPrefix prefix = PrefixFor(plan.client_flags, plan.new_cas);
  const auto bytes = static_cast<uint32_t>(plan.value_bytes);
  switch (reclaimer_->NewItem(key.bytes, prefix, bytes, plan.may_wait, &position, &draft->spare_)) {
    case Reclaimer::Room::kWait:
      counters.demotion_waits.fetch_add(1, std::memory_order_relaxed);
      return AllocateResult::kWait;
    case Reclaimer::Room::kNone:
      counters.store_no_memory.fetch_add(1, std::memory_order_relaxed);
      return AllocateResult::kNoMemory;
    case Reclaimer::Room::kYes:
      break;
  }
  tiers_->arena->ItemAt(position)->exptime_s = plan.exptime_s;
  *draft = Draft(tiers_->allocator, position);
  return AllocateResult::kOk;
}

void TwoTierCache::SetUnique(Item* item, uint64_t new_cas) const {
  tiers_->allocator.Uniques().Set(item, new_cas != 0 ? new_cas : tiers_->NextCas());
}

Draft TwoTierCache::TakeRoom(const Key& key, const Item* own, storage::ItemPrefix prefix,
                             uint32_t value_bytes, DerivedRoom* room) const {
  storage::ItemAllocator& allocator = tiers_->allocator;
  if (room->draft && room->draft.Peek().ValueBytes() == value_bytes &&
      room->draft.Peek().ClientFlags() == prefix.client_flags &&
      room->draft.Peek().HasWholeUnique() == prefix.whole_unique) {
    return std::move(room->draft);
  }
  room->draft.Reset();
  SlabClass short_of = storage::kNoSlabClass;
  const Position position = allocator.New(key.bytes, prefix, value_bytes, &short_of);
  if (position != storage::kNoPosition) return Draft(allocator, position);
  room->wanted = true;
  room->prefix = prefix;
  room->value_bytes = value_bytes;
  if (own != nullptr && storage::ItemRef::CanPin(tiers_->allocator, *own)) {
    room->own = storage::ItemRef(allocator, tiers_->arena->PositionOf(own));
  }
  return {};
}

Draft TwoTierCache::Widen(const Key& key, const Item& item, DerivedRoom* room) const {
  Draft draft = TakeRoom(key, &item, {item.ClientFlags(), true}, item.ValueBytes(), room);
  if (!draft) return draft;
  std::string copy;
  draft.FillValue({ValueOf(tiers_->allocator, item, &copy)});
  Item* const wide = tiers_->arena->ItemAt(draft.position_);
  wide->exptime_s = item.exptime_s;
  wide->last_access_s = item.last_access_s;
  wide->Set(item.Bits() & (storage::kItemFetched | storage::kItemStale | storage::kItemTokenSent |
                           storage::kItemBinaryKey | storage::kItemKeptOff));
  return draft;
}

Outcome TwoTierCache::Store(const Key& key, const StorePlan& plan, Draft* draft, Evidence* evidence,
                            ItemMeta* item) {
  const StoreJob job{key, plan, draft, evidence, item};
  const Outcome outcome = RunWithRoom(key, [&](DerivedRoom* room) { return StoreOnce(job, room); });
  if (outcome == Outcome::kNoMemory) {
    tiers_->counters.store_no_memory.fetch_add(1, std::memory_order_relaxed);
  }
  const bool unjudged = outcome == Outcome::kTooLarge || outcome == Outcome::kNoMemory ||
                        outcome == Outcome::kFlashFailed;
  if (unjudged && tiers_->events.Wants(kMutations))
    ReportStore(key, plan.mode, outcome, draft->Peek());
  const bool consumed = outcome == Outcome::kStored && !*draft;  // a spare may be left in it
  if (outcome != Outcome::kNeedsFlash && !consumed) draft->Reset();
  return outcome;
}

Outcome TwoTierCache::JudgeStore(const StoreJob& job, const std::optional<ItemMeta>& found,
                                 Shard& shard, SlabClass slab_class, bool* stale) const {
  const StorePlan& plan = job.plan;
  switch (plan.mode) {
    case StoreMode::kSet:
      return Outcome::kStored;
    case StoreMode::kAdd:
      return found ? Outcome::kNotStored : Outcome::kStored;
    case StoreMode::kReplace:
      return found ? Outcome::kStored : Outcome::kNotStored;
    case StoreMode::kAppend:
    case StoreMode::kPrepend:
      if (!found) return plan.vivifies ? Outcome::kStored : Outcome::kNotStored;
      return plan.compare_cas == 0 || plan.compare_cas == found->cas_unique ? Outcome::kStored
                                                                            : Outcome::kExists;
    case StoreMode::kCas:
      break;
  }
  CommandCounters& counters = shard.commands;
  if (!found) {
    ++counters.cas_misses;
    return Outcome::kNotFound;
  }
  *stale = plan.stale_if_older && plan.compare_cas != 0 && plan.compare_cas < found->cas_unique;
  if (found->cas_unique != plan.compare_cas && !*stale) {
    ++counters.cas_badval;
    ++shard.classes[slab_class].cas_badval;
    return Outcome::kExists;
  }
  ++counters.cas_hits;
  ++shard.classes[slab_class].cas_hits;
  return Outcome::kStored;
}

Outcome TwoTierCache::Concatenate(const StoreJob& job, const Item* item, const Fill::Try* found,
                                  DerivedRoom* room, Draft* joined) const {
  const uint64_t old_bytes = item != nullptr ? item->ValueBytes() : found->record.value.size();
  const uint32_t flags = item != nullptr ? item->ClientFlags() : found->record.meta.client_flags;
  const uint64_t bytes = old_bytes + job.draft->Peek().ValueBytes();
  storage::ItemAllocator& allocator = tiers_->allocator;
  if (!allocator.Fits(job.key.bytes.size(), flags, bytes)) return Outcome::kTooLarge;
  const storage::ItemPrefix prefix = PrefixFor(flags, job.plan.new_cas);
  *joined = TakeRoom(job.key, item, prefix, static_cast<uint32_t>(bytes), room);
  if (!*joined) return Outcome::kNoMemory;
  tiers_->arena->ItemAt(joined->position_)->exptime_s =
      item != nullptr ? item->exptime_s : found->record.meta.exptime_s;

  std::string old_copy;
  std::string added_copy;
  const std::string_view old =
      item != nullptr ? ValueOf(allocator, *item, &old_copy) : found->record.value;
  const std::string_view added = ValueOf(allocator, job.draft->Peek(), &added_copy);
  if (job.plan.mode == StoreMode::kAppend) {
    joined->FillValue({old, added});
  } else {
    joined->FillValue({added, old});
  }
  return Outcome::kStored;
}

void TwoTierCache::ReportStore(const Key& key, StoreMode mode, Outcome outcome,
                               const Item& item) const {
  // memcached shows no end as 0.
  const uint32_t exptime_s = item.exptime_s;
  const int64_t ttl_s =
      exptime_s == kExptimeNever ? 0 : SecondsToLive(exptime_s, tiers_->clock.NowS());
  tiers_->events.Note({.type = EventType::kItemStore,
                       .text = key.bytes,
                       .numbers = {static_cast<int64_t>(outcome), static_cast<int64_t>(mode), ttl_s,
                                   tiers_->allocator.ListClass(item), item.ValueBytes()}});
}

Outcome TwoTierCache::StoreOnce(const StoreJob& job, DerivedRoom* room) {
  Shard& shard = tiers_->ShardOf(job.key.hash);
  MutexLock lock(shard.mutex);
  const Moment moment = Now();
  Item* const item = shard.FindLive(job.key, moment);
  Shard::FlashAnswer answer;
  if (item == nullptr && job.plan.mode == StoreMode::kSet) shard.NoteUnasked(job.key, moment);
  if (item == nullptr && job.plan.mode != StoreMode::kSet) {
    answer = shard.AskFlash(job.key, moment, job.evidence);
    if (answer.kind == Kind::kNeedsFlash) return Outcome::kNeedsFlash;
    if (answer.kind == Kind::kFailed) return Outcome::kFlashFailed;
  }
  const bool on_flash = answer.kind == Kind::kFound;
  std::optional<ItemMeta> found;
  if (item != nullptr && job.plan.mode != StoreMode::kSet) found = MetaOf(*item);
  if (on_flash) found = MetaOf(answer.found->record, answer.slot.hit);
  bool stale = false;
  const SlabClass slab_class = tiers_->allocator.ListClass(job.draft->Peek());
  const Outcome judged = JudgeStore(job, found, shard, slab_class, &stale);
  Draft joined;
  Draft* stored = job.draft;
  const bool joins = job.plan.mode == StoreMode::kAppend || job.plan.mode == StoreMode::kPrepend;
  if (joins && found && judged == Outcome::kStored) {
    const Outcome built = Concatenate(job, item, answer.found, room, &joined);
    if (built != Outcome::kStored) return built;
    stored = &joined;
  }
  ++shard.commands.cmd_set;
  ++shard.classes[tiers_->allocator.ListClass(stored->Peek())].cmd_set;
  if (judged != Outcome::kStored) {
    if ((moment.events & kMutations) != 0)
      ReportStore(job.key, job.plan.mode, judged, stored->Peek());
    // A refused add still counts as an access of what is there.
    if (item != nullptr && job.plan.mode == StoreMode::kAdd) item->last_access_s = moment.now_s;
    return judged;
  }
  Item* const fresh = tiers_->arena->ItemAt(stored->position_);
  SetUnique(fresh, job.plan.new_cas);
  if (!MutantIs(Mutant::kSlotNotRemovedOnSet)) {
    shard.RemoveSlots(job.key, moment, item, on_flash ? answer.found->serial : storage::kNoSerial);
  }
  fresh->last_access_s = moment.now_s;
  if (stale) fresh->exptime_s = found->exptime_s;
  fresh->Set((stale ? uint32_t{storage::kItemStale} : 0) |
             (stale && found->token_sent ? uint32_t{storage::kItemTokenSent} : 0) |
             (job.plan.binary_key ? uint32_t{storage::kItemBinaryKey} : 0));
  job.item->cas_unique = tiers_->allocator.Uniques().Unique(*fresh);
  job.item->value_bytes = fresh->ValueBytes();
  if ((moment.events & kMutations) != 0) {
    ReportStore(job.key, job.plan.mode, Outcome::kStored, *fresh);
  }
  const uint32_t exptime_s = fresh->exptime_s;
  shard.Link(stored->Release(), item, job.key, moment, SegmentFor(exptime_s),
             stored == job.draft ? &job.draft->spare_ : nullptr);
  return Outcome::kStored;
}

void TwoTierCache::FlushAll(uint32_t at_s) {
  tiers_->counters.cmd_flush.fetch_add(1, std::memory_order_relaxed);
  tiers_->flush.SetDue(at_s);
  if (at_s == 0) RaiseEpoch();
}

void TwoTierCache::RaiseEpoch() {
  while (!tiers_->flush.Raise()) {
    adopter_->Finish();  // what an earlier process left is swept like anything else
    crawler_->SweepNow();
  }
  SyncPoints::Pass(SyncPoint::kFlush);
  crawler_->Wake();
  demoter_->Wake();
}

}  // namespace terraced::tiering
