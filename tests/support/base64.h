// Base64 of the keys of meta commands, for tests: apart from the daemon's, so that a fault of that one shows.
// Threads: pure function. Ownership: by value. Errors: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace terraced::support {

inline std::string Base64Of(std::string_view bytes) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t there = bytes.size() - i;
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8U | (j < there ? static_cast<uint8_t>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      text += j <= there ? kLetters[group >> (18 - 6 * j) & 63U] : '=';
    }
  }
  return text;
}

}  // namespace terraced::support
