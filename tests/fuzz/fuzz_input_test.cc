#include "tests/fuzz/fuzz_input.h"

#include <gtest/gtest.h>

namespace terraced::fuzz {
namespace {

using namespace std::string_view_literals;

TEST(FuzzInputTest, IsZeroAndEmptyBehindItsEnd) {
  FuzzInput input("\x01\x02\x03"sv);
  EXPECT_EQ(input.Byte(), 1);
  EXPECT_EQ(input.Take<uint32_t>(), 0x0302U);
  EXPECT_TRUE(input.Empty());
  EXPECT_EQ(input.Take<uint64_t>(), 0U);
  EXPECT_EQ(input.Take(5), "");
}

TEST(FuzzInputTest, PatchesWriteCutAndAppendWithinTheBytes) {
  std::string bytes = "0123456789";
  FuzzInput overwrite("\x00\x08\0\0\0\x03xyz"sv);
  ApplyPatches(&overwrite, &bytes);
  EXPECT_EQ(bytes, "01234567xy");
  FuzzInput cut("\x02\x04\0\0\0"sv);
  ApplyPatches(&cut, &bytes);
  EXPECT_EQ(bytes, "0123");
  FuzzInput append(
      "\x03\0\0\0\0\x01\x01\x04\0\0\0"
      "ABCDEFGH"sv);
  ApplyPatches(&append, &bytes);
  EXPECT_EQ(bytes.size(), 4U + 64U);
  EXPECT_EQ(bytes.substr(0, 12), "0123ABCDEFGH");
}

TEST(FuzzInputTest, StretchRepeatsWhatWasBefore) {
  EXPECT_EQ(Stretch("ab\xfe\x03"sv), "abababab");
  EXPECT_EQ(Stretch("\xfe\x03"sv), "");
  EXPECT_EQ(Stretch("a\xfe"sv), "a\xfe");
  const std::string part(128, 'x');
  EXPECT_EQ(Stretch("y" + part + "\xfe\x02").size(), 1U + 3 * part.size());
}

}  // namespace
}  // namespace terraced::fuzz
