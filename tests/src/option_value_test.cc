#include "src/option_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace terraced::server {
namespace {

TEST(OptionValueTest, SizesTakeSuffixesInEitherCase) {
  EXPECT_EQ(ParseBytes("0", 1), 0U);
  EXPECT_EQ(ParseBytes("17", 1), 17U);
  EXPECT_EQ(ParseBytes("1k", 1), 1024U);
  EXPECT_EQ(ParseBytes("3M", 1), 3U << 20);
  EXPECT_EQ(ParseBytes("2g", 1), 2ULL << 30);
  EXPECT_EQ(ParseBytes("5T", 1), 5ULL << 40);
}

TEST(OptionValueTest, APlainSizeIsInTheRowsUnitAndASuffixIsNot) {
  EXPECT_EQ(ParseBytes("64", 1 << 20), 64ULL << 20);
  EXPECT_EQ(ParseBytes("64m", 1 << 20), 64ULL << 20);
  EXPECT_EQ(ParseBytes("64k", 1 << 20), 64ULL << 10);
}

TEST(OptionValueTest, WhatIsNoSizeIsRefused) {
  for (const char* text : {"", "k", "-1", "+1", "1.5g", "1kb", "1 k", "0x10", "1p", " 1", "1\n"}) {
    EXPECT_FALSE(ParseBytes(text, 1).has_value()) << text;
  }
}

TEST(OptionValueTest, ASizeThatOverflowsIsLargerThanAnyRowTakes) {
  EXPECT_EQ(ParseBytes("18446744073709551615", 1 << 20), 1ULL << 62);
  EXPECT_EQ(ParseBytes("16777216t", 1), 1ULL << 62);
}

TEST(OptionValueTest, FormattedSizesAreExactAndShort) {
  EXPECT_EQ(FormatBytes(0), "0");
  EXPECT_EQ(FormatBytes(1023), "1023");
  EXPECT_EQ(FormatBytes(1024), "1k");
  EXPECT_EQ(FormatBytes(1536ULL << 10), "1536k");
  EXPECT_EQ(FormatBytes(8ULL << 30), "8g");
  EXPECT_EQ(FormatBytes(2048ULL << 40), "2048t");
}

TEST(OptionValueTest, ChunkSizesAreSplitAtDashes) {
  Options options;
  const OptionSpec& spec = *FindByName("slab_sizes", true);
  ASSERT_TRUE(SetValue(spec, "96-192-1k", &options).ok());
  EXPECT_THAT(options.cache.slabs.slab_sizes, testing::ElementsAre(96, 192, 1024));
  EXPECT_EQ(FormatValue(spec, options), "96-192-1024");
  for (const char* text : {"", "-", "96-", "-96", "96--192", "a", "96-5000000000"}) {
    EXPECT_FALSE(SetValue(spec, text, &options).ok()) << text;
  }
}

TEST(OptionValueTest, ListsGrowWithEachValueUntilReset) {
  Options options;
  const OptionSpec& spec = *FindByLetter('l');
  ASSERT_TRUE(SetValue(spec, "127.0.0.1,[::1]:5", &options).ok());
  ASSERT_TRUE(SetValue(spec, "*;host", &options).ok());
  EXPECT_THAT(options.server.listen, testing::ElementsAre("127.0.0.1", "[::1]:5", "*", "host"));
  for (const char* text : {"", ",", "a,", ",a", "a,,b"}) {
    EXPECT_FALSE(SetValue(spec, text, &options).ok()) << text;
  }
  ResetValue(spec, &options);
  EXPECT_TRUE(options.server.listen.empty());
}

TEST(OptionValueTest, AnErrorStaysOneLineWhateverTheValueHolds) {
  Options options;
  const Status status =
      SetValue(*FindByLetter('t'), "4\nevil\x1b[2J" + std::string(500, 'x'), &options);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.message().find_first_of("\n\x1b"), std::string_view::npos);
  EXPECT_LT(status.message().size(), 250U);
}

TEST(OptionValueTest, FractionsRefuseWhatIsNoPlainDecimal) {
  Options options;
  const OptionSpec& spec = *FindByLetter('f');
  ASSERT_TRUE(SetValue(spec, "1.07", &options).ok());
  EXPECT_DOUBLE_EQ(options.cache.slabs.growth_factor, 1.07);
  for (const char* text : {"", "nan", "inf", "1e2", "1,5", "1.5x", "-2"}) {
    EXPECT_FALSE(SetValue(spec, text, &options).ok()) << text;
  }
}

}  // namespace
}  // namespace terraced::server
