// IndexGrower: gives the partitions of the flash index larger tables when they fill up (rule 7 of
// storage/README.md). What it costs is reading the hash lists of all living batches, so neighbours grow
// together, in one pass over the lists, as far as their growing tables stay within a small share of the index.
// Threads: the demoter's only; takes shard mutexes one at a time, a bounded number of hashes per hold.
// Errors: a list that cannot be read, or a table that proves too small, leaves the old table as it was. A list
// that is damaged, or stays unreadable while the others can be read, costs its batch: it is dropped, or nothing
// would ever grow again.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

#include "storage/flash/flash_index.h"
#include "tiering/flash_keeper.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

class IndexGrower {
 public:
  using PartitionCounts = std::array<uint32_t, storage::kPartitions>;

  IndexGrower(Tiers& tiers, FlashKeeper& keeper) : tiers_(tiers), keeper_(keeper) {}

  // Room for so many more slots in each partition, where memory and lists allow. May drop batches.
  void Prepare(const PartitionCounts& additions);
  // One group of partitions around one that wants to; false: none does, or asking again is of no use now.
  bool GrowOne();

 private:
  // Adjacent partitions that grow in one pass: those of [first, last] that are members.
  struct Group {
    storage::Partition first = 0;
    storage::Partition last = 0;
    std::array<bool, storage::kPartitions> members{};
  };

  double Load(storage::Partition partition, uint32_t addition) const;
  Group GroupAround(storage::Partition partition, const PartitionCounts& additions) const;
  // True if `partition` itself has its larger table, or what stood in its way was dropped.
  bool Grow(storage::Partition partition, const PartitionCounts& additions);
  // False: not every list could be read. `lost`: the batches that no growth can carry over.
  bool CarryOverAll(Group* group, std::vector<storage::BatchNumber>* lost);
  Status CarryOverBatch(Group* group, uint64_t serial);
  void DropLost(const std::vector<storage::BatchNumber>& lost);
  // The larger table takes over, or is given up: not every batch was carried over to it (`complete`).
  bool Finish(storage::Partition partition, bool complete);

  Tiers& tiers_;
  FlashKeeper& keeper_;
  storage::Partition next_ = 0;  // where GrowOne looks first
  std::unordered_map<uint64_t, int>
      refusals_;  // serials whose list the disk refused, and how often
};

}  // namespace terraced::tiering
