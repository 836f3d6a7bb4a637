#include "src/protocol/base64.h"

#include <gtest/gtest.h>

#include <string>

namespace terraced::server {
namespace {

std::string Encode(std::string_view bytes) {
  std::string text(Base64Length(bytes.size()), '?');
  EXPECT_EQ(EncodeBase64(bytes, text.data()), text.data() + text.size());
  return text;
}

std::optional<std::string> Decode(std::string_view text) {
  std::string bytes(text.size(), '?');
  const std::optional<size_t> size = DecodeBase64(text, bytes.data());
  if (!size) return std::nullopt;
  return bytes.substr(0, *size);
}

// RFC 4648, section 10.
TEST(Base64Test, EncodesAndDecodesTheVectorsOfTheStandard) {
  const std::pair<std::string_view, std::string_view> vectors[] = {
      {"f", "Zg=="},        {"fo", "Zm8="},        {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(Encode(bytes), text);
    EXPECT_EQ(Decode(text), bytes);
  }
}

TEST(Base64Test, EveryByteSurvives) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  for (size_t size = 1; size <= bytes.size(); ++size) {
    const std::string part = bytes.substr(bytes.size() - size);
    EXPECT_EQ(Decode(Encode(part)), part) << size;
  }
}

TEST(Base64Test, WhatIsNoneIsRefused) {
  for (const std::string_view text : {"", "=", "Zg", "Zg=", "Zg===", "====", "Z===", "Zm9v=",
                                      "Zm-v", "Zm v", "Z=9v", "Zg==Zg=="}) {
    EXPECT_FALSE(Decode(text)) << text;
  }
}

}  // namespace
}  // namespace terraced::server
