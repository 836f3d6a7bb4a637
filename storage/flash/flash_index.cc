#include "storage/flash/flash_index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/hash.h"
#include "storage/base/kill_point.h"
#include "storage/base/sync_point.h"
#include "storage/flash/slot_table.h"

namespace terraced::storage {
namespace {

constexpr uint32_t kBucketsOfOnePage = 4096 / sizeof(SlotBucket);
constexpr uint32_t kBucketsToDouble = 16;    // below, a quarter more is hardly anything
constexpr double kLoadLimit = 0.92;          // beyond, both buckets of a key begin to be full
constexpr double kLoadAfterGrowth = 0.85;    // at most, where a batch needs more than a quarter
constexpr double kLoadLimitWhenFull = 0.60;  // after a refusal: tiny tables fill unevenly

constexpr uint32_t kSaveMagic = 0x50494654;  // "TFIP" in the file
constexpr uint32_t kSaveVersion = 1;
struct SaveHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t buckets;
  uint32_t reserved;
  uint64_t used;
};
static_assert(sizeof(SaveHeader) == 24);
static_assert(std::endian::native == std::endian::little, "saved words are little-endian");

}  // namespace

// What BeginGrowth makes and FinishGrowth or AbandonGrowth takes away.
struct FlashIndex::Growth {
  explicit Growth(SlotTable larger) : table(std::move(larger)) {}

  SlotTable table;
  uint64_t serial = kNoSerial;           // the batch that is being carried over
  std::unordered_set<uint64_t> barred;   // identities here that this batch must not have any more
  std::unordered_set<uint64_t> carried;  // serials whose carrying over has begun
  std::unordered_map<BatchNumber, uint64_t> uncarried;  // batches that got slots meanwhile: serials
  std::unordered_set<uint64_t>
      again;  // serials that are carried over once more, over their own slots
  std::vector<SharedSlot> shared;
  uint64_t lost = 0;  // keys, if this growth is finished
};

struct alignas(64) FlashIndex::State {
  SlotTable table;
  std::unique_ptr<Growth> growth;
  uint32_t outgrown_buckets = 0;  // a growth to that many buckets proved too small
  bool add_failed = false;        // since the last growth
  bool shares = false;            // shared_ has notes of this partition
  // For Prefetch, which holds no mutex: it may see one of an old table and one of a new one, and
  // prefetches in vain.
  std::atomic<const SlotBucket*> hint_base{nullptr};
  std::atomic<uint32_t> hint_count{0};
};

FlashIndex::FlashIndex(BatchTable& batches, uint32_t buckets_per_partition, SlotMemory* memory)
    : batches_(batches),
      memory_(memory != nullptr ? memory : &private_memory_),
      states_(buckets_per_partition == 0 ? nullptr : std::make_unique<State[]>(kPartitions)) {
  static_assert(sizeof(State) == 64, "a lookup reads one line of it");
  if (!states_) return;
  std::vector<int64_t> live(kBatchNumbers, 0);
  std::unique_ptr<bool[]> living = std::make_unique<bool[]>(kBatchNumbers);
  for (uint32_t number = 1; number < kBatchNumbers; ++number) {
    living[number] = batches_.SerialOf(static_cast<BatchNumber>(number)) != kNoSerial;
  }
  for (Partition partition = 0; partition < kPartitions; ++partition) {
    const RulingSlots left = memory_->Ruling(partition);
    SlotTable table =
        left.count > 0 ? SlotTable(left, memory_) : SlotTable(buckets_per_partition, memory_);
    // Slots of batches that were dropped and not yet swept go now.
    if (left.count > 0) table.Recount(std::span(living.get(), kBatchNumbers), live);
    Install(partition, std::move(table));
  }
  AddToLive(live);
}

FlashIndex::~FlashIndex() {
  if (!states_ || !memory_->Outlives()) return;
  for (Partition partition = 0; partition < kPartitions; ++partition) {
    states_[partition].table.LeaveInPlace();
  }
}

void FlashIndex::AddToLive(std::span<const int64_t> live) {
  for (uint32_t number = 1; number < kBatchNumbers; ++number) {
    if (live[number] != 0) batches_.AddLive(static_cast<BatchNumber>(number), live[number]);
  }
}

void FlashIndex::Install(Partition partition, SlotTable table) {
  State& state = states_[partition];
  state.table = std::move(table);
  state.hint_base.store(state.table.Base(), std::memory_order_relaxed);
  state.hint_count.store(state.table.Count(), std::memory_order_relaxed);
  memory_->SetRuling(partition, state.table.Slots());
  KillPoints::Pass(KillPoint::kGrowTableRules);
  // The one before, in `table` now, is freed after that.
}

// --- Lookups

void FlashIndex::Prefetch(Partition partition, uint64_t hash) const {
  if (!states_) return;
  const State& state = states_[partition];
  const SlotBucket* base = state.hint_base.load(std::memory_order_relaxed);
  const uint32_t count = state.hint_count.load(std::memory_order_relaxed);
  const SlotPlace place = SlotPlace::Of(hash, count);
  // Addresses as numbers: with a torn pair they may lie outside of either table.
  const auto address = reinterpret_cast<uintptr_t>(base);
  __builtin_prefetch(reinterpret_cast<const void*>(address + place.first * sizeof(SlotBucket)));
  __builtin_prefetch(reinterpret_cast<const void*>(address + place.second * sizeof(SlotBucket)));
}

bool FlashIndex::StandsUnder(BatchNumber number, uint64_t epoch) const {
  return batches_.SerialOf(number) != kNoSerial && batches_.EpochOf(number) == epoch;
}

SlotList FlashIndex::Find(Partition partition, uint64_t hash, uint64_t epoch) const {
  SlotList list;
  if (!states_) return list;
  const SlotTable& table = states_[partition].table;
  table.ForEachSlot(table.Locate(hash), [&](uint32_t, uint32_t, uint32_t word) {
    const BatchNumber number = SlotNumber(word);
    const uint64_t serial = batches_.SerialOf(number);
    if (serial == kNoSerial || list.count == kIdentitySlotsMax) return;
    if (batches_.EpochOf(number) != epoch && !MutantIs(Mutant::kFlushNotAppliedToFlash)) return;
    list.slots[list.count++] = Slot{serial, number, (word & kSlotHitBit) != 0};
  });
  return list;
}

uint64_t FlashIndex::Identity(Partition partition, uint64_t hash) const {
  return states_ ? states_[partition].table.Locate(hash).Identity() : 0;
}

bool FlashIndex::MarkHit(Partition partition, uint64_t hash, uint64_t serial) {
  if (!states_ || serial == kNoSerial) return false;
  bool marked = false;
  const auto mark = [&](SlotTable& table) {
    table.ForEachSlot(table.Locate(hash), [&](uint32_t bucket, uint32_t slot, uint32_t word) {
      if (batches_.SerialOf(SlotNumber(word)) != serial) return;
      table.SetWord(bucket, slot, word | kSlotHitBit);
      marked = true;
    });
  };
  State& state = states_[partition];
  if (state.growth) mark(state.growth->table);
  marked = false;  // only the ruling table answers
  mark(state.table);
  return marked;
}

// --- Changes

void FlashIndex::Erase(SlotTable& table, uint32_t bucket, uint32_t slot, bool ruling) {
  const BatchNumber number = SlotNumber(table.Word(bucket, slot));
  table.SetWord(bucket, slot, 0);
  if (ruling) batches_.AddLive(number, -1);
}

SlotList FlashIndex::Remove(Partition partition, uint64_t hash, uint64_t epoch) {
  SlotList stood;
  if (!states_) return stood;
  State& state = states_[partition];
  const SlotPlace place = state.table.Locate(hash);
  state.table.ForEachSlot(place, [&](uint32_t bucket, uint32_t slot, uint32_t word) {
    const BatchNumber number = SlotNumber(word);
    if (StandsUnder(number, epoch) && stood.count < kIdentitySlotsMax) {
      stood.slots[stood.count++] =
          Slot{batches_.SerialOf(number), number, (word & kSlotHitBit) != 0};
    }
    Erase(state.table, bucket, slot, /*ruling=*/true);
    if (state.growth) RemoveFromGrowing(state, place, number);
  });
  for (const Slot& slot : stood) CountShared(partition, place.Identity(), slot.serial, 1);
  return stood;
}

// Few ever: two keys of one batch and one identity in `table`.
void FlashIndex::NoteShared(const SlotTable& table, const SharedSlot& slot,
                            std::vector<SharedSlot>* shared) const {
  std::erase_if(*shared,
                [&](const SharedSlot& old) { return batches_.SerialOf(old.number) != old.serial; });
  const uint64_t identity = table.Locate(slot.hash).Identity();
  for (SharedSlot& old : *shared) {
    if (old.serial != slot.serial || table.Locate(old.hash).Identity() != identity) continue;
    ++old.keys;
    return;
  }
  shared->push_back(slot);
}

void FlashIndex::CountShared(Partition partition, uint64_t identity, uint64_t serial,
                             uint32_t keys_meant) {
  State& state = states_[partition];
  if (!state.shares) return;
  std::erase_if(shared_[partition], [&](const SharedSlot& shared) {
    if (shared.serial != serial || state.table.Locate(shared.hash).Identity() != identity) {
      return false;
    }
    unseen_collisions_.fetch_add(shared.keys - std::min(shared.keys, keys_meant),
                                 std::memory_order_relaxed);
    return true;
  });
}

bool FlashIndex::RemoveSerial(Partition partition, uint64_t hash, uint64_t serial,
                              uint32_t keys_meant) {
  if (!states_ || serial == kNoSerial) return false;
  State& state = states_[partition];
  const SlotPlace place = state.table.Locate(hash);
  bool removed = false;
  state.table.ForEachSlot(place, [&](uint32_t bucket, uint32_t slot, uint32_t word) {
    const BatchNumber number = SlotNumber(word);
    if (batches_.SerialOf(number) != serial) return;
    Erase(state.table, bucket, slot, /*ruling=*/true);
    if (state.growth) RemoveFromGrowing(state, place, number);
    removed = true;
  });
  if (removed) CountShared(partition, place.Identity(), serial, keys_meant);
  return removed;
}

// A slot of the old table is gone: takes away whatever was carried over from it. The keys that
// shared it may have different identities in the growing table; all of them have this fingerprint,
// and their bucket hashes lie where the old table's two buckets begin and end. Were a neighbour's
// slot left behind, a key that has been answered as absent would be back when the growing table
// takes over.
void FlashIndex::RemoveFromGrowing(State& state, const SlotPlace& place, BatchNumber number) {
  Growth& growth = *state.growth;
  const uint64_t old_count = state.table.Count();
  const uint32_t new_count = growth.table.Count();
  for (const uint64_t bucket : {place.first, place.second}) {
    const uint64_t first_hash = ((bucket << 32) + old_count - 1) / old_count;
    const uint64_t last_hash = (((bucket + 1) << 32) + old_count - 1) / old_count - 1;
    const uint32_t last = SlotPlace::MapOnto(static_cast<uint32_t>(last_hash), new_count);
    uint32_t at = SlotPlace::MapOnto(static_cast<uint32_t>(first_hash), new_count);
    for (; at <= last; ++at) {
      const uint32_t other = SlotPlace::Other(place.fingerprint, at, new_count);
      EraseGrown(growth, at, place.fingerprint, number);
      EraseGrown(growth, other, place.fingerprint, number);
    }
  }
}

void FlashIndex::EraseGrown(Growth& growth, uint32_t bucket, uint32_t fingerprint,
                            BatchNumber number) {
  growth.table.VisitBucket(bucket, fingerprint, [&](uint32_t, uint32_t slot, uint32_t word) {
    if (SlotNumber(word) != number) return;
    Erase(growth.table, bucket, slot, /*ruling=*/false);
    // Its owner has been visited and will not be again: a neighbour that is still to come must not
    // bring the slot back.
    if (batches_.SerialOf(number) != growth.serial) return;
    const uint32_t other = SlotPlace::Other(fingerprint, bucket, growth.table.Count());
    growth.barred.insert(SlotPlace{fingerprint, bucket, other}.Identity());
  });
}

FlashIndex::AddResult FlashIndex::Add(Partition partition, uint64_t hash, BatchNumber number,
                                      bool hit, uint32_t keys) {
  if (!states_) return AddResult::kFull;
  const uint64_t serial = batches_.SerialOf(number);
  TERRACED_CHECK(serial != kNoSerial);
  State& state = states_[partition];
  const SlotPlace place = state.table.Locate(hash);
  const uint32_t word = place.fingerprint | (hit ? kSlotHitBit : 0) | number;
  const AddResult result = Put(state.table, place, word, /*ruling=*/true);
  if (result == AddResult::kFull) state.add_failed = true;
  if (result == AddResult::kAdded) {
    batches_.AddLive(number, 1);
    if (keys > 1) {
      NoteShared(state.table, {serial, hash, keys, number}, &shared_[partition]);
      state.shares = true;
    }
  }
  if (state.growth && result != AddResult::kFull) {
    Growth& growth = *state.growth;
    growth.uncarried[number] = serial;
    if (growth.carried.erase(serial) > 0) growth.again.insert(serial);
    if (growth.serial == serial) growth.serial = kNoSerial;
  }
  return result;
}

FlashIndex::AddResult FlashIndex::Put(SlotTable& table, const SlotPlace& place, uint32_t word,
                                      bool ruling) {
  for (int attempt = 0;; ++attempt) {
    uint32_t same = 0;
    bool there = false;
    table.ForEachSlot(place, [&](uint32_t bucket, uint32_t slot, uint32_t old) {
      ++same;
      if (SlotNumber(old) != SlotNumber(word)) return;
      there = true;
      if ((word & ~old & kSlotHitBit) != 0) table.SetWord(bucket, slot, old | kSlotHitBit);
    });
    if (there) return AddResult::kAlreadyThere;
    const uint32_t empty_first = table.Empty(place.first);
    const uint32_t empty_second = table.Empty(place.second);
    const bool to_first = std::popcount(empty_first) >= std::popcount(empty_second);
    const uint32_t empty = to_first ? empty_first : empty_second;
    if (same < kIdentitySlotsMax && empty != 0) {
      const auto slot = static_cast<uint32_t>(std::countr_zero(empty));
      table.SetWord(to_first ? place.first : place.second, slot, word);
      return AddResult::kAdded;
    }
    if (attempt == 0) {  // slots of dead batches are only in the way; the sweep has not come by yet
      PurgeBucket(table, place.first, ruling);
      PurgeBucket(table, place.second, ruling);
    } else if (same >= kIdentitySlotsMax || attempt > 1 ||
               !(MoveOneAway(table, place.first) || MoveOneAway(table, place.second))) {
      return AddResult::kFull;
    }
  }
}

// Makes room in a full bucket by moving one of its slots to its other bucket, where it belongs as
// well. The copy comes before the erasure, so that a slot is never absent, not even to a process
// that finds the table after a kill; twice is harmless. Dead slots stay: a sweep may have passed
// the other bucket.
bool FlashIndex::MoveOneAway(SlotTable& table, uint32_t bucket) {
  for (uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
    const uint32_t word = table.Word(bucket, slot);
    const uint32_t other = SlotPlace::Other(word & kFingerprintMask, bucket, table.Count());
    if (other == bucket || batches_.SerialOf(SlotNumber(word)) == kNoSerial) continue;
    const uint32_t empty = table.Empty(other);
    if (empty == 0) continue;
    table.SetWord(other, static_cast<uint32_t>(std::countr_zero(empty)), word);
    table.SetWord(bucket, slot, 0);
    return true;
  }
  return false;
}

// --- Growth

bool FlashIndex::WantsGrowth(Partition partition) const {
  if (!states_) return false;
  const State& state = states_[partition];
  if (state.growth || state.table.Count() == kSlotBucketsMax) return false;
  const double load = state.table.Load();
  return load > kLoadLimit || (state.add_failed && load > kLoadLimitWhenFull);
}

void FlashIndex::BeginGrowth(Partition partition, uint64_t slots) {
  TERRACED_CHECK(states_ != nullptr);
  State& state = states_[partition];
  const uint32_t count = std::max(state.table.Count(), state.outgrown_buckets);
  uint32_t larger = count + (count < kBucketsToDouble ? count : count / 4);
  // Large tables are mapped: what is left of the last page would be of no use.
  if (count / 4 >= kBucketsOfOnePage) larger -= larger % kBucketsOfOnePage;
  const auto for_slots = static_cast<uint64_t>(
      std::ceil(static_cast<double>(slots) / (kLoadAfterGrowth * kSlotsPerBucket)));
  const auto buckets = static_cast<uint32_t>(
      std::min<uint64_t>(std::max<uint64_t>(larger, for_slots), kSlotBucketsMax));
  state.growth = nullptr;  // first, so that two growing tables never use memory at once
  state.growth = std::make_unique<Growth>(SlotTable(buckets, memory_));
  if (MutantIs(Mutant::kRulingBeforeComplete)) {
    memory_->SetRuling(partition, state.growth->table.Slots());
  }
}

bool FlashIndex::CarryOver(Partition partition, uint64_t hash, uint64_t serial) {
  TERRACED_CHECK(states_ != nullptr && states_[partition].growth != nullptr);
  State& state = states_[partition];
  Growth& growth = *state.growth;
  if (serial != growth.serial) {
    // A batch is carried over once and in one go: what was barred in it is forgotten by now.
    TERRACED_CHECK(growth.carried.insert(serial).second);
    growth.serial = serial;
    growth.barred.clear();
    std::erase_if(growth.uncarried, [serial](const auto& one) { return one.second == serial; });
  }
  uint32_t standing = 0;
  if (serial != kNoSerial) {
    state.table.ForEachSlot(state.table.Locate(hash), [&](uint32_t, uint32_t, uint32_t word) {
      if (batches_.SerialOf(SlotNumber(word)) == serial) standing = word;
    });
  }
  if (standing == 0) {
    BarFromGrowing(growth, hash);
    return true;
  }
  if (growth.barred.contains(growth.table.Locate(hash).Identity())) {
    ++growth.lost;
    return true;
  }
  const AddResult put = Put(growth.table, growth.table.Locate(hash), standing, /*ruling=*/false);
  if (put == AddResult::kAlreadyThere && !growth.again.contains(serial)) {
    // For another key of this batch.
    NoteShared(growth.table, {serial, hash, 2, SlotNumber(standing)}, &growth.shared);
  }
  if (put != AddResult::kFull) return true;
  state.outgrown_buckets = growth.table.Count();
  return false;
}

// The record of this hash in the batch being carried over is dead. A neighbour in the growing table
// that lives in the same batch would make it readable again through their common slot.
void FlashIndex::BarFromGrowing(Growth& growth, uint64_t hash) {
  const SlotPlace place = growth.table.Locate(hash);
  growth.barred.insert(growth.table.Locate(hash).Identity());
  growth.table.ForEachSlot(place, [&](uint32_t bucket, uint32_t slot, uint32_t word) {
    if (batches_.SerialOf(SlotNumber(word)) != growth.serial) return;
    Erase(growth.table, bucket, slot, /*ruling=*/false);
    ++growth.lost;
  });
}

bool FlashIndex::FinishGrowth(Partition partition) {
  TERRACED_CHECK(states_ != nullptr && states_[partition].growth != nullptr);
  State& state = states_[partition];
  for (const auto& [number, serial] : state.growth->uncarried) {
    if (batches_.SerialOf(number) == serial) return false;
  }
  SlotTable larger = std::move(state.growth->table);
  shared_[partition] = std::move(state.growth->shared);
  state.shares = !shared_[partition].empty();
  unseen_collisions_.fetch_add(state.growth->lost, std::memory_order_relaxed);
  state.growth = nullptr;
  // A sweep under way has passed some buckets of the old table and none of this one.
  PurgeRange(larger, 0, larger.Count(), /*ruling=*/false);
  RecountLive(state.table, larger);
  KillPoints::Pass(KillPoint::kGrowTableReady);
  Install(partition, std::move(larger));
  state.outgrown_buckets = 0;
  state.add_failed = false;
  return true;
}

// Two keys may have shared a slot and have one each now, or the other way round.
void FlashIndex::RecountLive(const SlotTable& from, const SlotTable& to) {
  std::vector<int64_t> more(kBatchNumbers, 0);
  const auto count = [&more](const SlotTable& table, int64_t each) {
    for (uint32_t bucket = 0; bucket < table.Count(); ++bucket) {
      for (uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
        more[SlotNumber(table.Word(bucket, slot))] += each;
      }
    }
  };
  count(from, -1);
  count(to, 1);
  AddToLive(more);
}

void FlashIndex::AbandonGrowth(Partition partition) {
  if (states_) states_[partition].growth = nullptr;
}

// --- Sweep, Clear, sizes

void FlashIndex::PurgeBucket(SlotTable& table, uint32_t bucket, bool ruling) {
  for (uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
    const uint32_t word = table.Word(bucket, slot);
    if (word != 0 && batches_.SerialOf(SlotNumber(word)) == kNoSerial) {
      Erase(table, bucket, slot, ruling);
    }
  }
}

void FlashIndex::PurgeRange(SlotTable& table, uint64_t first, uint64_t last, bool ruling) {
  for (uint64_t bucket = first; bucket < std::min<uint64_t>(last, table.Count()); ++bucket) {
    PurgeBucket(table, static_cast<uint32_t>(bucket), ruling);
  }
}

// The cursor runs through the ruling table, then through a growing one. A table that begins to grow
// under way gets no slot of a batch that is dead already; one that takes over has been purged by
// FinishGrowth.
bool FlashIndex::Sweep(Partition partition, uint64_t* cursor, uint32_t buckets) {
  if (!states_) return true;
  State& state = states_[partition];
  const uint64_t first = *cursor;
  const uint64_t last = first + buckets;
  const uint64_t ruling_count = state.table.Count();
  PurgeRange(state.table, first, last, /*ruling=*/true);
  uint64_t end = ruling_count;
  if (state.growth) {
    SlotTable& growing = state.growth->table;
    end += growing.Count();
    if (last > ruling_count) {
      const uint64_t from = first > ruling_count ? first - ruling_count : 0;
      PurgeRange(growing, from, last - ruling_count, /*ruling=*/false);
    }
  }
  *cursor = std::min(last, end);
  return last >= end;
}

void FlashIndex::Clear(Partition partition) {
  if (!states_) return;
  State& state = states_[partition];
  const auto clear = [this](SlotTable& table, bool ruling) {
    for (uint32_t bucket = 0; bucket < table.Count(); ++bucket) {
      for (uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
        if (table.Word(bucket, slot) != 0) Erase(table, bucket, slot, ruling);
      }
    }
  };
  clear(state.table, /*ruling=*/true);
  if (state.growth) clear(state.growth->table, /*ruling=*/false);
  state.add_failed = false;
  shared_[partition].clear();
  state.shares = false;
}

uint64_t FlashIndex::SlotsUsed(Partition partition) const {
  return states_ ? states_[partition].table.Used() : 0;
}

uint64_t FlashIndex::SlotsTotal(Partition partition) const {
  return states_ ? states_[partition].table.SlotsTotal() : 0;
}

uint64_t FlashIndex::MemoryBytes() const {
  return memory_->Bytes();
}

// --- The index file

void FlashIndex::SavePartition(Partition partition, std::string* to) const {
  const size_t start = to->size();
  SaveHeader header{kSaveMagic, kSaveVersion, 0, 0, 0};
  std::vector<uint32_t> words;
  if (states_) {
    const SlotTable& table = states_[partition].table;
    header.buckets = table.Count();
    words.reserve(table.SlotsTotal());
    for (uint64_t i = 0; i < table.SlotsTotal(); ++i) {
      uint32_t word = table.Word(static_cast<uint32_t>(i / kSlotsPerBucket), i % kSlotsPerBucket);
      // A dead batch is not restored, so its slots must not be either.
      if (word != 0 && batches_.SerialOf(SlotNumber(word)) == kNoSerial) word = 0;
      header.used += word != 0 ? 1U : 0U;
      words.push_back(word);
    }
  }
  to->append(reinterpret_cast<const char*>(&header), sizeof(header));
  to->append(reinterpret_cast<const char*>(words.data()), words.size() * sizeof(uint32_t));
  const uint32_t crc = Crc32c(0, std::string_view(*to).substr(start));
  to->append(reinterpret_cast<const char*>(&crc), sizeof(crc));
}

Status FlashIndex::LoadPartition(Partition partition, std::string_view bytes) {
  const auto corrupt = [partition](const char* what) {
    return Status(StatusCode::kCorruption,
                  "flash index, partition " + std::to_string(partition) + ": " + what);
  };
  SaveHeader header;
  uint32_t crc;
  if (bytes.size() < sizeof(header) + sizeof(crc)) return corrupt("too short");
  const std::string_view checked = bytes.substr(0, bytes.size() - sizeof(crc));
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::memcpy(&crc, bytes.data() + checked.size(), sizeof(crc));
  if (Crc32c(0, checked) != crc) return corrupt("checksum differs");
  if (header.magic != kSaveMagic || header.version != kSaveVersion)
    return corrupt("unknown format");
  const uint64_t body_bytes = checked.size() - sizeof(header);
  if (header.buckets > kSlotBucketsMax || body_bytes != header.buckets * sizeof(SlotBucket)) {
    return corrupt("size differs");
  }
  if ((header.buckets == 0) != (states_ == nullptr)) return corrupt("is of another kind of index");
  if (!states_) return Status();

  SlotTable loaded(header.buckets, memory_);
  std::vector<int64_t> live(kBatchNumbers, 0);
  if (!loaded.Fill(checked.substr(sizeof(header)), live)) {
    return corrupt("a slot without a batch");
  }
  for (uint32_t number = 1; number < kBatchNumbers; ++number) {
    if (live[number] != 0 && batches_.SerialOf(static_cast<BatchNumber>(number)) == kNoSerial) {
      return corrupt("a slot of a batch that is not there");
    }
  }
  if (loaded.Used() != header.used) return corrupt("number of slots differs");
  Clear(partition);
  State& state = states_[partition];
  state.growth = nullptr;
  Install(partition, std::move(loaded));
  AddToLive(live);
  return Status();
}

}  // namespace terraced::storage
