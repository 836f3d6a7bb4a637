// RetryPause: how long a disk that has failed is left alone between two tries.
// Threads: one at a time. Times are those of MonotonicUs().
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace terraced::tiering {

class RetryPause {
 public:
  static constexpr uint64_t kFirstUs = 1'000'000;
  static constexpr uint64_t kMostUs = 10'000'000;
  // Failures that come now and then keep the pauses long: a disk that is well for seconds at a time is not well.
  static constexpr uint64_t kCleanUs = 60'000'000;

  void NoteFailure(uint64_t now_us) {
    if (!failed_us_ || now_us - *failed_us_ >= kCleanUs) pause_us_ = kFirstUs;
    failed_us_ = now_us;
  }
  void Begin(uint64_t now_us) { since_us_ = now_us; }
  bool IsOver(uint64_t now_us) const { return now_us - since_us_ >= pause_us_; }
  // Whatever came of it: the next pause is longer.
  void NoteTry(uint64_t now_us) {
    since_us_ = now_us;
    pause_us_ = std::min(2 * pause_us_, kMostUs);
  }

 private:
  uint64_t since_us_ = 0;
  uint64_t pause_us_ = kFirstUs;
  std::optional<uint64_t> failed_us_;  // last
};

}  // namespace terraced::tiering
