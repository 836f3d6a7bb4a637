// AdmissionPolicy: whether an item deserves a flash write, and whether the device may be written to
// now. Floors for size and remaining TTL, "ever hit, or flash not full yet", and a budget of bytes
// per second and per day (flash wears out by bytes). What is not admitted is evicted like in a
// cache without flash.
// Threads: the demoter's only.
#pragma once

#include <cstdint>

#include "storage/ram/item.h"
#include "tiering/cache_options.h"

namespace terraced::tiering {

class AdmissionPolicy {
 public:
  explicit AdmissionPolicy(const CacheOptions& options) : options_(options) {}

  bool Admits(const storage::Item& item, uint32_t now_s, bool flash_full) const;
  // Whether a batch of that size may be written now; `Spend` books it.
  bool MayWrite(uint64_t bytes, uint64_t now_us);
  void Spend(uint64_t bytes);

 private:
  const CacheOptions& options_;
  uint64_t second_began_us_ = 0;
  uint64_t day_began_us_ = 0;
  uint64_t spent_in_second_ = 0;
  uint64_t spent_in_day_ = 0;
};

}  // namespace terraced::tiering
