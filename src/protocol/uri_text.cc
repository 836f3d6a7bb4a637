#include "src/protocol/uri_text.h"

#include <cstdint>

namespace terraced::server {
namespace {

bool IsUnreserved(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

}  // namespace

void AppendUriEncoded(std::string_view bytes, std::string* to) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char byte : bytes) {
    if (IsUnreserved(byte)) {
      to->push_back(byte);
      continue;
    }
    const auto value = static_cast<uint8_t>(byte);
    to->push_back('%');
    to->push_back(kDigits[value >> 4]);
    to->push_back(kDigits[value & 0xfU]);
  }
}

}  // namespace terraced::server
