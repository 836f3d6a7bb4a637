// get, and what commands have in common: how an item is described, delivered and brought up. Every command is one
// critical section of its key's shard: RAM first (I1), then what flash says (I3), then the change (I2). Those that
// read and may change something are in cache_reads.cc, delete in cache_deletes.cc, those that store in
// cache_stores.cc.
#include <cstring>

#include "tiering/two_tier_cache.h"

namespace terraced::tiering {

using storage::Item;
using storage::LruSegment;
using Kind = Shard::FlashAnswer::Kind;

void TwoTierCache::Prefetch(std::span<const Key> keys) const {
  for (const Key& key : keys) {
    const Shard& shard = tiers_->ShardOf(key.hash);
    shard.PrefetchBucket(key.hash);
    if (tiers_->HasFlash()) tiers_->index.Prefetch(shard.Number(), key.hash);
  }
  for (const Key& key : keys) tiers_->ShardOf(key.hash).PrefetchItem(key.hash);
}

void TwoTierCache::PrefetchChange(const Key& key) const {
  tiers_->ShardOf(key.hash).PrefetchNeighbours(key.hash);
}

LruSegment TwoTierCache::SegmentFor(uint32_t exptime_s) const {
  if (!tiers_->admin.lru_segmented.Get()) return LruSegment::kCold;
  const int64_t temporary_s = tiers_->admin.temporary_ttl_s.Get();
  const bool short_lived = temporary_s >= 0 && exptime_s != kExptimeNever &&
                           exptime_s <= tiers_->clock.NowS() + temporary_s;
  return short_lived ? LruSegment::kTemp : LruSegment::kHot;
}

ItemMeta TwoTierCache::MetaOf(const Item& item) const {
  const uint32_t bits = item.Bits();
  return {.cas_unique = tiers_->allocator.Uniques().Unique(item),
          .client_flags = item.ClientFlags(),
          .exptime_s = item.exptime_s,
          .last_access_s = item.last_access_s,
          .value_bytes = item.ValueBytes(),
          .fetched = (bits & storage::kItemFetched) != 0,
          .stale = (bits & storage::kItemStale) != 0,
          .token_sent = (bits & storage::kItemTokenSent) != 0,
          .binary_key = (bits & storage::kItemBinaryKey) != 0};
}

ItemMeta TwoTierCache::MetaOf(const storage::DecodedRecord& record, bool hit) {
  const storage::RecordMeta& meta = record.meta;
  return {.cas_unique = meta.cas_unique,
          .client_flags = meta.client_flags,
          .exptime_s = meta.exptime_s,
          .last_access_s = meta.last_access_s,
          .value_bytes = static_cast<uint32_t>(record.value.size()),
          .fetched = meta.fetched || hit,
          .stale = meta.stale,
          .token_sent = meta.token_sent,
          .binary_key = meta.binary_key};
}

void TwoTierCache::DeliverRam(const Item& item, const ItemMeta& meta, ValueSink& sink) const {
  if (item.ValueBytes() > kCopyBytesMax && storage::ItemRef::CanPin(tiers_->allocator, item)) {
    sink.Pinned(meta, storage::ItemRef(tiers_->allocator, tiers_->arena->PositionOf(&item)));
    return;
  }
  char* const to = sink.Begin(meta);
  if (to == nullptr) return;
  if (item.Has(storage::kItemChunked)) {
    tiers_->allocator.CopyValue(item, to);
  } else {
    std::memcpy(to, item.AfterKey(), item.ValueBytes());
  }
}

Draft TwoTierCache::DraftFromFill(const Key& key, const Evidence* evidence, bool make_room,
                                  const Fill::Try** tried, uint64_t new_cas) {
  *tried = evidence->fill->Newest(evidence->need);
  if (*tried == nullptr) return {};
  const storage::DecodedRecord& record = (*tried)->record;
  const auto bytes = static_cast<uint32_t>(record.value.size());
  // Written under a larger -I than today's: it stays where it is.
  if (!tiers_->allocator.Fits(key.bytes.size(), record.meta.client_flags, bytes)) return {};
  storage::ItemPrefix prefix = PrefixFor(record.meta.client_flags, new_cas);
  prefix.whole_unique |= !tiers_->allocator.Uniques().HasNumberFor(record.meta.cas_unique);
  storage::Position position = storage::kNoPosition;
  if (make_room) {
    if (reclaimer_->NewItem(key.bytes, prefix, bytes, false, &position) != Reclaimer::Room::kYes) {
      return {};
    }
  } else {
    storage::SlabClass short_of;
    position = tiers_->allocator.New(key.bytes, prefix, bytes, &short_of);
    if (position == storage::kNoPosition) return {};
  }
  Draft draft(tiers_->allocator, position);
  draft.FillValue({record.value});
  Inherit(record.meta, &draft);
  return draft;
}

void TwoTierCache::Inherit(const storage::RecordMeta& meta, Draft* draft) const {
  Item* const item = tiers_->arena->ItemAt(draft->position_);
  item->exptime_s = meta.exptime_s;
  tiers_->allocator.Uniques().Set(item, meta.cas_unique);
  item->last_access_s = meta.last_access_s;
  uint32_t bits = 0;
  if (meta.fetched) bits |= storage::kItemFetched;
  if (meta.stale) bits |= storage::kItemStale;
  if (meta.token_sent) bits |= storage::kItemTokenSent;
  if (meta.binary_key) bits |= storage::kItemBinaryKey;
  item->Set(bits);
}

bool TwoTierCache::WantsPromotion(const Evidence* evidence) const {
  return promotion_->Wants(evidence->need);
}

void TwoTierCache::Promote(Shard& shard, const Key& key, const Moment& moment,
                           const Shard::FlashAnswer& answer, Draft* draft) {
  Item* const item = tiers_->arena->ItemAt(draft->position_);
  item->Set(storage::kItemFetched);
  item->last_access_s = moment.now_s;
  if (tiers_->events.Wants(kEvictions)) {
    tiers_->events.Note(
        {.type = EventType::kFlashPromotion,
         .text = key.bytes,
         .numbers = {tiers_->allocator.ListClass(*item), item->ValueBytes(), answer.slot.number}});
  }
  LinkClean(shard, key, moment, answer, LruSegment::kWarm, draft);
  ++shard.commands.flash_promotions;
}

void TwoTierCache::LinkClean(Shard& shard, const Key& key, const Moment& moment,
                             const Shard::FlashAnswer& answer, LruSegment segment, Draft* draft) {
  Item* const item = tiers_->arena->ItemAt(draft->position_);
  // The flash copy stays and the RAM item is clean (I1). It lives under the record's epoch: a flush
  // between the read and now must not be escaped by moving up.
  item->SetCleanSerial(static_cast<uint32_t>(answer.found->serial));
  item->Set(storage::kItemClean | (answer.slot.hit ? uint32_t{storage::kItemFetched} : 0));
  const Moment stored{moment.now_s, answer.found->record.meta.epoch};
  shard.Link(draft->Release(), nullptr, key, stored, segment);
  --shard.commands.total_items;  // moved, not stored
  tiers_->batches.AddClean(answer.slot.number, 1);
}

HotListWarmer::Answer TwoTierCache::WarmOnce(const Key& key, LruSegment segment,
                                             Evidence* evidence) {
  using Answer = HotListWarmer::Answer;
  const Fill::Try* tried = nullptr;
  Draft draft;
  bool room = false;
  if (evidence->fill != nullptr) {
    draft = DraftFromFill(key, evidence, false, &tried);
    room = draft && demoter_->HasRoomToSpare(
                        tiers_->allocator.ListClass(*tiers_->arena->ItemAt(draft.position_)));
  }
  Shard& shard = tiers_->ShardOf(key.hash);
  MutexLock lock(shard.mutex);
  const Moment moment{tiers_->clock.NowS(), tiers_->flush.Current()};
  if (shard.FindLive(key, moment) != nullptr) return Answer::kInRam;
  const Shard::FlashAnswer answer = shard.AskFlash(key, moment, evidence);
  if (answer.kind == Kind::kNeedsFlash) return Answer::kNeedsFlash;
  if (answer.kind == Kind::kFailed) return Answer::kReadFailed;
  if (answer.kind != Kind::kFound || tried != answer.found) return Answer::kGone;
  if (!room) {
    // One that was written under a larger -I has no place at all.
    const storage::DecodedRecord& record = tried->record;
    return tiers_->allocator.Fits(key.bytes.size(), record.meta.client_flags, record.value.size())
               ? Answer::kNoRoom
               : Answer::kGone;
  }
  Item* const item = tiers_->arena->ItemAt(draft.position_);
  LinkClean(shard, key, moment, answer, segment, &draft);
  shard.ram.MoveToTail(item);
  return Answer::kWarmed;
}

Outcome TwoTierCache::Get(const Key& key, Evidence* evidence, ValueSink& sink) {
  const Fill::Try* tried = nullptr;
  Draft draft;
  if (evidence->fill != nullptr && WantsPromotion(evidence)) {
    draft = DraftFromFill(key, evidence, false, &tried);
  }
  Shard& shard = tiers_->ShardOf(key.hash);
  Shard::FlashAnswer answer;
  {
    MutexLock lock(shard.mutex);
    const Moment moment = Now();
    CommandCounters& counters = shard.commands;
    Death death = Death::kNone;
    if (Item* const item = shard.FindLive(key, moment, &death)) {
      ++counters.cmd_get;
      ++counters.get_hits;
      ++counters.get_hits_ram;
      ++shard.CountersOf(*item).get_hits;
      DeliverRam(*item, MetaOf(*item), sink);
      shard.NoteHit(item, moment.now_s);
      return Outcome::kHit;
    }
    answer = shard.AskFlash(key, moment, evidence);
    if (answer.kind == Kind::kNeedsFlash) return Outcome::kNeedsFlash;
    ++counters.cmd_get;
    if (answer.kind != Kind::kFound) {
      ++counters.get_misses;
      if (death == Death::kExpired || answer.expired) ++counters.get_expired;
      if (death == Death::kFlushed) ++counters.get_flushed;
      return Outcome::kMiss;
    }
    ++counters.get_hits;
    ++counters.get_hits_flash;
    // Also of what moves up: its copy may be dropped unread, and then the record deserves its second chance.
    tiers_->index.MarkHit(shard.Number(), key.hash, answer.found->serial);
    if (draft && tried == answer.found) Promote(shard, key, moment, answer, &draft);
  }
  // Records are immutable and the fill holds this one: large values are copied without the mutex.
  const storage::DecodedRecord& record = answer.found->record;
  char* const to = sink.Begin(MetaOf(record, answer.slot.hit));
  if (to != nullptr) record.value.copy(to, record.value.size());
  return Outcome::kHit;
}

void TwoTierCache::DropRefused(const Key& key) {
  Shard& shard = tiers_->ShardOf(key.hash);
  MutexLock lock(shard.mutex);
  const Moment moment = Now();
  Item* const item = shard.FindLive(key, moment);
  if (item == nullptr) shard.NoteUnasked(key, moment);
  shard.RemoveSlots(key, moment, item, storage::kNoSerial);
  if (item != nullptr) shard.Unlink(item, key.hash, moment);
}

}  // namespace terraced::tiering
