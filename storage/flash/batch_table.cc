#include "storage/flash/batch_table.h"

#include <algorithm>

#include "storage/base/check.h"

namespace terraced::storage {

std::optional<BatchNumber> BatchTable::Open(const BatchInfo& info) {
  TERRACED_CHECK(info.serial > newest_serial_);
  if (used_ >= kBatchesMax) return std::nullopt;
  BatchNumber number = last_;
  do {  // ends: more than half of the numbers are free
    number = number + 1U < kBatchNumbers ? static_cast<BatchNumber>(number + 1U) : BatchNumber{1};
  } while (infos_[number].number != kNoBatch);
  last_ = number;
  BatchInfo opened = info;
  opened.number = number;
  Install(opened, 0);
  return number;
}

void BatchTable::Restore(const BatchInfo& info, int64_t live) {
  TERRACED_CHECK(info.number != kNoBatch && info.number < kBatchNumbers);
  TERRACED_CHECK(info.serial != kNoSerial);
  TERRACED_CHECK(infos_[info.number].number == kNoBatch);
  Install(info, live);
  last_ = std::max(last_, info.number);
}

void BatchTable::Install(const BatchInfo& info, int64_t live) {
  const BatchNumber number = info.number;
  infos_[number] = info;
  newest_serial_ = std::max(newest_serial_, info.serial);
  living_bytes_ += info.file_bytes;
  ++used_;
  live_[number].store(live, std::memory_order_relaxed);
  clean_[number].store(0, std::memory_order_relaxed);
  epochs_[number].store(info.epoch, std::memory_order_relaxed);
  // Last, with release: who sees the serial sees its epoch.
  serials_[number].store(info.serial, std::memory_order_release);
}

void BatchTable::SetSizes(BatchNumber number, uint64_t file_bytes, uint64_t record_count,
                          uint64_t raw_bytes) {
  BatchInfo& info = infos_[number];
  TERRACED_CHECK(SerialOf(number) != kNoSerial);
  living_bytes_ += file_bytes - info.file_bytes;
  info.file_bytes = file_bytes;
  info.record_count = record_count;
  info.raw_bytes = raw_bytes;
}

void BatchTable::Kill(BatchNumber number) {
  TERRACED_CHECK(SerialOf(number) != kNoSerial);
  living_bytes_ -= infos_[number].file_bytes;
  serials_[number].store(kNoSerial, std::memory_order_release);
}

void BatchTable::Free(BatchNumber number) {
  TERRACED_CHECK(infos_[number].number == number && number != kNoBatch);
  TERRACED_CHECK(SerialOf(number) == kNoSerial);
  // Rule 5. A slot left behind would stand for whichever batch takes the number next.
  TERRACED_CHECK(Live(number) == 0);
  infos_[number] = BatchInfo{};
  --used_;
}

std::vector<BatchNumber> BatchTable::Living() const {
  std::vector<BatchNumber> living;
  for (const BatchInfo& info : infos_) {
    if (info.number != kNoBatch && SerialOf(info.number) != kNoSerial)
      living.push_back(info.number);
  }
  std::sort(living.begin(), living.end(), [this](BatchNumber left, BatchNumber right) {
    return infos_[left].serial < infos_[right].serial;
  });
  return living;
}

std::vector<BatchNumber> BatchTable::Dead() const {
  std::vector<BatchNumber> dead;
  for (const BatchInfo& info : infos_) {
    if (info.number != kNoBatch && SerialOf(info.number) == kNoSerial) dead.push_back(info.number);
  }
  return dead;
}

}  // namespace terraced::storage
