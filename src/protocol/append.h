// Appending to room that was reserved before, where every byte of a reply is written once. Each returns the new end.
// Threads: pure functions. Errors: none; who calls has made sure that there is room.
#pragma once

#include <charconv>
#include <cstring>
#include <string_view>

namespace terraced::server {

inline char* Append(char* to, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

// In decimal: at most 20 characters.
template <typename Number>
char* AppendNumber(char* to, Number number) {
  return std::to_chars(to, to + 20, number).ptr;
}

}  // namespace terraced::server
