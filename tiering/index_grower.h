// IndexGrower: gives the partitions of the flash index larger tables when they fill up (rule 7 of
// storage/README.md). What it costs is reading the hash lists of all living batches, so neighbours grow
// together, in one pass over the lists, as far as their growing tables stay within a small share of the index.
// Threads: the demoter's only; takes shard mutexes one at a time, a bounded number of hashes per hold.
// Errors: a list that cannot be read, or a table that proves too small, leaves the old table as it was.
#pragma once

#include <array>
#include <cstdint>

#include "storage/flash/flash_index.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

class IndexGrower {
 public:
  using PartitionCounts = std::array<uint32_t, storage::kPartitions>;

  explicit IndexGrower(Tiers& tiers) : tiers_(tiers) {}

  // Room for so many more slots in each partition, where memory and lists allow.
  void Prepare(const PartitionCounts& additions);
  // One group of partitions around one that wants to; false: none does, or it could not grow.
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
  // True if `partition` itself has its larger table.
  bool Grow(storage::Partition partition, const PartitionCounts& additions);
  // False: the list of this batch could not be read.
  bool CarryOverBatch(Group* group, uint64_t serial);
  bool Finish(storage::Partition partition);
  void Abandon(storage::Partition partition);

  Tiers& tiers_;
  storage::Partition next_ = 0;  // where GrowOne looks first
};

}  // namespace terraced::tiering
