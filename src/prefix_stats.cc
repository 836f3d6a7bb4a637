#include "src/prefix_stats.h"

namespace terraced::server {

void PrefixStats::Count(std::string_view key, uint64_t Counts::*first, uint64_t Counts::*second) {
  const size_t end = key.find(delimiter_);
  if (end == std::string_view::npos) return;
  const std::string_view prefix = key.substr(0, end);
  MutexLock lock(mutex_);
  auto found = prefixes_.find(prefix);
  if (found == prefixes_.end()) {
    if (prefixes_.size() >= kPrefixesMax) return;
    found = prefixes_.emplace(prefix, Counts()).first;
  }
  ++(found->second.*first);
  if (second != nullptr) ++(found->second.*second);
}

std::string PrefixStats::Dump() const {
  std::string dump;
  MutexLock lock(mutex_);
  for (const auto& [prefix, counts] : prefixes_) {
    dump.append("PREFIX ").append(prefix);
    dump.append(" get ").append(std::to_string(counts.gets));
    dump.append(" hit ").append(std::to_string(counts.hits));
    dump.append(" set ").append(std::to_string(counts.sets));
    dump.append(" del ").append(std::to_string(counts.deletes)).append("\r\n");
  }
  return dump;
}

void PrefixStats::Reset() {
  MutexLock lock(mutex_);
  prefixes_.clear();
}

}  // namespace terraced::server
