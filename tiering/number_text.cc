#include "tiering/number_text.h"

namespace terraced::tiering {
namespace {

bool IsBlank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

bool ParseCounter(std::string_view text, uint64_t* number) {
  size_t at = 0;
  while (at < text.size() && IsBlank(text[at])) ++at;
  bool negative = false;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) negative = text[at++] == '-';
  const size_t first_digit = at;
  uint64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    const auto digit = static_cast<uint64_t>(text[at] - '0');
    if (__builtin_mul_overflow(value, uint64_t{10}, &value) ||
        __builtin_add_overflow(value, digit, &value)) {
      return false;
    }
  }
  if (at == first_digit) return false;
  if (at < text.size() && !IsBlank(text[at]) && text[at] != '\0') return false;
  if (negative && value != 0) return false;
  *number = value;
  return true;
}

}  // namespace terraced::tiering
