#include "storage/base/clock.h"

#include <ctime>

#include <algorithm>
#include <limits>

namespace terraced {
namespace {

uint32_t SystemNowS() {
  return static_cast<uint32_t>(std::time(nullptr));
}

}  // namespace

Clock::Clock() : Clock(SystemNowS()) {}

void Clock::Tick() {
  Set(SystemNowS());
}

uint64_t MonotonicUs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000;
}

uint32_t AbsoluteExptime(int64_t exptime, const Clock& clock) {
  if (exptime == 0) return kExptimeNever;
  if (exptime < 0) return kExptimePast;
  if (exptime > kExptimeRelativeMaxS) {
    if (exptime <= static_cast<int64_t>(clock.StartS())) return kExptimePast;
    return static_cast<uint32_t>(std::min<int64_t>(exptime, std::numeric_limits<uint32_t>::max()));
  }
  return clock.NowS() + static_cast<uint32_t>(exptime);
}

}  // namespace terraced
