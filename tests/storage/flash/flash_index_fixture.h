// What the tests of the flash index share: one partition of an index over a fresh batch table.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <set>

#include "storage/flash/batch_table.h"
#include "storage/flash/flash_index.h"

namespace terraced::storage {

constexpr uint64_t kEpoch = 3;
constexpr Partition kPart = 5;
using AddResult = FlashIndex::AddResult;

// A hash of partition kPart whose bucket and fingerprint bits are chosen.
inline uint64_t HashOf(uint32_t bucket_hash, uint32_t fingerprint) {
  return (uint64_t{kPart} << (64 - kPartitionBits)) | (uint64_t{bucket_hash} << 24) | fingerprint;
}

inline std::set<uint64_t> Serials(const SlotList& list) {
  std::set<uint64_t> serials;
  for (const Slot& slot : list) serials.insert(slot.serial);
  return serials;
}

class FlashIndexTest : public testing::Test {
 protected:
  void Make(uint32_t buckets) { index_ = std::make_unique<FlashIndex>(*batches_, buckets); }
  BatchNumber Open(uint64_t serial, uint64_t epoch = kEpoch) {
    BatchInfo info;
    info.serial = serial;
    info.epoch = epoch;
    return batches_->Open(info).value();
  }
  void SweepAll() {
    uint64_t cursor = 0;
    while (!index_->Sweep(kPart, &cursor, 3)) {
    }
  }
  std::set<uint64_t> Find(uint64_t hash) const {
    return Serials(index_->Find(kPart, hash, kEpoch));
  }

  std::unique_ptr<BatchTable> batches_ = std::make_unique<BatchTable>();
  std::unique_ptr<FlashIndex> index_;
  std::mt19937_64 random_{20240607};
};

}  // namespace terraced::storage
