#include "storage/flash/batch_table.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "storage/base/check.h"
#include "storage/base/kill_point.h"
#include "storage/base/sync_point.h"

namespace terraced::storage {

BatchTable::BatchTable(BatchArrays* arrays)
    : own_arrays_(arrays == nullptr ? std::make_unique<BatchArrays>() : nullptr),
      arrays_(arrays == nullptr ? *own_arrays_ : *arrays) {
  for (uint32_t number = 1; number < kBatchNumbers; ++number) {
    if (arrays_.serials[number].load(std::memory_order_relaxed) != kNoSerial) {
      Account(arrays_.infos[number]);  // nothing is stored: a kill here changes nothing
    } else {
      // A dead one is free: whoever takes over the slots leaves those of the living only.
      arrays_.infos[number] = BatchInfo{};
    }
  }
}

Status BatchTable::Check(const BatchArrays& arrays) {
  std::unordered_set<uint64_t> serials;
  for (uint32_t number = 0; number < kBatchNumbers; ++number) {
    const uint64_t serial = arrays.serials[number].load(std::memory_order_relaxed);
    if (serial == kNoSerial) continue;
    const BatchInfo& info = arrays.infos[number];
    if (number == kNoBatch || info.number != number || info.serial != serial ||
        info.epoch != arrays.epochs[number].load(std::memory_order_relaxed)) {
      return Status(StatusCode::kCorruption,
                    "batch number " + std::to_string(number) + " contradicts itself");
    }
    if (!serials.insert(serial).second) {
      return Status(StatusCode::kCorruption, "two batches have one serial");
    }
  }
  if (serials.size() > kBatchesMax) return Status(StatusCode::kCorruption, "too many batches");
  return Status();
}

std::optional<BatchNumber> BatchTable::Open(const BatchInfo& info) {
  TERRACED_CHECK(info.serial > newest_serial_);
  if (used_ >= kBatchesMax) return std::nullopt;
  BatchNumber number = last_;
  do {  // ends: more than half of the numbers are free
    number = number + 1U < kBatchNumbers ? static_cast<BatchNumber>(number + 1U) : BatchNumber{1};
  } while (arrays_.infos[number].number != kNoBatch);
  BatchInfo opened = info;
  opened.number = number;
  Install(opened, 0);
  last_ = number;
  return number;
}

void BatchTable::Restore(const BatchInfo& info, int64_t live) {
  TERRACED_CHECK(info.number != kNoBatch && info.number < kBatchNumbers);
  TERRACED_CHECK(info.serial != kNoSerial);
  TERRACED_CHECK(arrays_.infos[info.number].number == kNoBatch);
  Install(info, live);
}

void BatchTable::Account(const BatchInfo& info) {
  newest_serial_ = std::max(newest_serial_, info.serial);
  living_bytes_ += info.file_bytes;
  living_records_ += info.record_count;
  ++used_;
  last_ = std::max(last_, info.number);
}

void BatchTable::Install(const BatchInfo& info, int64_t live) {
  const BatchNumber number = info.number;
  if (MutantIs(Mutant::kSerialBeforeRow)) {
    arrays_.serials[number].store(info.serial, std::memory_order_release);
    KillPoints::Pass(KillPoint::kBatchRow);
  }
  arrays_.infos[number] = info;
  Account(info);
  live_[number].store(live, std::memory_order_relaxed);
  clean_[number].store(0, std::memory_order_relaxed);
  arrays_.epochs[number].store(info.epoch, std::memory_order_relaxed);
  KillPoints::Pass(KillPoint::kBatchRow);
  // Last, with release: who sees the serial sees its epoch.
  arrays_.serials[number].store(info.serial, std::memory_order_release);
}

void BatchTable::SetSizes(BatchNumber number, uint64_t file_bytes, uint64_t record_count,
                          uint64_t raw_bytes) {
  BatchInfo& info = arrays_.infos[number];
  TERRACED_CHECK(SerialOf(number) != kNoSerial);
  living_bytes_ += file_bytes - info.file_bytes;
  living_records_ += record_count - info.record_count;
  info.file_bytes = file_bytes;
  info.record_count = record_count;
  info.raw_bytes = raw_bytes;
}

void BatchTable::Kill(BatchNumber number) {
  TERRACED_CHECK(SerialOf(number) != kNoSerial);
  living_bytes_ -= arrays_.infos[number].file_bytes;
  living_records_ -= arrays_.infos[number].record_count;
  arrays_.serials[number].store(kNoSerial, std::memory_order_release);
}

void BatchTable::Free(BatchNumber number) {
  TERRACED_CHECK(arrays_.infos[number].number == number && number != kNoBatch);
  TERRACED_CHECK(SerialOf(number) == kNoSerial);
  // Rule 5. A slot left behind would stand for whichever batch takes the number next.
  TERRACED_CHECK(Live(number) == 0);
  arrays_.infos[number] = BatchInfo{};
  --used_;
}

std::vector<BatchNumber> BatchTable::Living() const {
  std::vector<BatchNumber> living;
  for (const BatchInfo& info : arrays_.infos) {
    if (info.number != kNoBatch && SerialOf(info.number) != kNoSerial)
      living.push_back(info.number);
  }
  std::sort(living.begin(), living.end(), [this](BatchNumber left, BatchNumber right) {
    return arrays_.infos[left].serial < arrays_.infos[right].serial;
  });
  return living;
}

std::vector<BatchNumber> BatchTable::Dead() const {
  std::vector<BatchNumber> dead;
  for (const BatchInfo& info : arrays_.infos) {
    if (info.number != kNoBatch && SerialOf(info.number) == kNoSerial) dead.push_back(info.number);
  }
  return dead;
}

}  // namespace terraced::storage
