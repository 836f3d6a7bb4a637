#include "src/protocol/uri_text.h"

#include <gtest/gtest.h>

namespace terraced::server {
namespace {

std::string Encode(std::string_view bytes) {
  std::string text = "before ";
  AppendUriEncoded(bytes, &text);
  return text;
}

TEST(UriTextTest, UnreservedCharactersStayAndTheRestIsHexadecimal) {
  EXPECT_EQ(Encode("azAZ09-._~"), "before azAZ09-._~");
  EXPECT_EQ(Encode("a/b:c d%"), "before a%2Fb%3Ac%20d%25");
  EXPECT_EQ(Encode(std::string_view("\0\xff\n", 3)), "before %00%FF%0A");
  EXPECT_EQ(Encode(""), "before ");
}

}  // namespace
}  // namespace terraced::server
