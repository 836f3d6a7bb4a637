// WorkFor: keeps the calling thread busy, as work that reaches no yield point does.
// Threads: any. Units: microseconds of the monotonic clock, a little more than asked for.
#pragma once

#include <cstdint>

#include "storage/base/clock.h"

namespace terraced::support {

inline void WorkFor(uint64_t us) {
  const uint64_t since_us = MonotonicUs();
  while (MonotonicUs() - since_us <= us) {
  }
}

}  // namespace terraced::support
