// The commands that store: set and its kin, incr and decr, flush_all. A new value is always built as a new item, which
// takes the place of the old one or, where it fits, moves into its chunk (Shard::Link); the slots of the key go before
// that (I2), and what is derived from an old value is built in the same critical section that found it.
#include <charconv>
#include <cstring>

#include "storage/base/sync_point.h"
#include "tiering/number_text.h"
#include "tiering/two_tier_cache.h"

namespace terraced::tiering {

using storage::Item;
using storage::Position;
using storage::SlabClass;
using Kind = Shard::FlashAnswer::Kind;

namespace {

// A derived value may need another size each time, where others change the old one meanwhile.
constexpr int kRoomAttempts = 64;

// In one piece: where it lies, or copied together where it lies in a chain of chunks.
std::string_view ValueOf(const storage::ItemAllocator& allocator, const Item& item,
                         std::string* copy) {
  if (!item.Has(storage::kItemChunked)) return allocator.Value(item);
  copy->resize(item.ValueBytes());
  allocator.CopyValue(item, copy->data());
  return *copy;
}

}  // namespace

AllocateResult TwoTierCache::Allocate(const Key& key, uint32_t client_flags, uint32_t exptime_s,
                                      uint64_t value_bytes, bool may_wait, Draft* draft) {
  TierCounters& counters = tiers_->counters;
  if (!tiers_->allocator.Fits(key.bytes.size(), client_flags, value_bytes)) {
    counters.store_too_large.fetch_add(1, std::memory_order_relaxed);
    return AllocateResult::kTooLarge;
  }
  TERRACED_DCHECK(!*draft);
  Position position = storage::kNoPosition;
  const auto bytes = static_cast<uint32_t>(value_bytes);
  switch (
      reclaimer_->NewItem(key.bytes, client_flags, bytes, may_wait, &position, &draft->spare_)) {
    case Reclaimer::Room::kWait:
      counters.demotion_waits.fetch_add(1, std::memory_order_relaxed);
      return AllocateResult::kWait;
    case Reclaimer::Room::kNone:
      counters.store_no_memory.fetch_add(1, std::memory_order_relaxed);
      return AllocateResult::kNoMemory;
    case Reclaimer::Room::kYes:
      break;
  }
  tiers_->arena->ItemAt(position)->exptime_s = exptime_s;
  *draft = Draft(tiers_->allocator, position);
  return AllocateResult::kOk;
}

template <typename Once>
Outcome TwoTierCache::RunWithRoom(const Key& key, const Once& once) {
  DerivedRoom room;
  Outcome outcome = once(&room);
  for (int attempt = 0; outcome == Outcome::kNoMemory && attempt < kRoomAttempts; ++attempt) {
    Position position = storage::kNoPosition;
    if (reclaimer_->NewItem(key.bytes, room.client_flags, room.value_bytes, false, &position) !=
        Reclaimer::Room::kYes) {
      break;
    }
    room.draft = Draft(tiers_->allocator, position);
    outcome = once(&room);
  }
  return outcome;
}

Draft TwoTierCache::TakeRoom(const Key& key, const Item* own, uint32_t client_flags,
                             uint32_t value_bytes, DerivedRoom* room) const {
  storage::ItemAllocator& allocator = tiers_->allocator;
  if (room->draft && room->draft.Peek().ValueBytes() == value_bytes &&
      room->draft.Peek().ClientFlags() == client_flags) {
    return std::move(room->draft);
  }
  room->draft.Reset();
  SlabClass short_of = storage::kNoSlabClass;
  const Position position = allocator.New(key.bytes, client_flags, value_bytes, &short_of);
  if (position != storage::kNoPosition) return Draft(allocator, position);
  room->client_flags = client_flags;
  room->value_bytes = value_bytes;
  if (own != nullptr && storage::ItemRef::CanPin(tiers_->allocator, *own)) {
    room->own = storage::ItemRef(allocator, tiers_->arena->PositionOf(own));
  }
  return {};
}

Outcome TwoTierCache::Store(const Key& key, StoreMode mode, Draft* draft, uint64_t compare_cas,
                            Evidence* evidence, uint64_t* cas_unique) {
  const StoreJob job{key, mode, draft, compare_cas, evidence, cas_unique};
  const Outcome outcome = RunWithRoom(key, [&](DerivedRoom* room) { return StoreOnce(job, room); });
  if (outcome == Outcome::kNoMemory) {
    tiers_->counters.store_no_memory.fetch_add(1, std::memory_order_relaxed);
  }
  const bool consumed = outcome == Outcome::kStored && !*draft;  // a spare may be left in it
  if (outcome != Outcome::kNeedsFlash && !consumed) draft->Reset();
  return outcome;
}

Outcome TwoTierCache::JudgeStore(const StoreJob& job, bool present, uint64_t present_cas,
                                 Shard& shard, SlabClass slab_class) const {
  switch (job.mode) {
    case StoreMode::kSet:
      return Outcome::kStored;
    case StoreMode::kAdd:
      return present ? Outcome::kNotStored : Outcome::kStored;
    case StoreMode::kReplace:
    case StoreMode::kAppend:
    case StoreMode::kPrepend:
      return present ? Outcome::kStored : Outcome::kNotStored;
    case StoreMode::kCas:
      break;
  }
  if (!present) {
    ++shard.commands.cas_misses;
    return Outcome::kNotFound;
  }
  if (present_cas != job.compare_cas) {
    ++shard.commands.cas_badval;
    ++shard.classes[slab_class].cas_badval;
    return Outcome::kExists;
  }
  ++shard.commands.cas_hits;
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
  *joined = TakeRoom(job.key, item, flags, static_cast<uint32_t>(bytes), room);
  if (!*joined) return Outcome::kNoMemory;
  tiers_->arena->ItemAt(joined->position_)->exptime_s =
      item != nullptr ? item->exptime_s : found->record.meta.exptime_s;

  std::string old_copy;
  std::string added_copy;
  const std::string_view old =
      item != nullptr ? ValueOf(allocator, *item, &old_copy) : found->record.value;
  const std::string_view added = ValueOf(allocator, job.draft->Peek(), &added_copy);
  if (job.mode == StoreMode::kAppend) {
    joined->FillValue({old, added});
  } else {
    joined->FillValue({added, old});
  }
  return Outcome::kStored;
}

Outcome TwoTierCache::StoreOnce(const StoreJob& job, DerivedRoom* room) {
  Shard& shard = tiers_->ShardOf(job.key.hash);
  MutexLock lock(shard.mutex);
  const Moment moment = Now();
  Item* const item = shard.FindLive(job.key, moment);
  Shard::FlashAnswer answer;
  if (item == nullptr && job.mode != StoreMode::kSet) {
    answer = shard.AskFlash(job.key, moment, job.evidence);
    if (answer.kind == Kind::kNeedsFlash) return Outcome::kNeedsFlash;
    if (answer.kind == Kind::kFailed) return Outcome::kFlashFailed;
  }
  const bool on_flash = answer.kind == Kind::kFound;
  const uint64_t present_cas = item != nullptr
                                   ? tiers_->allocator.Uniques().Unique(*item)
                                   : (on_flash ? answer.found->record.meta.cas_unique : 0);
  Draft joined;
  Draft* stored = job.draft;
  const bool joins = job.mode == StoreMode::kAppend || job.mode == StoreMode::kPrepend;
  if (joins && (item != nullptr || on_flash)) {
    const Outcome built = Concatenate(job, item, answer.found, room, &joined);
    if (built != Outcome::kStored) return built;
    stored = &joined;
  }
  ++shard.commands.cmd_set;
  const SlabClass slab_class = tiers_->allocator.ListClass(stored->Peek());
  ++shard.classes[slab_class].cmd_set;
  const Outcome judged =
      JudgeStore(job, item != nullptr || on_flash, present_cas, shard, slab_class);
  if (judged != Outcome::kStored) {
    // A refused add still counts as an access of what is there.
    if (item != nullptr && job.mode == StoreMode::kAdd) item->last_access_s = moment.now_s;
    return judged;
  }
  if (!MutantIs(Mutant::kSlotNotRemovedOnSet)) {
    shard.RemoveSlots(job.key, moment, item, on_flash ? answer.found->serial : storage::kNoSerial);
  }
  Item* const fresh = tiers_->arena->ItemAt(stored->position_);
  *job.cas_unique = tiers_->NextCas();
  tiers_->allocator.Uniques().Set(fresh, *job.cas_unique);
  fresh->last_access_s = moment.now_s;
  shard.Link(stored->Release(), item, job.key, moment, SegmentFor(fresh->exptime_s),
             stored == job.draft ? &job.draft->spare_ : nullptr);
  return Outcome::kStored;
}

Outcome TwoTierCache::Count(const Key& key, Arithmetic direction, uint64_t delta,
                            Evidence* evidence, uint64_t* value) {
  const CountJob job{key, direction, delta, evidence, value};
  return RunWithRoom(key, [&](DerivedRoom* room) { return CountOnce(job, room); });
}

Outcome TwoTierCache::CountOnce(const CountJob& job, DerivedRoom* room) {
  const bool up = job.direction == Arithmetic::kIncrement;
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
    if (answer.kind == Kind::kAbsent) {
      ++(up ? counters.incr_misses : counters.decr_misses);
      return Outcome::kNotFound;
    }
  }
  const bool chunked = item != nullptr && item->Has(storage::kItemChunked);
  const std::string_view old =
      item == nullptr ? std::string_view(answer.found->record.value)
                      : (chunked ? std::string_view() : tiers_->allocator.Value(*item));
  uint64_t number = 0;
  if (!ParseCounter(old, &number)) return Outcome::kNonNumeric;
  number = up ? number + job.delta : number - std::min(number, job.delta);
  std::array<char, 20> digits;
  const char* const digits_end =
      std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  const auto length = static_cast<size_t>(digits_end - digits.data());

  // A result shorter than what was stored is padded with blanks (memcached changes it in place).
  std::string text(digits.data(), length);
  text.resize(std::max(length, old.size()), ' ');
  const uint32_t flags =
      item != nullptr ? item->ClientFlags() : answer.found->record.meta.client_flags;
  Draft draft = TakeRoom(job.key, item, flags, static_cast<uint32_t>(text.size()), room);
  if (!draft) return Outcome::kNoMemory;
  draft.FillValue({text});
  Item* const fresh = tiers_->arena->ItemAt(draft.position_);
  fresh->exptime_s = item != nullptr ? item->exptime_s : answer.found->record.meta.exptime_s;
  tiers_->allocator.Uniques().Set(fresh, tiers_->NextCas());
  fresh->last_access_s = moment.now_s;
  ++(up ? counters.incr_hits : counters.decr_hits);
  ClassCounters& of_class = shard.CountersOf(*fresh);
  ++(up ? of_class.incr_hits : of_class.decr_hits);
  shard.RemoveSlots(job.key, moment, item,
                    item == nullptr ? answer.found->serial : storage::kNoSerial);
  shard.Link(draft.Release(), item, job.key, moment, SegmentFor(fresh->exptime_s));
  --counters.total_items;
  *job.value = number;
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
