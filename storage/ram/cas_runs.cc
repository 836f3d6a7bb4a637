#include "storage/ram/cas_runs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "storage/base/check.h"

namespace terraced::storage {
namespace {

// With more numbers in use the oldest go until so many are left: one is taken by each start, and each run whose records
// are promoted. What is left holds all that came from elsewhere and many of the newest runs.
constexpr size_t kCrowded = 192;
constexpr size_t kKept = 160;

}  // namespace

CasRuns::CasRuns(CasRunTable* table)
    : own_table_(table == nullptr ? std::make_unique<CasRunTable>() : nullptr),
      table_(table == nullptr ? *own_table_ : *table) {}

void CasRuns::TakeOver(bool all_seen, uint64_t next_unique) {
  std::vector<std::pair<uint32_t, size_t>> used;  // oldest run first
  for (size_t number = 0; number < kRuns; ++number) {
    if (all_seen && table_.in_use[number].exchange(0) == 0) table_.runs[number].store(0);
    const uint32_t run = table_.runs[number].load(std::memory_order_relaxed);
    if (run != 0) used.emplace_back(run, number);
  }
  TERRACED_CHECK(NumberOf(RunOf(next_unique), kRuns) < kRuns);
  if (used.size() <= kCrowded) return;
  std::sort(used.begin(), used.end());
  for (size_t i = 0; i + kKept < used.size(); ++i) retiring_[used[i].second] = true;
}

bool CasRuns::HasRoom(const CasRunTable& table, bool all_seen) {
  size_t free = 0;
  for (size_t number = 0; number < kRuns; ++number) {
    const bool used = table.runs[number].load(std::memory_order_relaxed) != 0;
    const bool seen = table.in_use[number].load(std::memory_order_relaxed) != 0;
    if (!used || (all_seen && !seen)) ++free;
  }
  return free >= 2;
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

bool CasRuns::HasNumberFor(uint64_t unique) {
  const uint32_t run = RunOf(unique);
  if (NumberOf(run, kForeignRuns) < kForeignRuns) return true;
  const auto is_known = [wanted = run + 1](const std::atomic<uint32_t>& known) {
    return known.load(std::memory_order_acquire) == wanted;
  };
  return std::any_of(table_.runs.begin() + kForeignRuns, table_.runs.end(), is_known);
}

void CasRuns::Set(Item* item, uint64_t unique) {
  item->cas_low = static_cast<uint32_t>(unique);
  if (item->HasWholeUnique()) {
    item->SetUniqueHigh(static_cast<uint32_t>(unique >> 32));
    return;
  }
  const size_t number = NumberOf(RunOf(unique), kRuns);
  TERRACED_CHECK(number < kRuns);
  MarkUsed(number);
  item->cas_run = static_cast<uint8_t>(number);
  item->cas_middle = static_cast<uint8_t>(unique >> 32);
}

}  // namespace terraced::storage
