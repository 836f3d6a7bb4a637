// One partition of the flash index as INDEX holds it: [control] [operations: length, bytes] [partition]. Control 1: its
// CRC is mended. What is accepted must save to the same bytes again and agree with the counts of its batches, and the
// operations (a lookup, an addition, a removal, growth from a list of hashes, a sweep) must keep it so. What is refused
// changes nothing.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "storage/base/hash.h"
#include "storage/flash/flash_index.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"

namespace terraced::fuzz {
namespace {

using storage::BatchNumber;
using storage::BatchTable;
using storage::FlashIndex;

constexpr storage::Partition kPartition = 7;
constexpr uint64_t kEpoch = 3;
constexpr BatchNumber kBatches = 6;  // living: 1 to 5; 5 is of another epoch; 6 is dead
constexpr size_t kHeaderBytes = 24;
constexpr size_t kReservedAt = 12;

// Made once: a batch table is 0.7 MB. Every input leaves it as it found it.
struct Index {
  Index() {
    for (BatchNumber number = 1; number <= kBatches; ++number) {
      storage::BatchInfo info;
      info.serial = 100U + number;
      info.epoch = number == 5 ? kEpoch - 1 : kEpoch;
      info.number = number;
      batches.Restore(info, 0);
    }
    batches.Kill(kBatches);
  }
  uint64_t Live() const {
    int64_t live = 0;
    for (BatchNumber number = 1; number <= kBatches; ++number) {
      FUZZ_CHECK(batches.Live(number) >= 0);
      live += batches.Live(number);
    }
    return static_cast<uint64_t>(live);
  }
  std::string Save() const {
    std::string saved;
    index.SavePartition(kPartition, &saved);
    return saved;
  }

  BatchTable batches;
  FlashIndex index{batches, 1};
};

void MendCrc(std::string* bytes) {
  if (bytes->size() < sizeof(uint32_t)) return;
  const size_t covered = bytes->size() - sizeof(uint32_t);
  const uint32_t crc = Crc32c(0, std::string_view(*bytes).substr(0, covered));
  std::memcpy(bytes->data() + covered, &crc, sizeof(crc));
}

// The hashes that stand for the lists of key hashes beside the batches.
using Hashes = std::vector<uint64_t>;

// As the demoter's thread does: every batch's list whole, one after the other.
void Grow(FlashIndex* index, const Hashes& hashes) {
  index->BeginGrowth(kPartition);
  for (BatchNumber number = 1; number < kBatches; ++number) {
    for (const uint64_t hash : hashes) {
      if (!index->CarryOver(kPartition, hash, 100U + number)) {
        index->AbandonGrowth(kPartition);
        return;
      }
    }
  }
  if (!index->FinishGrowth(kPartition)) index->AbandonGrowth(kPartition);
}

void CheckRemove(FlashIndex* index, uint64_t hash) {
  const uint32_t found = index->Find(kPartition, hash, kEpoch).count;
  const uint32_t removed = index->Remove(kPartition, hash, kEpoch).count;
  FUZZ_CHECK(found == removed);
  FUZZ_CHECK(index->Find(kPartition, hash, kEpoch).count == 0);
}

void Operate(FuzzInput* input, FlashIndex* index, Hashes* hashes) {
  const uint8_t what = input->Byte();
  const uint64_t hash = (uint64_t{kPartition} << 56) | (input->Take<uint64_t>() >> 8);
  const auto number = static_cast<BatchNumber>(1 + what / 8 % (kBatches - 1));
  const uint64_t serial = 100U + number;
  uint64_t cursor = 0;
  switch (what % 8) {
    case 0:
    case 1:
      hashes->push_back(hash);
      if (index->Add(kPartition, hash, number, false) == FlashIndex::AddResult::kAdded) {
        FUZZ_CHECK(number == 5 || index->Find(kPartition, hash, kEpoch).Has(serial));
      }
      break;
    case 2:
      index->RemoveSerial(kPartition, hash, serial);
      break;
    case 3:
      index->MarkHit(kPartition, hash, serial);
      break;
    case 4:
      Grow(index, *hashes);
      break;
    case 5:
      while (!index->Sweep(kPartition, &cursor, 2)) {
      }
      break;
    default:
      CheckRemove(index, hash);
  }
}

void CheckAccepted(std::string bytes, const Index& index) {
  std::memset(bytes.data() + kReservedAt, 0, sizeof(uint32_t));
  MendCrc(&bytes);
  FUZZ_CHECK(index.Save() == bytes);
  FUZZ_CHECK(index.index.SlotsTotal(kPartition) == (bytes.size() - kHeaderBytes) / 4 - 1);
}

void RunFlashIndex(std::string_view bytes) {
  static Index index;
  FuzzInput input(bytes);
  const bool mend = (input.Byte() & 1U) != 0;
  FuzzInput operations(input.Take(input.Byte()));
  std::string partition(input.Rest());
  if (mend) MendCrc(&partition);

  const std::string before = index.Save();
  const Status status = index.index.LoadPartition(kPartition, partition);
  if (status.ok()) {
    CheckAccepted(partition, index);
    FUZZ_CHECK(index.Live() == index.index.SlotsUsed(kPartition));
    Hashes hashes;
    while (!operations.Empty()) {
      Operate(&operations, &index.index, &hashes);
      FUZZ_CHECK(index.Live() == index.index.SlotsUsed(kPartition));
    }
    index.index.Clear(kPartition);
  } else {
    FUZZ_CHECK(status.code() == StatusCode::kCorruption);
    FUZZ_CHECK(index.Save() == before);
  }
  FUZZ_CHECK(index.Live() == 0);
}

const FuzzRegistration kRegistration("flash_index", &RunFlashIndex);

}  // namespace
}  // namespace terraced::fuzz
