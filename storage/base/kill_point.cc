#include "storage/base/kill_point.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "storage/base/sync_point.h"

namespace terraced {
namespace {

#ifdef TERRACED_MUTANTS
constexpr bool kHasHotPoints = true;
#else
constexpr bool kHasHotPoints = false;
#endif

}  // namespace

std::atomic<int> KillPoints::armed_{-1};
std::atomic<uint64_t> KillPoints::left_{0};

bool KillPoints::Arm(std::string_view name, uint64_t nth) {
  if (nth == 0) return false;
  if (const std::optional<SyncPoint> point = SyncPointByName(name)) {
    SyncPoints::AttachKill(*point, nth);
    return true;
  }
  const auto found = std::find(kKillPointNames.begin(), kKillPointNames.end(), name);
  if (found == kKillPointNames.end()) return false;
  const auto point = static_cast<KillPoint>(found - kKillPointNames.begin());
  if (point >= kFirstHotKillPoint && !kHasHotPoints) return false;
  left_.store(nth, std::memory_order_relaxed);
  armed_.store(static_cast<int>(point), std::memory_order_release);
  return true;
}

bool KillPoints::Arm(std::string_view name_and_nth) {
  const size_t colon = name_and_nth.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view number = name_and_nth.substr(colon + 1);
  uint64_t nth = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), nth);
  if (error != std::errc() || end != number.data() + number.size()) return false;
  return Arm(name_and_nth.substr(0, colon), nth);
}

void KillPoints::CountDown() {
  if (left_.fetch_sub(1, std::memory_order_relaxed) == 1) ::kill(::getpid(), SIGKILL);
}

}  // namespace terraced
