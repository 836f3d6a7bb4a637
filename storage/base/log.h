// Log: one line per event on stderr; levels as memcached's -v.
// LogLimit: for events that may come with every request.
// Threads: any; a line is written by one write(2). Errors: a failed write is ignored.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace terraced {

enum class LogLevel : int {
  kNotice = 0,   // always: what an operator must know (start, stop, tier emptied, tier turned off)
  kVerbose = 1,  // -v: errors and warnings of single connections
  kDebug = 2,    // -vv: commands and replies
};

class Log {
 public:
  static void SetVerbosity(int verbosity) {
    verbosity_.store(verbosity, std::memory_order_relaxed);
  }
  static int Verbosity() { return verbosity_.load(std::memory_order_relaxed); }
  static bool On(LogLevel level) { return Verbosity() >= static_cast<int>(level); }
  // printf-style; a newline is added.
  static void Write(LogLevel level, const char* format, ...) __attribute__((format(printf, 2, 3)));

 private:
  static std::atomic<int> verbosity_;
};

// The first of these events is said, and from then on one in ten seconds at most.
class LogLimit {
 public:
  static constexpr uint64_t kIntervalUs = 10'000'000;

  // True: write a line, and say how many came before it without one.
  bool Allows(uint64_t* unsaid);
  // The same at a given time of MonotonicUs(), for tests.
  bool AllowsAt(uint64_t now_us, uint64_t* unsaid);

 private:
  std::atomic<uint64_t> next_us_{0};
  std::atomic<uint64_t> unsaid_{0};
};

}  // namespace terraced
