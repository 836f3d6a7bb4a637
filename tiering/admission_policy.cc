#include "tiering/admission_policy.h"

#include "storage/base/clock.h"

namespace terraced::tiering {
namespace {

constexpr uint64_t kSecondUs = 1'000'000;
constexpr uint64_t kDayUs = 24ULL * 60 * 60 * kSecondUs;

// A window's budget may be overdrawn by one batch; the next window begins that much poorer.
void Renew(uint64_t window_us, uint64_t budget, uint64_t now_us, uint64_t* began_us,
           uint64_t* spent) {
  while (now_us - *began_us >= window_us && *spent > 0) {
    *spent -= budget < *spent ? budget : *spent;
    *began_us += window_us;
  }
  if (*spent == 0) *began_us = now_us;
}

}  // namespace

bool AdmissionPolicy::Admits(const storage::Item& item, uint32_t now_s, bool flash_full) const {
  if (item.value_bytes + uint64_t{item.key_length} < options_.flash_item_min_bytes) return false;
  if (options_.flash_ttl_min_s > 0 && item.exptime_s != kExptimeNever &&
      item.exptime_s < now_s + options_.flash_ttl_min_s) {
    return false;
  }
  return options_.flash_admit_unread || !flash_full || item.Has(storage::kItemFetched);
}

bool AdmissionPolicy::MayWrite(uint64_t bytes, uint64_t now_us) {
  const uint64_t rate = options_.flash_write_rate_bytes;
  const uint64_t day = options_.flash_write_day_bytes;
  if (rate > 0) {
    Renew(kSecondUs, rate, now_us, &second_began_us_, &spent_in_second_);
    if (spent_in_second_ > 0 && spent_in_second_ + bytes > rate) return false;
  }
  if (day > 0) {
    Renew(kDayUs, day, now_us, &day_began_us_, &spent_in_day_);
    if (spent_in_day_ > 0 && spent_in_day_ + bytes > day) return false;
  }
  return true;
}

void AdmissionPolicy::Spend(uint64_t bytes) {
  spent_in_second_ += bytes;
  spent_in_day_ += bytes;
}

}  // namespace terraced::tiering
