// AdmissionPolicy: whether an item deserves a flash write, and whether the device may be written to
// now. Floors for size and remaining TTL, "ever hit, or flash not full yet", and a budget of bytes
// per second and per day (flash wears out by bytes). What is not admitted is evicted like in a
// cache without flash. All of it may change from one question to the next (LiveSettings).
// Threads: the demoter's only.
#pragma once

#include <cstdint>

#include "storage/ram/item.h"
#include "tiering/live_settings.h"

namespace terraced::tiering {

// What may be written in one window of time. It may be overdrawn by one batch; the next window begins that much
// poorer.
class WriteBudget {
 public:
  explicit WriteBudget(uint64_t window_us) : window_us_(window_us) {}

  // `limit_bytes` 0: there is none.
  bool Allows(uint64_t bytes, uint64_t limit_bytes, uint64_t now_us);
  void Spend(uint64_t bytes) { spent_bytes_ += bytes; }

 private:
  void Renew(uint64_t limit_bytes, uint64_t now_us);

  const uint64_t window_us_;
  uint64_t limit_bytes_ = 0;  // when it was last asked
  uint64_t began_us_ = 0;
  uint64_t spent_bytes_ = 0;
};

class AdmissionPolicy {
 public:
  explicit AdmissionPolicy(const LiveSettings& live) : live_(live) {}

  bool Admits(const storage::Item& item, uint32_t now_s, bool flash_full) const;
  // Whether a batch of that size may be written now; `Spend` books it.
  bool MayWrite(uint64_t bytes, uint64_t now_us);
  void Spend(uint64_t bytes);

 private:
  const LiveSettings& live_;
  WriteBudget second_{1'000'000};
  WriteBudget day_{24ULL * 60 * 60 * 1'000'000};
};

}  // namespace terraced::tiering
