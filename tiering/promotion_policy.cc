#include "tiering/promotion_policy.h"

#include <algorithm>

namespace terraced::tiering {

bool PromotionPolicy::Wants(const storage::SlotList& slots) {
  const uint32_t hits = live_.promote_hits.Get();
  if (hits <= 1) return hits == 1;
  const bool hit_before =
      std::any_of(slots.begin(), slots.end(), [](const storage::Slot& slot) { return slot.hit; });
  return hit_before && (hits == 2 || Draw() % (hits - 1) == 0);
}

// SplitMix64: numbers in a row become numbers that seem to be drawn.
uint64_t PromotionPolicy::Draw() {
  uint64_t number = (draws_.fetch_add(1, std::memory_order_relaxed) + 1) * 0x9e3779b97f4a7c15ULL;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9ULL;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebULL;
  return number ^ (number >> 31);
}

}  // namespace terraced::tiering
