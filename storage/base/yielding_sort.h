// YieldingSort: std::sort for a thread in the background: it gives way between comparisons (storage/base/yield_point.h),
// because a batch of small records is sorted for tens of milliseconds. Never with a mutex held.
#pragma once

#include <algorithm>
#include <cstdint>

#include "storage/base/yield_point.h"

namespace terraced {

// So many comparisons of keys that lie anywhere in memory take some 10 us, and the cheapest still longer than the look
// at the clock.
inline constexpr uint32_t kComparisonsPerPoint = 128;

template <typename Iterator, typename Less>
void YieldingSort(Iterator begin, Iterator end, Less less) {
  uint32_t comparisons = 0;
  std::sort(begin, end, [&](const auto& a, const auto& b) {
    if (++comparisons % kComparisonsPerPoint == 0) YieldPoint::Pass();
    return less(a, b);
  });
}

}  // namespace terraced
