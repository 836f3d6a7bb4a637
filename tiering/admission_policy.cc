#include "tiering/admission_policy.h"

#include <algorithm>

#include "storage/base/clock.h"

namespace terraced::tiering {

bool WriteBudget::Allows(uint64_t bytes, uint64_t limit_bytes, uint64_t now_us) {
  Renew(limit_bytes, now_us);
  return limit_bytes == 0 || spent_bytes_ == 0 || spent_bytes_ + bytes <= limit_bytes;
}

void WriteBudget::Renew(uint64_t limit_bytes, uint64_t now_us) {
  // What was written under another limit fills this window at most: it is not owed by those that follow.
  if (limit_bytes != limit_bytes_ && limit_bytes != 0) {
    spent_bytes_ = std::min(spent_bytes_, limit_bytes);
  }
  limit_bytes_ = limit_bytes;
  if (limit_bytes == 0 && now_us - began_us_ >= window_us_) spent_bytes_ = 0;
  while (now_us - began_us_ >= window_us_ && spent_bytes_ > 0) {
    spent_bytes_ -= std::min(spent_bytes_, limit_bytes);
    began_us_ += window_us_;
  }
  if (spent_bytes_ == 0) began_us_ = now_us;
}

bool AdmissionPolicy::Admits(const storage::Item& item, uint32_t now_s, bool flash_full) const {
  if (item.ValueBytes() + uint64_t{item.key_length} < live_.flash_item_min_bytes.Get())
    return false;
  const uint32_t ttl_min_s = live_.flash_ttl_min_s.Get();
  if (ttl_min_s > 0 && item.exptime_s != kExptimeNever && item.exptime_s < now_s + ttl_min_s) {
    return false;
  }
  return live_.flash_admit_unread.Get() || !flash_full || item.Has(storage::kItemFetched);
}

bool AdmissionPolicy::MayWrite(uint64_t bytes, uint64_t now_us) {
  // Both are asked, so that both know what time it is.
  const bool in_second = second_.Allows(bytes, live_.flash_write_rate_bytes.Get(), now_us);
  const bool in_day = day_.Allows(bytes, live_.flash_write_day_bytes.Get(), now_us);
  return in_second && in_day;
}

void AdmissionPolicy::Spend(uint64_t bytes) {
  second_.Spend(bytes);
  day_.Spend(bytes);
}

}  // namespace terraced::tiering
