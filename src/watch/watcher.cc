#include "src/watch/watcher.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <string>

namespace terraced::server {
namespace {

std::string SkippedLine(uint64_t skipped) {
  std::array<char, 40> line;
  const int length = std::snprintf(line.data(), line.size(), "skipped=%llu\n",
                                   static_cast<unsigned long long>(skipped));
  return {line.data(), static_cast<size_t>(length)};
}

}  // namespace

bool Watcher::Write(std::string_view lines) {
  char* const to = lines_.Reserve(lines.size());
  if (to == nullptr) return false;
  std::memcpy(to, lines.data(), lines.size());
  lines_.Commit();
  return true;
}

bool Watcher::Offer(std::string_view line) {
  // In one piece with the line that has room again: by itself the short one would take the last of it each time.
  const bool written = skipped_ == 0 ? Write(line) : Write(SkippedLine(skipped_).append(line));
  skipped_ = written ? 0 : skipped_ + 1;
  return written;
}

void Watcher::OfferSkipped() {
  if (skipped_ > 0 && !HasManyLines() && Write(SkippedLine(skipped_))) skipped_ = 0;
}

}  // namespace terraced::server
