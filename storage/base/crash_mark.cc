#include "storage/base/crash_mark.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace terraced {
namespace {

std::atomic<int> g_file{-1};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler reads it");

}  // namespace

void CrashMark::SetFile(int fd) {
  g_file.store(fd, std::memory_order_release);
}

void CrashMark::Leave() {
  const int fd = g_file.load(std::memory_order_acquire);
  if (fd < 0) return;
  constexpr char kLine[] = "crashed\n";
  const int error = errno;
  // There is nobody left to tell if it fails.
  [[maybe_unused]] const auto written = ::write(fd, kLine, sizeof(kLine) - 1);
  errno = error;
}

}  // namespace terraced
