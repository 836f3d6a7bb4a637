#include "tiering/number_text.h"

#include <gtest/gtest.h>

#include <optional>

namespace terraced::tiering {
namespace {

struct Case {
  std::string_view text;
  std::optional<uint64_t> number;
};

TEST(NumberTextTest, ReadsNumbersAsMemcachedDoes) {
  constexpr Case kCases[] = {
      {"0", 0},
      {"007", 7},
      {"42", 42},
      {"18446744073709551615", UINT64_MAX},
      {"9223372036854775808", 1ULL << 63},
      {"+5", 5},
      {" 5", 5},
      {"\t\n\v\f\r 5", 5},
      {"5 ", 5},
      {"9    ", 9},
      {"5 and more", 5},  // what follows a blank is not looked at
      {"5\r\n", 5},
      {std::string_view("5\0rest", 6), 5},
      {"-0", 0},
      {"", std::nullopt},
      {" ", std::nullopt},
      {"+", std::nullopt},
      {"-", std::nullopt},
      {"-5", std::nullopt},
      {"+ 5", std::nullopt},
      {"+-5", std::nullopt},
      {"12abc", std::nullopt},
      {"abc", std::nullopt},
      {"0x10", std::nullopt},
      {"1.5", std::nullopt},
      {"18446744073709551616", std::nullopt},
      {"99999999999999999999999", std::nullopt},
      {std::string_view("\0", 1), std::nullopt},
  };
  for (const Case& one : kCases) {
    uint64_t number = 12345;
    EXPECT_EQ(ParseCounter(one.text, &number), one.number.has_value()) << "'" << one.text << "'";
    EXPECT_EQ(number, one.number.value_or(12345)) << "'" << one.text << "'";
  }
}

}  // namespace
}  // namespace terraced::tiering
