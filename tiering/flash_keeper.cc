#include "tiering/flash_keeper.h"

#include <algorithm>
#include <string>

#include "storage/base/clock.h"
#include "storage/base/kill_point.h"
#include "storage/base/log.h"
#include "storage/base/sync_point.h"
#include "storage/base/yield_point.h"
#include "storage/base/yielding_sort.h"

namespace terraced::tiering {

using storage::BatchNumber;
using storage::kPartitions;
using storage::Partition;

namespace {

constexpr uint32_t kBucketsPerHold = 256;
constexpr double kMostlyDead = 0.15;
// Sweeping reads the whole index, so dead batches are gathered first.
constexpr size_t kDeadBatchesPerSweep = 32;
constexpr uint32_t kNumbersReserve = 64;
constexpr size_t kMergeBatchesMax = 256;
constexpr uint32_t kOrphansRetryS = 10;
constexpr uint64_t kIndexFileSlotBytes = 4;
// Of each of the demoter's rounds, so that demotion goes on; and how many removals of a batch between two looks
// at the clock.
constexpr uint64_t kVerifyUs = 10'000;
constexpr size_t kRemovalsAtOnce = 4096;
// Beside key and value: the record's header, serial, hash, RocksDB's framing; its footer and properties.
constexpr uint64_t kRecordOverheadBytes = 72;
constexpr uint64_t kFileOverheadBytes = 8U << 10;

}  // namespace

FlashKeeper::FlashKeeper(Tiers& tiers, uint64_t batch_bytes)
    : tiers_(tiers),
      batch_bytes_(batch_bytes),
      // Victims go after the new batch has its slots, RocksDB's own files take a little: one batch
      // and a fiftieth stay free.
      quota_bytes_(tiers.options.flash_size_bytes - tiers.options.flash_size_bytes / 50 -
                   std::min(batch_bytes, tiers.options.flash_size_bytes / 8)) {}

uint64_t FlashKeeper::Quota() const {
  // It is written when no batch is, so the room of a batch is free for it.
  const uint64_t size = tiers_.options.flash_size_bytes;
  uint64_t slots = 0;
  for (const auto& shard : tiers_.shards) {
    YieldPoint::Pass();
    MutexLock lock(shard->mutex);
    slots += tiers_.index.SlotsTotal(shard->Number());
  }
  const uint64_t index_bytes = std::min(slots * kIndexFileSlotBytes, size / 2);
  return std::min(quota_bytes_, size - size / 50 - index_bytes);
}

bool FlashKeeper::Full() const {
  return tiers_.batches.LivingBytes() + batch_bytes_ > Quota();
}

uint64_t FlashKeeper::FileBytesMax(const BatchBuilder& builder) {
  return builder.RawBytes() + builder.RecordCount() * kRecordOverheadBytes + kFileOverheadBytes;
}

uint64_t FlashKeeper::ItemBytesMax(uint64_t spare_from) const {
  // The others in its batch: a batch's worth of the smallest items takes half as much again on flash.
  uint64_t taken = batch_bytes_ + batch_bytes_ / 2 + kFileOverheadBytes;
  for (const BatchNumber number : tiers_.batches.Living()) {
    const storage::BatchInfo& info = tiers_.batches.Info(number);
    if (info.serial >= spare_from) taken += info.file_bytes;
  }
  const uint64_t quota = Quota();
  return quota - std::min(quota, taken);
}

void FlashKeeper::MakeHeadroom(uint64_t bytes, Victims* victims) {
  while (!victims->numbers.empty() &&
         tiers_.batches.LivingBytes() + bytes > tiers_.options.flash_size_bytes) {
    Drop({victims->numbers.front()});
    victims->numbers.erase(victims->numbers.begin());
  }
}

FlashKeeper::Victims FlashKeeper::ChooseVictims(uint64_t bytes, uint64_t spare_from) {
  Victims victims;
  const uint64_t quota = Quota();
  std::vector<BatchNumber> living = tiers_.batches.Living();
  std::erase_if(
      living, [&](BatchNumber number) { return tiers_.batches.Info(number).serial >= spare_from; });
  uint64_t used = tiers_.batches.LivingBytes();
  const auto live_share = [&](BatchNumber number) {
    const uint64_t records = std::max<uint64_t>(tiers_.batches.Info(number).record_count, 1);
    return static_cast<double>(tiers_.batches.Live(number)) / static_cast<double>(records);
  };
  while (used + bytes > quota && !living.empty()) {
    auto victim = std::min_element(living.begin(), living.end(), [&](BatchNumber a, BatchNumber b) {
      return live_share(a) < live_share(b);
    });
    if (live_share(*victim) > kMostlyDead) victim = living.begin();
    used -= std::min(used, tiers_.batches.Info(*victim).file_bytes);
    victims.numbers.push_back(*victim);
    living.erase(victim);
  }
  victims.enough = used + bytes <= quota;
  if (!victims.numbers.empty() || !victims.enough ||
      tiers_.batches.UsedNumbers() + kNumbersReserve < storage::kBatchesMax) {
    return victims;
  }
  // Small batches (closed early by flush_all or a stop) have used up the numbers: merge the
  // smallest.
  std::sort(living.begin(), living.end(), [&](BatchNumber a, BatchNumber b) {
    return tiers_.batches.Info(a).raw_bytes < tiers_.batches.Info(b).raw_bytes;
  });
  uint64_t merged = 0;
  for (const BatchNumber number : living) {
    merged += tiers_.batches.Info(number).raw_bytes;
    if (victims.numbers.size() >= kMergeBatchesMax || merged > batch_bytes_) break;
    victims.numbers.push_back(number);
  }
  victims.rewrite_all = !victims.numbers.empty();
  if (victims.numbers.empty() && !living.empty()) victims.numbers.push_back(living.front());
  return victims;
}

void FlashKeeper::GatherRewrites(const Victims& victims, BatchBuilder* builder) {
  for (const BatchNumber number : victims.numbers) {
    if (tiers_.batches.Live(number) > 0) Gather(number, victims.rewrite_all, builder);
  }
}

void FlashKeeper::Gather(BatchNumber number, bool all, BatchBuilder* builder) {
  const storage::BatchInfo& info = tiers_.batches.Info(number);
  const uint64_t bytes_max =
      all ? info.raw_bytes + 1 : info.raw_bytes * tiers_.live.second_chance_pct.Get() / 100;
  const uint64_t bytes_before = builder->RawBytes();
  const uint64_t serial = info.serial;
  bool passed = false;
  bool hit = false;
  const auto visit = [&](std::string_view key, std::string_view bytes) {
    if (builder->RawBytes() - bytes_before >= bytes_max) return false;
    YieldPoint::Pass();
    const uint64_t hash = tiers_.HashOf(key);
    Shard& shard = tiers_.ShardOf(hash);
    {
      MutexLock lock(shard.mutex);
      hit = false;
      bool wanted = false;
      for (const storage::Slot& slot :
           tiers_.index.Find(shard.Number(), hash, tiers_.flush.Current())) {
        if (slot.serial != serial) continue;
        hit = slot.hit;
        wanted = all || hit;
      }
      // What is in RAM too stays there, dirty from now on.
      if (!wanted || shard.ram.Find(hash, key) != nullptr) return true;
    }
    Result<storage::DecodedRecord> record = storage::DecodeRecord(serial, key, bytes);
    if (!record.ok()) return true;
    if (IsExpired(record.value().meta.exptime_s, tiers_.clock.NowS())) return true;
    if (record.value().meta.epoch != builder->Epoch()) return true;
    record.value().meta.fetched |= hit;  // I4: the slot's bit does not move along
    builder->AddRewrite(hash, serial, key, record.value());
    if (!passed) SyncPoints::Pass(SyncPoint::kSecondChanceRead);
    passed = true;
    return true;
  };
  if (bytes_max == 0) return;
  const Status status = tiers_.store->Records(serial, "", visit);
  if (!status.ok()) {
    Log::Write(LogLevel::kVerbose, "second chance of batch %016llx: %s",
               static_cast<unsigned long long>(serial), std::string(status.message()).c_str());
  }
}

void FlashKeeper::Drop(const std::vector<BatchNumber>& numbers) {
  if (numbers.empty()) return;
  VerifyRemovalsOf(numbers);
  for (const BatchNumber number : numbers) {
    if (tiers_.batches.SerialOf(number) != storage::kNoSerial) DropOne(number);
  }
}

void FlashKeeper::DropOne(BatchNumber number) {
  SyncPoints::Pass(SyncPoint::kDropBegin);
  const uint64_t serial = tiers_.batches.Info(number).serial;
  const uint64_t file_bytes = tiers_.batches.Info(number).file_bytes;
  const bool flushed = tiers_.batches.Info(number).epoch != tiers_.flush.Current();
  // Lost to clients: what stood, less what RAM holds as well.
  const int64_t lost = tiers_.batches.Live(number) - tiers_.batches.Clean(number);
  tiers_.batches.Kill(number);
  if (lost > 0 && !flushed) {
    tiers_.counters.evictions.fetch_add(static_cast<uint64_t>(lost), std::memory_order_relaxed);
    tiers_.counters.records_evicted.fetch_add(static_cast<uint64_t>(lost),
                                              std::memory_order_relaxed);
    const uint64_t records = std::max<uint64_t>(tiers_.batches.Info(number).record_count, 1);
    tiers_.counters.record_bytes_evicted.fetch_add(
        file_bytes * std::min(static_cast<uint64_t>(lost), records) / records,
        std::memory_order_relaxed);
  }
  if (tiers_.events.Wants(kSysEvents)) {
    tiers_.events.Note({.type = EventType::kFlashBatchDropped,
                        .text = {},
                        .numbers = {number, flushed ? 0 : std::max<int64_t>(lost, 0),
                                    static_cast<int64_t>(file_bytes)}});
  }
  SyncPoints::Pass(SyncPoint::kDropDead);
  if (tiers_.FlashOnline()) {
    DropFile(serial);
  } else {
    files_left_ = true;
  }
  KillPoints::Pass(KillPoint::kDropFileGone);
  tiers_.counters.batches_dropped.fetch_add(1, std::memory_order_relaxed);
}

void FlashKeeper::DropFile(uint64_t serial) {
  const Status status = tiers_.store->Drop(serial);
  if (status.ok()) return;
  files_left_ = true;
  uint64_t unsaid = 0;
  if (!drops_said_.Allows(&unsaid)) return;
  Log::Write(LogLevel::kNotice,
             "flash batch %016llx could not be removed: %s (%llu before it that were not logged)",
             static_cast<unsigned long long>(serial), std::string(status.message()).c_str(),
             static_cast<unsigned long long>(unsaid));
}

void FlashKeeper::DropFlushed() {
  if (MutantIs(Mutant::kFlushNotAppliedToFlash)) return;
  const uint64_t epoch = tiers_.flush.Current();
  std::vector<BatchNumber> flushed;
  for (const BatchNumber number : tiers_.batches.Living()) {
    if (tiers_.batches.EpochOf(number) != epoch) flushed.push_back(number);
  }
  Drop(flushed);
}

void FlashKeeper::DropOverQuota() {
  if (tiers_.batches.LivingBytes() <= quota_bytes_) return;
  for (const BatchNumber number : tiers_.batches.Living()) {
    if (!tiers_.FlashOnline() || tiers_.batches.LivingBytes() <= quota_bytes_) return;
    Drop({number});
  }
}

void FlashKeeper::SweepIfNeeded(bool now) {
  const std::vector<BatchNumber> dead = tiers_.batches.Dead();
  if (dead.empty() || (!now && dead.size() < kDeadBatchesPerSweep)) return;
  for (Partition partition = 0; partition < kPartitions; ++partition) {
    Shard& shard = *tiers_.shards[partition];
    uint64_t cursor = 0;
    for (bool done = false; !done;) {
      YieldPoint::Pass();
      MutexLock lock(shard.mutex);
      done = tiers_.index.Sweep(partition, &cursor, kBucketsPerHold);
    }
    KillPoints::Pass(KillPoint::kSweepStep);
  }
  // Fills carry serials, growth and rewrites run on this very thread: nothing begun before still
  // means one of these numbers (rule 5).
  for (const BatchNumber number : dead) tiers_.batches.Free(number);
}

bool FlashKeeper::VerifyRemovals() {
  if (removals_.empty()) TakeRemovals();
  if (!removals_sorted_) SortRemovals(&removals_);
  removals_sorted_ = true;
  const uint64_t until_us = MonotonicUs() + kVerifyUs;
  while (!removals_.empty()) {
    VerifySome(&removals_);
    if (MonotonicUs() >= until_us) break;
  }
  return !removals_.empty();
}

void FlashKeeper::VerifyRemovalsOf(const std::vector<BatchNumber>& numbers) {
  TakeRemovals();
  if (removals_.empty()) return;
  std::vector<uint64_t> serials;
  serials.reserve(numbers.size());
  for (const BatchNumber number : numbers) serials.push_back(tiers_.batches.Info(number).serial);
  std::sort(serials.begin(), serials.end());
  const auto going =
      std::partition(removals_.begin(), removals_.end(), [&](const Removal& removal) {
        return !std::binary_search(serials.begin(), serials.end(), removal.serial);
      });
  if (going == removals_.end()) return;
  std::vector<Removal> last(going, removals_.end());
  removals_.erase(going, removals_.end());
  removals_sorted_ = false;
  SortRemovals(&last);
  while (!last.empty()) VerifySome(&last);
}

void FlashKeeper::TakeRemovals() {
  const std::vector<Removal> taken = tiers_.removals.Take();
  if (taken.empty()) return;
  removals_.insert(removals_.end(), taken.begin(), taken.end());
  removals_sorted_ = false;
}

void FlashKeeper::SortRemovals(std::vector<Removal>* removals) {
  YieldingSort(removals->begin(), removals->end(), [](const Removal& a, const Removal& b) {
    return a.serial != b.serial ? a.serial < b.serial : a.hash < b.hash;
  });
}

void FlashKeeper::VerifySome(std::vector<Removal>* sorted) {
  YieldPoint::Pass();
  const uint64_t serial = sorted->back().serial;
  size_t begin = sorted->size();
  while (begin > 0 && sorted->size() - begin < kRemovalsAtOnce &&
         (*sorted)[begin - 1].serial == serial) {
    --begin;
  }
  std::vector<uint64_t> hashes;
  for (size_t i = begin; i < sorted->size(); ++i) hashes.push_back((*sorted)[i].hash);
  sorted->resize(begin);
  const Result<uint64_t> missing = tiers_.store->CountMissing(serial, hashes);
  if (missing.ok()) {
    tiers_.counters.collisions_verified.fetch_add(missing.value(), std::memory_order_relaxed);
  }
  tiers_.removals.Done(hashes.size(), missing.ok() ? 0 : hashes.size());
}

Status FlashKeeper::RemoveOrphans() {
  if (!orphans_ && !files_left_) return {};
  const uint32_t now_s = tiers_.clock.NowS();
  if (!files_left_ && orphans_tried_s_ && now_s - *orphans_tried_s_ < kOrphansRetryS) return {};
  std::vector<uint64_t> serials;
  for (const BatchNumber number : tiers_.batches.Living()) {
    serials.push_back(tiers_.batches.Info(number).serial);
  }
  std::sort(serials.begin(), serials.end());
  Status status = tiers_.store->Retain(
      [&](uint64_t serial) { return std::binary_search(serials.begin(), serials.end(), serial); });
  if (!status.ok()) {
    orphans_tried_s_ = now_s;
    Log::Write(LogLevel::kVerbose, "looking for orphaned flash files: %s",
               std::string(status.message()).c_str());
    return status;
  }
  orphans_ = false;
  files_left_ = false;
  orphans_tried_s_.reset();
  return {};
}

}  // namespace terraced::tiering
