#include "storage/ram/cas_runs.h"

#include "storage/base/check.h"

namespace terraced::storage {

CasRuns::CasRuns() {
  for (std::atomic<uint32_t>& run : runs_) run.store(kNoRun, std::memory_order_relaxed);
}

size_t CasRuns::NumberOf(uint32_t run, size_t end) {
  for (size_t number = 0; number < end; ++number) {
    uint32_t found = runs_[number].load(std::memory_order_acquire);
    if (found == kNoRun)
      runs_[number].compare_exchange_strong(found, run, std::memory_order_acq_rel);
    if (found == run || found == kNoRun) return number;  // kNoRun: the exchange put it there
  }
  return end;
}

void CasRuns::Put(Item* item, size_t number, uint64_t unique) {
  item->cas_run = static_cast<uint8_t>(number);
  item->cas_middle = static_cast<uint8_t>(unique >> 32);
  item->cas_low = static_cast<uint32_t>(unique);
}

void CasRuns::Set(Item* item, uint64_t unique) {
  const size_t number = NumberOf(static_cast<uint32_t>(unique >> kCounterBits), kRuns);
  TERRACED_CHECK(number < kRuns);
  Put(item, number, unique);
}

bool CasRuns::SetForeign(Item* item, uint64_t unique) {
  const size_t number = NumberOf(static_cast<uint32_t>(unique >> kCounterBits), kForeignRuns);
  if (number == kForeignRuns) return false;
  Put(item, number, unique);
  return true;
}

}  // namespace terraced::storage
