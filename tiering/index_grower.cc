#include "tiering/index_grower.h"

#include <algorithm>
#include <bit>

#include "storage/base/kill_point.h"
#include "storage/base/log.h"
#include "storage/base/sync_point.h"
#include "storage/base/yield_point.h"
#include "tiering/shard.h"

namespace terraced::tiering {

using storage::kPartitions;
using storage::Partition;

namespace {

constexpr double kLoadMax =
    0.90;  // before an addition; WantsGrowth has its own, slightly higher one
// A neighbour this full grows along: it would want to soon. Lower, and tables would be emptier than they need be.
constexpr double kLoadToGrowAlong = 0.85;
constexpr int kGrowthsPerAddition = 4;  // a table can prove too small for how its slots fall
constexpr size_t kHashesPerHold = 128;
// Growing tables take no more than this share of the index at a time (but one always may): an eighth as long as that
// is less than a megabyte, for passes over the lists cost time.
constexpr uint64_t kGrowingBytes = 1ULL << 20;
constexpr uint64_t kGrowingShareOfSmall = 8;
constexpr uint64_t kGrowingShare = 16;
// A list that the disk refused so often is lost, unless more than a few others are refused too.
constexpr int kRefusalsUntilLost = 3;
constexpr size_t kRefusedMax = 4;

}  // namespace

double IndexGrower::Load(Partition partition, uint32_t addition) const {
  Shard& shard = *tiers_.shards[partition];
  MutexLock lock(shard.mutex);
  return static_cast<double>(tiers_.index.SlotsUsed(partition) + addition) /
         static_cast<double>(tiers_.index.SlotsTotal(partition));
}

void IndexGrower::Prepare(const PartitionCounts& additions) {
  for (Partition partition = 0; partition < kPartitions; ++partition) {
    if (additions[partition] == 0) continue;
    YieldPoint::Pass();
    for (int i = 0; i < kGrowthsPerAddition; ++i) {
      if (Load(partition, additions[partition]) <= kLoadMax) break;
      Grow(partition, additions);
    }
  }
}

bool IndexGrower::GrowOne() {
  for (Partition i = 0; i < kPartitions; ++i) {
    const Partition partition = (next_ + i) % kPartitions;
    YieldPoint::Pass();
    bool wants = false;
    {
      Shard& shard = *tiers_.shards[partition];
      MutexLock lock(shard.mutex);
      wants = tiers_.index.WantsGrowth(partition);
    }
    if (!wants) continue;
    next_ = (partition + 1) % kPartitions;
    return Grow(partition, PartitionCounts{});
  }
  return false;
}

IndexGrower::Group IndexGrower::GroupAround(Partition partition,
                                            const PartitionCounts& additions) const {
  const uint64_t index_bytes = std::max<uint64_t>(tiers_.index.MemoryBytes(), 1);
  const uint64_t growing_bytes = std::max(
      std::min(kGrowingBytes, index_bytes / kGrowingShareOfSmall), index_bytes / kGrowingShare);
  // A growing table is about as large as the partition's old one.
  const uint64_t fitting = growing_bytes * kPartitions / index_bytes;
  const auto size =
      static_cast<Partition>(std::bit_floor(std::clamp<uint64_t>(fitting, 1, kPartitions)));
  Group group;
  group.first = partition & ~(size - 1);
  group.last = group.first + size - 1;
  for (Partition other = group.first; other <= group.last; ++other) {
    group.members[other] = other == partition || Load(other, additions[other]) > kLoadToGrowAlong;
  }
  while (!group.members[group.first]) ++group.first;
  while (!group.members[group.last]) --group.last;
  return group;
}

bool IndexGrower::Grow(Partition partition, const PartitionCounts& additions) {
  Group group = GroupAround(partition, additions);
  for (Partition member = group.first; member <= group.last; ++member) {
    if (!group.members[member]) continue;
    Shard& shard = *tiers_.shards[member];
    MutexLock lock(shard.mutex);
    tiers_.index.BeginGrowth(member, tiers_.index.SlotsUsed(member) + additions[member]);
  }
  SyncPoints::Pass(SyncPoint::kGrowBegin);
  std::vector<storage::BatchNumber> lost;
  const bool all_read = CarryOverAll(&group, &lost);
  SyncPoints::Pass(SyncPoint::kGrowSwitch);
  for (Partition member = group.first; member <= group.last; ++member) {
    // A list that cannot be read would lose its batch's slots.
    if (group.members[member]) group.members[member] = Finish(member, all_read);
    KillPoints::Pass(KillPoint::kGrowPartition);
  }
  DropLost(lost);
  return group.members[partition] || !lost.empty();
}

bool IndexGrower::CarryOverAll(Group* group, std::vector<storage::BatchNumber>* lost) {
  const std::vector<storage::BatchNumber> living = tiers_.batches.Living();
  std::vector<storage::BatchNumber> refused;  // by the disk
  for (const storage::BatchNumber number : living) {
    const uint64_t serial = tiers_.batches.Info(number).serial;
    const Status status = CarryOverBatch(group, serial);
    if (status.ok()) continue;
    Log::Write(LogLevel::kVerbose, "the flash index cannot grow over batch %016llx: %s",
               static_cast<unsigned long long>(serial), std::string(status.message()).c_str());
    const bool damaged =
        status.code() == StatusCode::kCorruption || status.code() == StatusCode::kNotFound;
    (damaged ? *lost : refused).push_back(number);
    if (refused.size() > kRefusedMax) break;
  }
  const bool all_read = refused.empty() && lost->empty();
  if (refused.size() > kRefusedMax || refused.size() * 2 > living.size()) {
    refusals_.clear();  // the disk is ill, not these lists
    return all_read;
  }
  for (const storage::BatchNumber number : refused) {
    const uint64_t serial = tiers_.batches.Info(number).serial;
    if (++refusals_[serial] < kRefusalsUntilLost) continue;
    refusals_.erase(serial);
    lost->push_back(number);
  }
  return all_read;
}

void IndexGrower::DropLost(const std::vector<storage::BatchNumber>& lost) {
  if (lost.empty()) return;
  Log::Write(LogLevel::kNotice,
             "%zu flash batches dropped, from %016llx on: their lists of key hashes cannot be read",
             lost.size(),
             static_cast<unsigned long long>(tiers_.batches.Info(lost.front()).serial));
  tiers_.counters.batches_damaged.fetch_add(lost.size(), std::memory_order_relaxed);
  keeper_.Drop(lost);
}

Status IndexGrower::CarryOverBatch(Group* group, uint64_t serial) {
  constexpr int kShift = 64 - storage::kPartitionBits;
  const uint64_t first = uint64_t{group->first} << kShift;
  const uint64_t last = (uint64_t{group->last} << kShift) | (~uint64_t{0} >> (64 - kShift));
  const auto visit = [&](std::span<const uint64_t> hashes) {
    while (!hashes.empty()) {
      const Partition partition = storage::PartitionOf(hashes.front());
      size_t count = 1;
      while (count < std::min(hashes.size(), kHashesPerHold) &&
             storage::PartitionOf(hashes[count]) == partition) {
        ++count;
      }
      const auto slice = hashes.first(count);
      hashes = hashes.subspan(count);
      if (!group->members[partition]) continue;
      YieldPoint::Pass();
      Shard& shard = *tiers_.shards[partition];
      MutexLock lock(shard.mutex);
      const bool fits = std::all_of(slice.begin(), slice.end(), [&](uint64_t hash) {
        return tiers_.index.CarryOver(partition, hash, serial);
      });
      KillPoints::Pass(KillPoint::kGrowCarried);
      if (fits) continue;
      tiers_.index.AbandonGrowth(partition);  // too small: the next attempt is larger
      group->members[partition] = false;
    }
    return true;
  };
  return tiers_.store->Hashes(serial, first, last, visit);
}

bool IndexGrower::Finish(Partition partition, bool complete) {
  Shard& shard = *tiers_.shards[partition];
  MutexLock lock(shard.mutex);
  if (!complete || !tiers_.index.FinishGrowth(partition)) {
    tiers_.index.AbandonGrowth(partition);
    return false;
  }
  tiers_.counters.index_growths.fetch_add(1, std::memory_order_relaxed);
  return true;
}

}  // namespace terraced::tiering
