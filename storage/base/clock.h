// Clock: wall-clock seconds that cost one relaxed load; nobody asks the kernel per request.
// Threads: Tick() by one thread (the daemon's, each second or oftener); NowS() by any.
// Units: Unix seconds, 32 bits unsigned: good until 2106 (memcached's own signed seconds end in
// 2038).
#pragma once

#include <atomic>
#include <cstdint>

namespace terraced {

class Clock {
 public:
  // Begins at the system's time.
  Clock();
  // Begins at a given time and moves only by Set(): for tests.
  explicit Clock(uint32_t now_s) : now_s_(now_s), start_s_(now_s) {}
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  uint32_t NowS() const { return now_s_.load(std::memory_order_relaxed); }
  uint32_t StartS() const { return start_s_; }
  uint32_t UptimeS() const { return NowS() - start_s_; }
  void Tick();  // reads the system's clock
  void Set(uint32_t now_s) { now_s_.store(now_s, std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> now_s_;
  const uint32_t start_s_;
};

// Microseconds of CLOCK_MONOTONIC: for deadlines and durations, never for exptime.
uint64_t MonotonicUs();

// memcached's exptime rules (protocol.txt, "Expiration times"): 0 = never; negative = already
// expired; up to 30 days = relative; beyond = absolute Unix time, which at or before the server's
// start has expired. The result is absolute; 0 = never. kExptimePast is a moment long gone.
constexpr uint32_t kExptimeNever = 0;
constexpr uint32_t kExptimePast = 1;
constexpr int64_t kExptimeRelativeMaxS = int64_t{60} * 60 * 24 * 30;
uint32_t AbsoluteExptime(int64_t exptime, const Clock& clock);

inline bool IsExpired(uint32_t exptime_s, uint32_t now_s) {
  return exptime_s != kExptimeNever && exptime_s <= now_s;
}

}  // namespace terraced
