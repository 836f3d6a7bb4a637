#include "src/protocol/base64.h"

#include <array>
#include <cstdint>

namespace terraced::server {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNoDigit = 255;
constexpr char kPad = '=';

constexpr std::array<uint8_t, 256> MakeDigits() {
  std::array<uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  }
  return digits;
}
constexpr std::array<uint8_t, 256> kDigits = MakeDigits();

}  // namespace

char* EncodeBase64(std::string_view bytes, char* to) {
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t count = bytes.size() - at < 3 ? bytes.size() - at : 3;
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (size_t i = 0; i < 4; ++i) {
      *to++ = i <= count ? kAlphabet[(group >> (18 - 6 * i)) & 63U] : kPad;
    }
  }
  return to;
}

std::optional<size_t> DecodeBase64(std::string_view text, char* to) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == kPad) ++padding;
  const size_t digits = text.size() - padding;
  size_t written = 0;
  uint32_t group = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const uint8_t digit = at < digits ? kDigits[static_cast<unsigned char>(text[at])] : uint8_t{0};
    if (digit == kNoDigit) return std::nullopt;
    group = group << 6 | digit;
    if (at % 4 != 3) continue;
    const size_t count = at + 1 == text.size() ? 3 - padding : 3;
    for (size_t i = 0; i < count; ++i) to[written++] = static_cast<char>(group >> (16 - 8 * i));
    group = 0;
  }
  return written;
}

}  // namespace terraced::server
