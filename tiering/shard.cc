#include "tiering/shard.h"

#include <algorithm>

#include "storage/base/kill_point.h"
#include "storage/base/sync_point.h"

namespace terraced::tiering {

using storage::Item;
using storage::LruSegment;
using storage::Position;
using storage::SlabClass;
using storage::Slot;
using storage::SlotList;

namespace {

// memcached looks at so many tails before it gives up on an LRU.
constexpr int kTailLooks = 5;

}  // namespace

Shard::Shard(Tiers& tiers, uint8_t number)
    : ram(tiers.allocator, number), classes{}, tiers_(tiers), number_(number) {
  if (!tiers.arena->Adopting()) return;
  ram.OnAdoption([this](Item* item, uint64_t hash)
                     TERRACED_NO_THREAD_SAFETY_ANALYSIS { NoteAdopted(item, hash); });
}

void Shard::NoteAdopted(Item* item, uint64_t hash) {
  const uint64_t epoch = tiers_.flush.Current();
  if (item->Has(storage::kItemClean)) {
    const std::optional<Slot> clean = CleanSlot(*item, hash, epoch);
    if (clean) {
      tiers_.batches.AddClean(clean->number, 1);
    } else {
      item->Clear(storage::kItemClean);
    }
  }
  storage::CasRuns& uniques = tiers_.allocator.Uniques();
  if (uniques.IsRetiring(*item)) {
    // The record has the old unique, and must not bring it back.
    if (item->Has(storage::kItemClean)) {
      RemoveSlots({.bytes = item->Key(), .hash = hash}, {tiers_.clock.NowS(), epoch}, item,
                  storage::kNoSerial);
    }
    uniques.Set(item, tiers_.NextCas());
  } else {
    uniques.NoteUse(*item);
  }
  if (epoch > counted_epoch_) {
    counted_epoch_ = epoch;
    live_items_ = 0;
  }
  if (item->Epoch() == FlushEpoch::Short(counted_epoch_)) ++live_items_;
}

Item* Shard::FindLive(const Key& key, const Moment& moment, Death* death) {
  Item* const item = ram.Find(key.hash, key.bytes);
  if (item == nullptr) return nullptr;
  if (IsLive(*item, moment)) {
    if ((moment.events & kFetchers) != 0) ReportItem(key, *item);
    return item;
  }
  const bool flushed = item->Epoch() != FlushEpoch::Short(moment.epoch);
  if (death != nullptr) *death = flushed ? Death::kFlushed : Death::kExpired;
  if ((moment.events & kFetchers) != 0) met_ = flushed ? Death::kFlushed : Death::kExpired;
  CountReclaimed(*item);
  Unlink(item, key.hash, moment);
  return nullptr;
}

Shard::FlashAnswer Shard::AskFlash(const Key& key, const Moment& moment, Evidence* evidence) {
  const FlashAnswer answer = JudgeFlash(key, moment, evidence);
  if ((moment.events & kFetchers) != 0) ReportAnswer(key, answer);
  return answer;
}

Shard::FlashAnswer Shard::JudgeFlash(const Key& key, const Moment& moment, Evidence* evidence) {
  using Kind = FlashAnswer::Kind;
  SlotList slots = tiers_.index.Find(number_, key.hash, moment.epoch);
  const Fill* const fill = evidence->fill.get();
  if (fill != nullptr && MutantIs(Mutant::kFillNotValidated)) {
    const Fill::Try* const any = fill->Newest(slots);
    if (any != nullptr) return {.kind = Kind::kFound, .found = any, .slot = {}};
  }
  if (fill != nullptr) {
    // A record that fails its check is no record: its slot goes, the rest of the identity is judged
    // without it.
    for (const Fill::Try* bad = fill->Corrupt(slots); bad != nullptr; bad = fill->Corrupt(slots)) {
      if (!tiers_.index.RemoveSerial(number_, key.hash, bad->serial)) break;
      slots = tiers_.index.Find(number_, key.hash, moment.epoch);
    }
  }
  if (slots.count == 0) return {};
  if (evidence->timed_out) {
    tiers_.counters.reads_timed_out.fetch_add(1, std::memory_order_relaxed);
    return {.kind = Kind::kFailed, .slot = {}};
  }
  if (fill == nullptr || !fill->CoversAll(slots)) {
    if (fill != nullptr) ++commands.flash_reads_retried;
    if (evidence->attempts >= kFillAttemptsMax) return {.kind = Kind::kFailed, .slot = {}};
    evidence->need = slots;
    return {.kind = Kind::kNeedsFlash, .slot = {}};
  }
  if (fill->Failed()) return {.kind = Kind::kFailed, .slot = {}};
  // A caller that prepared itself for another record reads again what stands now, not what stood.
  evidence->need = slots;
  const Fill::Try* const found = fill->Newest(slots);
  if (found == nullptr) {
    ++commands.flash_read_misses;
    return {};
  }
  if (IsExpired(found->record.meta.exptime_s, moment.now_s)) {
    tiers_.index.RemoveSerial(number_, key.hash, found->serial);
    return {.kind = Kind::kAbsent, .slot = {}, .expired = true};
  }
  FlashAnswer answer{.kind = Kind::kFound, .found = found, .slot = {}};
  for (const Slot& slot : slots) {
    if (slot.serial == found->serial) answer.slot = slot;
  }
  return answer;
}

void Shard::RemoveSlots(const Key& key, const Moment& moment, Item* item, uint64_t own_serial) {
  if (item != nullptr && item->Has(storage::kItemClean)) {
    const std::optional<Slot> clean = CleanSlot(*item, key.hash, moment.epoch);
    if (clean) {
      own_serial = clean->serial;
      tiers_.batches.AddClean(clean->number, -1);
    }
    item->Clear(storage::kItemClean);
  }
  for (const Slot& slot : tiers_.index.Remove(number_, key.hash, moment.epoch)) {
    if (slot.serial == own_serial) continue;
    if (item != nullptr || own_serial != storage::kNoSerial) {
      // The newest value of the key is elsewhere, so this record is a colliding neighbour's.
      ++commands.flash_index_collisions;
    } else {
      tiers_.removals.Add({.serial = slot.serial, .hash = key.hash});
    }
  }
  HotKillPoint(KillPoint::kSlotsRemoved);
}

void Shard::MakeDirty(Item* item) {
  // The serial stays: an item that was cancelled in a batch is recognised by it and never taken
  // into the same batch again (rule 2).
  if (MutantIs(Mutant::kDemotionNotCancelled)) return;
  item->Clear(storage::kItemClean | storage::kItemInBatch);
}

void Shard::Link(Position draft, Item* old, const Key& key, const Moment& moment,
                 LruSegment segment, Position* spare) {
  const uint8_t epoch = FlushEpoch::Short(moment.epoch);
  TERRACED_DCHECK(ram.Find(key.hash, key.bytes) == old);
  if (old != nullptr) {
    if (old->Epoch() == FlushEpoch::Short(counted_epoch_)) --live_items_;
    const bool may_stay = tiers_.admin.lru_segmented.Get() && segment == LruSegment::kHot &&
                          old->Segment() != LruSegment::kTemp;
    if (!may_stay || !ram.Overwrite(old, draft, epoch, spare)) {
      ram.ReplaceItem(old, draft, key.hash, segment, epoch, spare);
    }
  } else {
    ram.Link(draft, key.hash, segment, epoch);
  }
  if (moment.epoch > counted_epoch_) {
    counted_epoch_ = moment.epoch;
    live_items_ = 0;
  }
  if (moment.epoch == counted_epoch_) ++live_items_;
  ++commands.total_items;
}

void Shard::Unlink(Item* item, uint64_t hash, const Moment& moment) {
  if (item->Has(storage::kItemClean)) {
    const std::optional<Slot> clean = CleanSlot(*item, hash, moment.epoch);
    if (clean) tiers_.batches.AddClean(clean->number, -1);
  }
  if (item->Epoch() == FlushEpoch::Short(counted_epoch_)) --live_items_;
  ram.Unlink(item, hash);
}

std::optional<Slot> Shard::CleanSlot(const Item& item, uint64_t hash, uint64_t epoch) const {
  for (const Slot& slot : tiers_.index.Find(number_, hash, epoch)) {
    if (static_cast<uint32_t>(slot.serial) == item.CleanSerial()) return slot;
  }
  return std::nullopt;
}

void Shard::NoteHit(Item* item, uint32_t now_s) {
  const uint32_t bits = item->Bits();
  if ((bits & storage::kItemFetched) == 0) {
    item->Set(storage::kItemFetched);
  } else if ((bits & storage::kItemActive) == 0) {
    item->Set(storage::kItemActive);
  }
  if (item->last_access_s != now_s) item->last_access_s = now_s;
  ++CountersOf(*item).lru_hits[static_cast<size_t>(item->Segment())];
}

void Shard::MoveToWarm(Item* item) {
  item->Clear(storage::kItemActive);
  ram.MoveTo(item, LruSegment::kWarm);
  ++CountersOf(*item).moves_to_warm;
}

uint32_t Shard::Juggle(SlabClass slab_class, const Moment& moment, uint32_t moves) {
  const AdminSettings& admin = tiers_.admin;
  uint32_t moved = 0;
  const Share hot{LruSegment::kHot, admin.hot_lru_pct.Get(), admin.hot_max_factor.Get()};
  while (moved < moves && MoveOverflow(slab_class, hot, moment)) ++moved;
  const Share warm{LruSegment::kWarm, admin.warm_lru_pct.Get(), admin.warm_max_factor.Get()};
  while (moved < moves && MoveOverflow(slab_class, warm, moment)) ++moved;
  return moved;
}

double Shard::TailAge(const storage::LruList& list, const Moment& moment) const {
  if (list.tail == storage::kNoPosition) return 0;
  return static_cast<double>(moment.now_s) -
         static_cast<double>(tiers_.arena->ItemAt(list.tail)->last_access_s);
}

bool Shard::MoveOverflow(SlabClass slab_class, const Share& share, const Moment& moment) {
  const storage::LruList& from = ram.List(slab_class, share.segment);
  const storage::LruList& cold = ram.List(slab_class, LruSegment::kCold);
  if (from.count == 0) return false;
  const uint64_t total = ram.List(slab_class, LruSegment::kHot).bytes +
                         ram.List(slab_class, LruSegment::kWarm).bytes + cold.bytes;
  const bool too_large = from.bytes > total * share.pct / 100;
  if (!too_large) {  // the ages are two more items to look at: only where the sizes do not decide
    if (cold.count == 0) return false;
    if (TailAge(from, moment) <= TailAge(cold, moment) * share.age_factor + 1) return false;
  }
  Item* const item = tiers_.arena->ItemAt(from.tail);
  ClassCounters& counters = classes[slab_class];
  if (!item->Has(storage::kItemActive)) {
    ram.MoveTo(item, LruSegment::kCold);
    ++counters.moves_to_cold;
    return true;
  }
  item->Clear(storage::kItemActive);
  ++(share.segment == LruSegment::kWarm ? counters.moves_within_lru : counters.moves_to_warm);
  ram.MoveTo(item, LruSegment::kWarm);
  return true;
}

Reclaimed Shard::Reclaim(SlabClass slab_class, EvictPolicy policy, const Moment& moment) {
  Juggle(slab_class, moment, kTailLooks);
  bool dirty_seen = false;
  constexpr std::array<LruSegment, storage::kLruSegments> kOrder = {
      LruSegment::kCold, LruSegment::kHot, LruSegment::kWarm, LruSegment::kTemp};
  for (const LruSegment segment : kOrder) {
    Position at = storage::kNoPosition;
    for (int look = 0; look < kTailLooks; ++look) {
      const Position next = ram.Before(slab_class, segment, at);
      if (next == storage::kNoPosition) break;
      Item* const item = tiers_.arena->ItemAt(next);
      if (IsSpared(*item, policy)) {
        MoveToWarm(item);
        continue;
      }
      const std::optional<Reclaimed> done = ReclaimItem(item, policy, moment, &dirty_seen);
      if (done) {
        ++classes[slab_class].direct_reclaims;
        return *done;
      }
      at = next;
    }
  }
  return dirty_seen ? Reclaimed::kNeedsDemotion : Reclaimed::kNothing;
}

bool Shard::IsSpared(const Item& item, EvictPolicy policy) const {
  return item.Has(storage::kItemActive) && item.Segment() == LruSegment::kCold &&
         !item.IsPinned() && policy != EvictPolicy::kSpareDirty && tiers_.admin.lru_segmented.Get();
}

std::optional<Reclaimed> Shard::ReclaimItem(Item* item, EvictPolicy policy, const Moment& moment,
                                            bool* dirty_seen) {
  if (item->IsPinned()) {
    ++CountersOf(*item).lrutail_reflocked;
    return std::nullopt;
  }
  const uint64_t hash = tiers_.HashOf(item->Key());
  if (!IsLive(*item, moment)) {
    CountReclaimed(*item);
    Unlink(item, hash, moment);
    return Reclaimed::kYes;
  }
  if (!StandsOnFlash(*item, hash, moment)) {
    *dirty_seen = true;
    if (policy == EvictPolicy::kSpareDirty) return std::nullopt;
    if (policy == EvictPolicy::kEvict && item->Has(storage::kItemInBatch)) return std::nullopt;
  }
  Evict(item, hash, moment);
  return Reclaimed::kYes;
}

void Shard::Evict(Item* item, uint64_t hash, const Moment& moment) {
  if (item->Has(storage::kItemClean)) {
    const std::optional<Slot> slot = CleanSlot(*item, hash, moment.epoch);
    if (slot) {
      if (item->Has(storage::kItemActive)) tiers_.index.MarkHit(number_, hash, slot->serial);
      tiers_.counters.clean_drops.fetch_add(1, std::memory_order_relaxed);
      Unlink(item, hash, moment);
      return;
    }
  }
  if (tiers_.events.Wants(kEvictions)) ReportEviction(*item, moment);
  ClassCounters& counters = CountersOf(*item);
  ++counters.evicted;
  counters.evicted_time = moment.now_s - std::min(moment.now_s, item->last_access_s);
  if (item->exptime_s != kExptimeNever) ++counters.evicted_nonzero;
  if (!item->Has(storage::kItemFetched)) ++counters.evicted_unfetched;
  if (item->Has(storage::kItemActive)) ++counters.evicted_active;
  tiers_.counters.evictions.fetch_add(1, std::memory_order_relaxed);
  Unlink(item, hash, moment);
}

void Shard::CountReclaimed(const Item& item) {
  ClassCounters& counters = CountersOf(item);
  ++counters.reclaimed;
  if (!item.Has(storage::kItemFetched)) ++counters.expired_unfetched;
}

// --- What is told to watchers ---------------------------------------------------------------------

void Shard::ReportItem(const Key& key, const Item& item) {
  tiers_.events.Note({.type = EventType::kItemGet,
                      .text = key.bytes,
                      .numbers = {static_cast<int64_t>(FetchStatus::kFound),
                                  tiers_.allocator.ListClass(item), item.ValueBytes()}});
}

void Shard::ReportAbsent(const Key& key) {
  FetchStatus status = FetchStatus::kNotFound;
  if (met_ == Death::kFlushed) status = FetchStatus::kFlushed;
  if (met_ == Death::kExpired) status = FetchStatus::kExpired;
  met_ = Death::kNone;
  tiers_.events.Note(
      {.type = EventType::kItemGet, .text = key.bytes, .numbers = {static_cast<int64_t>(status)}});
}

void Shard::ReportAnswer(const Key& key, const FlashAnswer& answer) {
  using Kind = FlashAnswer::Kind;
  if (answer.kind == Kind::kNeedsFlash) {  // asked again when it has been read
    met_ = Death::kNone;
    return;
  }
  if (answer.kind == Kind::kFound) {
    met_ = Death::kNone;
    tiers_.events.Note({.type = EventType::kItemGet,
                        .text = key.bytes,
                        .numbers = {static_cast<int64_t>(FetchStatus::kFound), 0,
                                    static_cast<int64_t>(answer.found->record.value.size())}});
    return;
  }
  if (answer.expired) met_ = Death::kExpired;
  ReportAbsent(key);
}

void Shard::ReportEviction(const Item& item, const Moment& moment) const {
  const int64_t idle_s = moment.now_s - std::min(moment.now_s, item.last_access_s);
  tiers_.events.Note({.type = EventType::kEviction,
                      .text = item.Key(),
                      .numbers = {item.Has(storage::kItemFetched) ? 1 : 0,
                                  SecondsToLive(item.exptime_s, moment.now_s), idle_s,
                                  tiers_.allocator.ListClass(item), item.ValueBytes()}});
}

void Shard::ResetCounters() {
  commands = {};
  classes = {};
}

}  // namespace terraced::tiering
