// Base64 (RFC 4648, section 4) of the keys of meta commands.
// Threads: pure functions. Errors: what is no base64, or has no whole groups of four characters, is refused.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace terraced::server {

// Characters that so many bytes become.
constexpr size_t Base64Length(size_t bytes) {
  return (bytes + 2) / 3 * 4;
}

// Writes Base64Length(bytes.size()) characters; returns their end.
char* EncodeBase64(std::string_view bytes, char* to);
// Writes at most text.size() / 4 * 3 bytes and says how many; nullopt: it is none, or stands for nothing.
std::optional<size_t> DecodeBase64(std::string_view text, char* to);

// A key as the binary protocol may store it, of which a line would break or become another.
constexpr bool BreaksALine(std::string_view key) {
  return key.find_first_of(std::string_view(" \0\r\n", 4)) != std::string_view::npos;
}

}  // namespace terraced::server
