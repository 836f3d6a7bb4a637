// PrefixStats: how often keys of each prefix were read, found, stored and deleted (`stats detail`). Off, it costs a
// command one load.
// Threads: any. Ownership: by the server. Errors: none; prefixes beyond kPrefixesMax are not counted.
// Sizes: at most kPrefixesMax prefixes of less than 250 bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "storage/base/mutex.h"

namespace terraced::server {

class PrefixStats {
 public:
  static constexpr size_t kPrefixesMax = 65536;

  PrefixStats(char delimiter, bool on) : delimiter_(delimiter), on_(on) {}

  void Switch(bool on) { on_.store(on, std::memory_order_relaxed); }
  bool IsOn() const { return on_.load(std::memory_order_relaxed); }
  void NoteGet(std::string_view key, bool hit) {
    if (IsOn()) Count(key, &Counts::gets, hit ? &Counts::hits : nullptr);
  }
  void NoteSet(std::string_view key) {
    if (IsOn()) Count(key, &Counts::sets, nullptr);
  }
  void NoteDelete(std::string_view key) {
    if (IsOn()) Count(key, &Counts::deletes, nullptr);
  }
  // A line "PREFIX <prefix> get <n> hit <n> set <n> del <n>" for each, in their order.
  std::string Dump() const TERRACED_EXCLUDES(mutex_);
  void Reset() TERRACED_EXCLUDES(mutex_);

 private:
  struct Counts {
    uint64_t gets = 0;
    uint64_t hits = 0;
    uint64_t sets = 0;
    uint64_t deletes = 0;
  };
  // A key without the delimiter has no prefix.
  void Count(std::string_view key, uint64_t Counts::*first, uint64_t Counts::*second)
      TERRACED_EXCLUDES(mutex_);

  const char delimiter_;
  std::atomic<bool> on_;
  mutable Mutex mutex_;
  std::map<std::string, Counts, std::less<>> prefixes_ TERRACED_GUARDED_BY(mutex_);
};

}  // namespace terraced::server
