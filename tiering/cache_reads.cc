// gat, touch, mg, me: reads that may change what they read, or make it.
#include "tiering/two_tier_cache.h"

namespace terraced::tiering {

using storage::Item;
using Kind = Shard::FlashAnswer::Kind;

namespace {

// Whether this reader is the one to store the item anew.
bool Wins(const ReadPlan& plan, const ItemMeta& item) {
  if (!plan.may_win || item.token_sent) return false;
  if (item.stale) return true;
  const uint32_t exptime_s = plan.recache_sees_touch ? plan.exptime_s : item.exptime_s;
  return exptime_s != kExptimeNever && exptime_s < plan.recache_before_s;
}

// Whether an answer that nobody knows may not be taken for a miss.
bool Changes(const ReadPlan& plan) {
  return plan.touches || plan.vivifies || plan.recache_before_s != 0;
}

}  // namespace

Outcome TwoTierCache::Read(const Key& key, const ReadPlan& plan, Evidence* evidence,
                           ValueSink& sink) {
  const ReadJob job{key, plan, evidence, sink};
  if (!plan.vivifies) return ReadOnce(job, nullptr);
  return RunWithRoom(key, [&](DerivedRoom* room) { return ReadOnce(job, room); });
}

void TwoTierCache::CountRead(const ReadPlan& plan, bool hit, Shard& shard) {
  if (plan.describes) {
    ++shard.commands.cmd_meta;
    return;
  }
  CommandCounters& counters = shard.commands;
  if (plan.touches) {
    ++counters.cmd_touch;
    ++(hit ? counters.touch_hits : counters.touch_misses);
  } else {
    ++counters.cmd_get;
    ++(hit ? counters.get_hits : counters.get_misses);
  }
}

Draft TwoTierCache::DraftForRead(const ReadJob& job, const Fill::Try** tried) {
  if (job.evidence->fill == nullptr) return {};
  const Fill::Try* const newest = job.evidence->fill->Newest(job.evidence->need);
  if (newest == nullptr) return {};
  const bool must = job.plan.touches || Wins(job.plan, MetaOf(newest->record, false));
  if (!must && (!job.plan.bumps || !WantsPromotion(job.evidence))) return {};
  return DraftFromFill(job.key, job.evidence, must, tried);
}

void TwoTierCache::ReadRam(const ReadJob& job, const Moment& moment, Item* item, Shard& shard) {
  const ReadPlan& plan = job.plan;
  ClassCounters& of_class = shard.CountersOf(*item);
  CountRead(plan, true, shard);
  if (plan.touches) {
    ++of_class.touch_hits;
  } else if (!plan.describes) {
    ++of_class.get_hits;
    ++shard.commands.get_hits_ram;
  }
  ItemMeta meta = MetaOf(*item);
  meta.won = Wins(plan, meta);
  if (plan.describes) {
    meta.slab_class = tiers_->allocator.ListClass(*item);
    meta.item_bytes = static_cast<uint32_t>(storage::ItemAllocator::RequestedBytes(*item));
  }
  if (plan.wants_value) {
    DeliverRam(*item, meta, job.sink);
  } else {
    job.sink.Begin(meta);
  }
  if (plan.bumps) shard.NoteHit(item, moment.now_s);
  if (!plan.touches && !meta.won) return;
  shard.RemoveSlots(job.key, moment, item, storage::kNoSerial);
  Shard::MakeDirty(item);
  if (plan.touches) item->exptime_s = plan.exptime_s;
  if (meta.won) item->Set(storage::kItemTokenSent);
}

Outcome TwoTierCache::Vivify(const ReadJob& job, const Moment& moment, DerivedRoom* room,
                             Shard& shard) {
  Draft draft = TakeRoom(job.key, nullptr, 0, 0, room);
  if (!draft) return Outcome::kNoMemory;
  CountRead(job.plan, false, shard);
  Item* const item = tiers_->arena->ItemAt(draft.position_);
  item->exptime_s = job.plan.vivify_exptime_s;
  item->last_access_s = moment.now_s;
  SetUnique(item, 0);
  item->Set(storage::kItemTokenSent | (job.plan.bumps ? uint32_t{storage::kItemFetched} : 0) |
            (job.plan.binary_key ? uint32_t{storage::kItemBinaryKey} : 0));
  ItemMeta meta = MetaOf(*item);
  meta.exptime_s = kExptimeNever;
  meta.fetched = false;  // before this command
  meta.token_sent = false;
  meta.created = meta.won = true;
  shard.RemoveSlots(job.key, moment, nullptr, storage::kNoSerial);
  shard.Link(draft.Release(), nullptr, job.key, moment, SegmentFor(job.plan.vivify_exptime_s));
  job.sink.Begin(meta);
  return Outcome::kHit;
}

void TwoTierCache::BringUp(const ReadJob& job, const Moment& moment,
                           const Shard::FlashAnswer& answer, bool won, Shard& shard, Draft* draft) {
  const ReadPlan& plan = job.plan;
  shard.RemoveSlots(job.key, moment, nullptr, answer.found->serial);
  Item* const item = tiers_->arena->ItemAt(draft->position_);
  if (plan.touches) item->exptime_s = plan.exptime_s;
  if (plan.bumps) item->last_access_s = moment.now_s;
  if (won) item->Set(storage::kItemTokenSent);
  // Read just now, or since its record was written (I4).
  if (plan.bumps || answer.slot.hit) item->Set(storage::kItemFetched);
  const uint32_t exptime_s = item->exptime_s;
  shard.Link(draft->Release(), nullptr, job.key, moment, SegmentFor(exptime_s));
  --shard.commands.total_items;  // moved, not stored
}

Outcome TwoTierCache::ReadOnce(const ReadJob& job, DerivedRoom* room) {
  const ReadPlan& plan = job.plan;
  const Fill::Try* tried = nullptr;
  Draft draft = DraftForRead(job, &tried);
  Shard& shard = tiers_->ShardOf(job.key.hash);
  Shard::FlashAnswer answer;
  ItemMeta meta;
  {
    MutexLock lock(shard.mutex);
    const Moment moment = Now();
    Death death = Death::kNone;
    if (Item* const item = shard.FindLive(job.key, moment, &death)) {
      ReadRam(job, moment, item, shard);
      return Outcome::kHit;
    }
    answer = shard.AskFlash(job.key, moment, job.evidence);
    if (answer.kind == Kind::kNeedsFlash) return Outcome::kNeedsFlash;
    if (answer.kind == Kind::kFailed) {
      if (!Changes(plan)) CountRead(plan, false, shard);
      return Outcome::kFlashFailed;
    }
    if (answer.kind == Kind::kAbsent) {
      if (plan.vivifies) return Vivify(job, moment, room, shard);
      CountRead(plan, false, shard);
      if (plan.touches || plan.describes) return Outcome::kMiss;
      if (death == Death::kExpired || answer.expired) ++shard.commands.get_expired;
      if (death == Death::kFlushed) ++shard.commands.get_flushed;
      return Outcome::kMiss;
    }
    meta = MetaOf(answer.found->record, answer.slot.hit);
    meta.won = Wins(plan, meta);
    const bool moves = plan.touches || meta.won;
    if (moves && tried != answer.found)
      return Outcome::kNeedsFlash;  // another record counts by now
    if (plan.touches && !draft) return Outcome::kNoMemory;
    if (!draft) meta.won = false;  // who reads it next may win
    CountRead(plan, true, shard);
    if (!plan.touches && !plan.describes) ++shard.commands.get_hits_flash;
    if (draft && moves) {
      BringUp(job, moment, answer, meta.won, shard, &draft);
    } else if (plan.bumps) {
      tiers_->index.MarkHit(shard.Number(), job.key.hash, answer.found->serial);
      if (draft && tried == answer.found) Promote(shard, job.key, moment, answer, &draft);
    }
  }
  char* const to = job.sink.Begin(meta);
  const std::string& value = answer.found->record.value;
  if (plan.wants_value && to != nullptr) value.copy(to, value.size());
  return Outcome::kHit;
}

}  // namespace terraced::tiering
