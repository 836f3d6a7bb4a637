#include "storage/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include "storage/base/clock.h"

namespace terraced {

std::atomic<int> Log::verbosity_{0};

void Log::Write(LogLevel level, const char* format, ...) {
  if (!On(level)) return;
  std::array<char, 2048> line;
  va_list arguments;
  va_start(arguments, format);
  const int wanted = std::vsnprintf(line.data(), line.size() - 1, format, arguments);
  va_end(arguments);
  if (wanted < 0) return;
  const size_t length = std::min(static_cast<size_t>(wanted), line.size() - 2);
  line[length] = '\n';
  const ssize_t written = ::write(STDERR_FILENO, line.data(), length + 1);
  static_cast<void>(written);
}

bool LogLimit::Allows(uint64_t* unsaid) {
  return AllowsAt(MonotonicUs(), unsaid);
}

bool LogLimit::AllowsAt(uint64_t now_us, uint64_t* unsaid) {
  uint64_t next_us = next_us_.load(std::memory_order_relaxed);
  // Of several at once, one writes.
  if (now_us < next_us ||
      !next_us_.compare_exchange_strong(next_us, now_us + kIntervalUs, std::memory_order_relaxed)) {
    unsaid_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  *unsaid = unsaid_.exchange(0, std::memory_order_relaxed);
  return true;
}

}  // namespace terraced
