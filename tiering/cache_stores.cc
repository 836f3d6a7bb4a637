// The commands that store: set and its kin, incr and decr, flush_all. A new value is always a new
// item; the slots of the key go before it is linked (I2), and what is derived from an old value is
// built in the same critical section that found it.
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

// A command that needs a chunk while it holds the mutex gives up the mutex, makes room and runs
// again.
constexpr int kRoomAttempts = 64;

}  // namespace

AllocateResult TwoTierCache::Allocate(const Key& key, uint32_t client_flags, uint32_t exptime_s,
                                      uint64_t value_bytes, bool may_wait, Draft* draft) {
  TierCounters& counters = tiers_->counters;
  if (!tiers_->allocator.Fits(key.bytes.size(), client_flags, value_bytes)) {
    counters.store_too_large.fetch_add(1, std::memory_order_relaxed);
    return AllocateResult::kTooLarge;
  }
  Position position = storage::kNoPosition;
  const auto bytes = static_cast<uint32_t>(value_bytes);
  switch (reclaimer_->NewItem(key.bytes, client_flags, bytes, may_wait, &position)) {
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

Outcome TwoTierCache::Store(const Key& key, StoreMode mode, Draft* draft, uint64_t compare_cas,
                            Evidence* evidence, uint64_t* cas_unique) {
  const StoreJob job{key, mode, draft, compare_cas, evidence, cas_unique};
  Outcome outcome = Outcome::kNoMemory;
  for (int attempt = 0; attempt < kRoomAttempts; ++attempt) {
    SlabClass short_of = storage::kNoSlabClass;
    bool retry = false;
    outcome = StoreOnce(job, &short_of, &retry);
    if (!retry || !reclaimer_->MakeRoom(short_of)) break;
  }
  if (outcome == Outcome::kNoMemory) {
    tiers_->counters.store_no_memory.fetch_add(1, std::memory_order_relaxed);
  }
  if (outcome != Outcome::kNeedsFlash) draft->Reset();
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
                                  Draft* joined, SlabClass* short_of) const {
  const uint64_t old_bytes = item != nullptr ? item->value_bytes : found->record.value.size();
  const uint32_t flags = item != nullptr ? item->ClientFlags() : found->record.meta.client_flags;
  const uint64_t bytes = old_bytes + job.draft->Peek().value_bytes;
  storage::ItemAllocator& allocator = tiers_->allocator;
  if (!allocator.Fits(job.key.bytes.size(), flags, bytes)) return Outcome::kTooLarge;
  const Position position =
      allocator.New(job.key.bytes, flags, static_cast<uint32_t>(bytes), short_of);
  if (position == storage::kNoPosition) return Outcome::kNoMemory;
  *joined = Draft(allocator, position);
  Item* const target = tiers_->arena->ItemAt(position);
  target->exptime_s = item != nullptr ? item->exptime_s : found->record.meta.exptime_s;

  std::string old_value;  // chunked values are rare here; one copy keeps the code in one piece
  std::string_view old_view;
  if (item == nullptr) {
    old_view = found->record.value;
  } else if (item->Has(storage::kItemChunked)) {
    old_value.resize(item->value_bytes);
    allocator.CopyValue(*item, old_value.data());
    old_view = old_value;
  } else {
    old_view = allocator.Value(*item);
  }
  std::string added(job.draft->Peek().value_bytes, '\0');
  allocator.CopyValue(job.draft->Peek(), added.data());
  if (job.mode == StoreMode::kAppend) {
    joined->FillValue({old_view, added});
  } else {
    joined->FillValue({added, old_view});
  }
  return Outcome::kStored;
}

Outcome TwoTierCache::StoreOnce(const StoreJob& job, SlabClass* short_of, bool* retry) {
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
  const uint64_t present_cas =
      item != nullptr ? item->cas_unique : (on_flash ? answer.found->record.meta.cas_unique : 0);
  Draft joined;
  Draft* stored = job.draft;
  const bool joins = job.mode == StoreMode::kAppend || job.mode == StoreMode::kPrepend;
  if (joins && (item != nullptr || on_flash)) {
    const Outcome built = Concatenate(job, item, answer.found, &joined, short_of);
    *retry = built == Outcome::kNoMemory;
    if (built != Outcome::kStored) return built;
    stored = &joined;
  }
  ++shard.commands.cmd_set;
  ++shard.classes[stored->Peek().slab_class].cmd_set;
  const Outcome judged =
      JudgeStore(job, item != nullptr || on_flash, present_cas, shard, stored->Peek().slab_class);
  if (judged != Outcome::kStored) {
    // A refused add still counts as an access of what is there.
    if (item != nullptr && job.mode == StoreMode::kAdd) item->last_access_s = moment.now_s;
    return judged;
  }
  if (!MutantIs(Mutant::kSlotNotRemovedOnSet)) {
    shard.RemoveSlots(job.key, moment, item, on_flash ? answer.found->serial : storage::kNoSerial);
  }
  Item* const fresh = tiers_->arena->ItemAt(stored->position_);
  fresh->cas_unique = tiers_->NextCas();
  fresh->last_access_s = moment.now_s;
  *job.cas_unique = fresh->cas_unique;
  shard.Link(stored->Release(), job.key, moment, SegmentFor(fresh->exptime_s));
  return Outcome::kStored;
}

Outcome TwoTierCache::Count(const Key& key, Arithmetic direction, uint64_t delta,
                            Evidence* evidence, uint64_t* value) {
  const CountJob job{key, direction, delta, evidence, value};
  Outcome outcome = Outcome::kNoMemory;
  for (int attempt = 0; attempt < kRoomAttempts; ++attempt) {
    SlabClass short_of = storage::kNoSlabClass;
    bool retry = false;
    outcome = CountOnce(job, &short_of, &retry);
    if (!retry || !reclaimer_->MakeRoom(short_of)) break;
  }
  return outcome;
}

Outcome TwoTierCache::CountOnce(const CountJob& job, SlabClass* short_of, bool* retry) {
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
  const Position position =
      tiers_->allocator.New(job.key.bytes, flags, static_cast<uint32_t>(text.size()), short_of);
  if (position == storage::kNoPosition) {
    *retry = true;
    return Outcome::kNoMemory;
  }
  Draft draft(tiers_->allocator, position);
  draft.FillValue({text});
  Item* const fresh = tiers_->arena->ItemAt(position);
  fresh->exptime_s = item != nullptr ? item->exptime_s : answer.found->record.meta.exptime_s;
  fresh->cas_unique = tiers_->NextCas();
  fresh->last_access_s = moment.now_s;
  ++(up ? counters.incr_hits : counters.decr_hits);
  ClassCounters& of_class = shard.classes[fresh->slab_class];
  ++(up ? of_class.incr_hits : of_class.decr_hits);
  shard.RemoveSlots(job.key, moment, item,
                    item == nullptr ? answer.found->serial : storage::kNoSerial);
  shard.Link(draft.Release(), job.key, moment, SegmentFor(fresh->exptime_s));
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
  while (!tiers_->flush.Raise()) crawler_->SweepNow();
  SyncPoints::Pass(SyncPoint::kFlush);
  crawler_->Wake();
  demoter_->Wake();
}

}  // namespace terraced::tiering
