#include "storage/ram/cas_runs.h"

#include "storage/base/check.h"

namespace terraced::storage {

CasRuns::CasRuns(CasRunTable* table)
    : own_table_(table == nullptr ? std::make_unique<CasRunTable>() : nullptr),
      table_(table == nullptr ? *own_table_ : *table) {}

void CasRuns::ForgetUnused() {
  for (size_t number = 0; number < kRuns; ++number) {
    if (table_.in_use[number].exchange(0) == 0) table_.runs[number].store(0);
  }
}

size_t CasRuns::NumberOf(uint32_t run, size_t end) {
  const uint32_t wanted = run + 1;
  for (size_t number = 0; number < end; ++number) {
    uint32_t found = table_.runs[number].load(std::memory_order_acquire);
    if (found == 0) {
      table_.runs[number].compare_exchange_strong(found, wanted, std::memory_order_acq_rel);
    }
    if (found == wanted || found == 0) return number;  // 0: the exchange put it there
  }
  return end;
}

void CasRuns::Put(Item* item, size_t number, uint64_t unique) {
  MarkUsed(number);
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
