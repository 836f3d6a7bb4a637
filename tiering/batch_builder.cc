#include "tiering/batch_builder.h"

#include <algorithm>

#include "storage/base/kill_point.h"
#include "storage/base/sync_point.h"
#include "storage/base/yield_point.h"
#include "storage/base/yielding_sort.h"

namespace terraced::tiering {

using storage::Item;
using storage::LruSegment;
using storage::Position;
using storage::SlabClass;

namespace {

// Values up to this are copied under the shard mutex and encoded after it; larger ones are pinned
// instead.
constexpr uint32_t kStageBytesMax = 16U << 10;
constexpr size_t kIdentitiesPerHold = 64;
constexpr size_t kCacheLineBytes = 64;
constexpr size_t kPrefetchBytes =
    4 * kCacheLineBytes;  // of an item: header, key, and where the value begins

// An item that stays off flash is one event, however often its turn comes.
void CountOnce(Item* item, std::atomic<uint64_t>* counter) {
  if (item->Has(storage::kItemKeptOff)) return;
  item->Set(storage::kItemKeptOff);
  counter->fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

BatchBuilder::BatchBuilder(Tiers& tiers, AdmissionPolicy& admission, uint64_t serial,
                           uint64_t epoch, const BatchLimits& limits)
    : tiers_(tiers), admission_(admission), serial_(serial), epoch_(epoch), limits_(limits) {
  bytes_.reserve(limits.ram_bytes);
}

uint32_t BatchBuilder::Collect(Shard& shard, SlabClass slab_class, LruSegment segment,
                               uint32_t items_max, const CollectRules& rules) {
  uint32_t taken = 0;
  {
    MutexLock lock(shard.mutex);
    const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
    if (moment.epoch != epoch_) {
      flushed_ = true;  // the open batch closes at a flush: its items stay in RAM as what they are
      return 0;
    }
    if (segment == LruSegment::kCold && !rules.everything) {
      shard.Juggle(slab_class, moment, items_max);
    }
    const uint32_t looks = std::min(items_max, shard.ram.List(slab_class, segment).count);
    for (uint32_t look = 0; look < looks; ++look) {
      const Position tail = shard.ram.List(slab_class, segment).tail;
      if (tail == storage::kNoPosition) break;
      Item* const item = tiers_.arena->ItemAt(tail);
      PrefetchItem(item->prev);  // the next one to be looked at
      // What was taken went to the head of COLD: a marked tail means that the list is through, but for what came from
      // another list since this batch began.
      if (item->Has(storage::kItemInBatch)) break;
      if (Examine(shard, item, moment, rules)) ++taken;
      if (Full()) break;
    }
  }
  YieldPoint::Pass();
  EncodeStaged();
  return taken;
}

void BatchBuilder::PrefetchItem(Position position) const {
  if (position == storage::kNoPosition) return;
  const char* const item = reinterpret_cast<const char*>(tiers_.arena->ItemAt(position));
  for (size_t at = 0; at < kPrefetchBytes; at += kCacheLineBytes) __builtin_prefetch(item + at);
}

bool BatchBuilder::Examine(Shard& shard, Item* item, const Moment& moment,
                           const CollectRules& rules) {
  const uint64_t hash = tiers_.HashOf(item->Key());
  if (!shard.IsLive(*item, moment)) {
    shard.CountReclaimed(*item);
    shard.Unlink(item, hash, moment);
    return false;
  }
  if (!rules.everything && item->Has(storage::kItemActive)) {
    shard.MoveToWarm(item);
    return false;
  }
  if (item->Has(storage::kItemClean)) {
    if (shard.CleanSlot(*item, hash, moment.epoch)) {
      if (rules.spares_clean) {
        shard.ram.MoveTo(item, item->Segment());
      } else {
        shard.Evict(item, hash, moment);  // on flash already: nothing to write, nothing lost
      }
      return false;
    }
    Shard::MakeDirty(item);
  }
  const bool cancelled_here =
      static_cast<uint32_t>(serial_) - item->CleanSerial() <= rules.serials_tried;
  const bool too_large = item->ValueBytes() > rules.item_bytes_max;
  if (cancelled_here || too_large) {
    if (too_large) CountOnce(item, &tiers_.counters.items_too_large);
    shard.ram.MoveTo(item, LruSegment::kCold);
    return false;
  }
  if (!rules.everything && !admission_.Admits(*item, moment.now_s, rules.flash_full)) {
    CountOnce(item, &tiers_.counters.items_not_admitted);
    if (tiers_.options.evict_to_free && !item->IsPinned()) {
      shard.Evict(item, hash, moment);
    } else {
      shard.ram.MoveTo(item, LruSegment::kCold);
    }
    return false;
  }
  Stage(shard, item, hash);
  return true;
}

void BatchBuilder::Stage(Shard& shard, Item* item, uint64_t hash) {
  Staged staged;
  staged.entry.hash = hash;
  staged.entry.cas_unique = tiers_.allocator.Uniques().Unique(*item);
  staged.entry.position = tiers_.arena->PositionOf(item);
  staged.meta = {.cas_unique = staged.entry.cas_unique,
                 .epoch = epoch_,
                 .client_flags = item->ClientFlags(),
                 .exptime_s = item->exptime_s,
                 .last_access_s = item->last_access_s,
                 .fetched = item->Has(storage::kItemFetched),
                 .stale = item->Has(storage::kItemStale),
                 .token_sent = item->Has(storage::kItemTokenSent),
                 .binary_key = item->Has(storage::kItemBinaryKey)};
  staged.key_at = stage_.size();
  stage_.append(item->Key());
  staged.entry.key_bytes = item->key_length;
  staged.value_at = stage_.size();
  staged.value_bytes = item->ValueBytes();
  if (item->ValueBytes() > kStageBytesMax && storage::ItemRef::CanPin(tiers_.allocator, *item)) {
    staged.pinned = storage::ItemRef(tiers_.allocator, staged.entry.position);
  } else {
    stage_.resize(stage_.size() + item->ValueBytes());
    tiers_.allocator.CopyValue(*item, stage_.data() + staged.value_at);
  }
  item->SetCleanSerial(static_cast<uint32_t>(serial_));
  item->Set(storage::kItemInBatch);
  ram_bytes_ += tiers_.allocator.FootprintBytes(*item);
  // To the head, so that the tail always shows what is still to be looked at.
  shard.ram.MoveTo(item, LruSegment::kCold);
  staged_.push_back(std::move(staged));
}

void BatchBuilder::EncodeStaged() {
  std::string large;
  for (Staged& staged : staged_) {
    YieldPoint::Pass();
    const std::string_view key(stage_.data() + staged.key_at, staged.entry.key_bytes);
    if (!staged.pinned) {
      Encode(staged.entry, key, staged.meta, {stage_.data() + staged.value_at, staged.value_bytes});
      continue;
    }
    large.resize(staged.value_bytes);
    tiers_.allocator.CopyValue(*staged.pinned, large.data());
    staged.pinned.Reset();
    Encode(staged.entry, key, staged.meta, large);
  }
  staged_.clear();
  stage_.clear();
}

void BatchBuilder::Encode(Entry entry, std::string_view key, const storage::RecordMeta& meta,
                          std::string_view value) {
  entry.key_at = bytes_.size();
  entry.key_bytes = static_cast<uint32_t>(key.size());
  bytes_.append(key);
  entry.record_at = bytes_.size();
  storage::EncodeRecord(serial_, key, meta, value, &bytes_);
  entry.record_bytes = bytes_.size() - entry.record_at;
  raw_bytes_ += key.size() + value.size();
  entries_.push_back(entry);
}

void BatchBuilder::AddRewrite(uint64_t hash, uint64_t source, std::string_view key,
                              const storage::DecodedRecord& record) {
  Entry entry;
  entry.hash = hash;
  entry.source = source;
  entry.position = static_cast<Position>(rewrite_keys_.size());
  rewrite_keys_.emplace_back(key);
  Encode(entry, key, record.meta, record.value);
}

Result<storage::BatchFile> BatchBuilder::Write() {
  SyncPoints::Pass(SyncPoint::kDemoteCollected);
  std::vector<storage::BatchRecord> records;
  records.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    YieldPoint::Pass();
    records.push_back({.key = {bytes_.data() + entry.key_at, entry.key_bytes},
                       .record = {bytes_.data() + entry.record_at, entry.record_bytes},
                       .hash = entry.hash});
  }
  YieldingSort(records.begin(), records.end(),
               [](const auto& a, const auto& b) { return a.key < b.key; });
  // A key that was stored over while the batch was open may stand here twice. One of its entries is
  // invalid, so rule 2 gives neither a slot: which record is written does not matter.
  records.erase(std::unique(records.begin(), records.end(),
                            [](const auto& a, const auto& b) { return a.key == b.key; }),
                records.end());
  Result<storage::BatchFile> file =
      tiers_.store->Write(serial_, records, [] { SyncPoints::Pass(SyncPoint::kDemoteBuilt); });
  std::string().swap(bytes_);
  if (file.ok()) SyncPoints::Pass(SyncPoint::kDemoteIngested);
  return file;
}

std::array<uint32_t, storage::kPartitions> BatchBuilder::EntriesPerPartition() const {
  std::array<uint32_t, storage::kPartitions> counts{};
  for (const Entry& entry : entries_) ++counts[storage::PartitionOf(entry.hash)];
  return counts;
}

Item* BatchBuilder::ValidItem(Shard& shard, const Entry& entry) const {
  if (!shard.ram.IsLinked(entry.hash, entry.position)) return nullptr;
  Item* const item = tiers_.arena->ItemAt(entry.position);
  const bool marked =
      item->Has(storage::kItemInBatch) && item->CleanSerial() == static_cast<uint32_t>(serial_);
  return marked && tiers_.allocator.Uniques().Unique(*item) == entry.cas_unique ? item : nullptr;
}

void BatchBuilder::PrefetchEntry(Shard& shard, const Entry& entry) const {
  tiers_.index.Prefetch(shard.Number(), entry.hash);
  if (entry.source != storage::kNoSerial) return;
  shard.ram.PrefetchBucket(entry.hash);
  __builtin_prefetch(tiers_.arena->ItemAt(entry.position));
}

bool BatchBuilder::IsValid(Shard& shard, const Entry& entry, const Moment& moment) const {
  if (moment.epoch != epoch_) return false;
  if (entry.source == storage::kNoSerial) return ValidItem(shard, entry) != nullptr;
  return tiers_.index.Find(shard.Number(), entry.hash, moment.epoch).Has(entry.source);  // rule 6
}

void BatchBuilder::Slot(storage::BatchNumber number, InRam keep) {
  YieldingSort(entries_.begin(), entries_.end(),
               [](const Entry& a, const Entry& b) { return a.hash < b.hash; });
  for (size_t begin = 0; begin < entries_.size();) {
    const storage::Partition partition = storage::PartitionOf(entries_[begin].hash);
    size_t end = begin;
    while (end < entries_.size() && storage::PartitionOf(entries_[end].hash) == partition) ++end;
    Shard& shard = *tiers_.shards[partition];
    {
      MutexLock lock(shard.mutex);
      shard.slotted_serial = serial_;
      shard.slotting = true;
      for (size_t i = begin; i < end; ++i) {
        entries_[i].identity = tiers_.index.Identity(partition, entries_[i].hash);
        if (i < begin + kIdentitiesPerHold) PrefetchEntry(shard, entries_[i]);
      }
    }
    // Only this thread changes a table's geometry, so identities hold between the slices.
    YieldingSort(entries_.begin() + static_cast<ptrdiff_t>(begin),
                 entries_.begin() + static_cast<ptrdiff_t>(end),
                 [](const Entry& a, const Entry& b) { return a.identity < b.identity; });
    while (begin < end) {
      begin = SlotSome(shard, begin, end, number, keep);
      KillPoints::Pass(KillPoint::kBatchSlotSome);
      YieldPoint::Pass();
    }
    MutexLock lock(shard.mutex);
    shard.slotting = false;
  }
  SyncPoints::Pass(SyncPoint::kDemoteSlotted);
}

size_t BatchBuilder::SlotSome(Shard& shard, size_t begin, size_t end, storage::BatchNumber number,
                              InRam keep) {
  MutexLock lock(shard.mutex);
  const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
  for (size_t done = 0; done < kIdentitiesPerHold && begin < end; ++done) {
    size_t next = begin + 1;
    while (next < end && entries_[next].identity == entries_[begin].identity) ++next;
    SlotIdentity(shard, {&entries_[begin], next - begin}, number, moment, keep);
    begin = next;
  }
  return begin;
}

void BatchBuilder::SlotIdentity(Shard& shard, std::span<const Entry> entries,
                                storage::BatchNumber number, const Moment& moment, InRam keep) {
  bool all_valid = true;
  for (const Entry& entry : entries) {
    if (IsValid(shard, entry, moment)) continue;
    all_valid = false;
    ++shard.commands.flash_demotions_cancelled;
  }
  if (MutantIs(Mutant::kDemotionNotCancelled)) all_valid = true;
  const bool slotted = all_valid && AddSlot(shard, entries, number, moment);
  for (const Entry& entry : entries) {
    if (entry.source != storage::kNoSerial) continue;
    Item* const item = ValidItem(shard, entry);
    if (item == nullptr) continue;
    item->Clear(storage::kItemInBatch);
    if (slotted) ReleaseItem(shard, item, entry, number, moment, keep);
  }
}

bool BatchBuilder::AddSlot(Shard& shard, std::span<const Entry> entries,
                           storage::BatchNumber number, const Moment& moment) {
  const uint64_t hash = entries.front().hash;
  // A rewrite moves its slot: taking the old one out first leaves room for the new one in the same
  // buckets.
  const storage::SlotList standing = tiers_.index.Find(shard.Number(), hash, moment.epoch);
  for (const Entry& entry : entries) {
    if (entry.source == storage::kNoSerial) continue;
    for (const storage::Slot& slot : standing) {
      if (slot.serial != entry.source) continue;
      MoveCleanMark(shard, entry, slot.number, number);
      const auto moving = static_cast<uint32_t>(
          std::count_if(entries.begin(), entries.end(),
                        [&](const Entry& other) { return other.source == entry.source; }));
      tiers_.index.RemoveSerial(shard.Number(), hash, entry.source, moving);
      KillPoints::Pass(KillPoint::kRewriteMoving);
      tiers_.counters.second_chances.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (tiers_.index.Add(shard.Number(), hash, number, false,
                       static_cast<uint32_t>(entries.size())) ==
      storage::FlashIndex::AddResult::kFull) {
    tiers_.counters.index_full.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  return true;
}

void BatchBuilder::MoveCleanMark(Shard& shard, const Entry& entry, storage::BatchNumber from,
                                 storage::BatchNumber to) {
  Item* const item = shard.ram.Find(entry.hash, rewrite_keys_[entry.position]);
  if (item == nullptr || !item->Has(storage::kItemClean)) return;
  if (item->CleanSerial() != static_cast<uint32_t>(entry.source)) return;
  item->SetCleanSerial(static_cast<uint32_t>(serial_));
  tiers_.batches.AddClean(from, -1);
  tiers_.batches.AddClean(to, 1);
}

void BatchBuilder::ReleaseItem(Shard& shard, Item* item, const Entry& entry,
                               storage::BatchNumber number, const Moment& moment, InRam keep) {
  tiers_.counters.demoted_items.fetch_add(1, std::memory_order_relaxed);
  tiers_.counters.demoted_bytes.fetch_add(item->key_length + item->ValueBytes(),
                                          std::memory_order_relaxed);
  ++shard.CountersOf(*item).demoted;
  if (tiers_.events.Wants(kEvictions)) {
    const int64_t idle_s = moment.now_s - std::min(moment.now_s, item->last_access_s);
    tiers_.events.Note({.type = EventType::kExtWrite,
                        .text = item->Key(),
                        .numbers = {item->Has(storage::kItemFetched) ? 1 : 0,
                                    SecondsToLive(item->exptime_s, moment.now_s), idle_s,
                                    tiers_.allocator.ListClass(*item), number}});
  }
  if (keep == InRam::kAll || (keep == InRam::kHit && item->Has(storage::kItemActive))) {
    // What was read again while its file was being built has earned its place, now as a clean item.
    item->Set(storage::kItemClean);
    tiers_.batches.AddClean(number, 1);
    // It went to COLD with the batch; what was ever read belongs elsewhere.
    if (keep == InRam::kAll && item->Has(storage::kItemFetched)) {
      shard.ram.MoveTo(item, LruSegment::kWarm);
    }
    return;
  }
  shard.Unlink(item, entry.hash, moment);
}

void BatchBuilder::Abandon() {
  for (const Entry& entry : entries_) {
    if (entry.source != storage::kNoSerial) continue;
    Shard& shard = *tiers_.shards[storage::PartitionOf(entry.hash)];
    MutexLock lock(shard.mutex);
    Item* const item = ValidItem(shard, entry);
    if (item != nullptr) item->Clear(storage::kItemInBatch);
  }
}

}  // namespace terraced::tiering
