#include "src/protocol/dump_text.h"

#include <gtest/gtest.h>

namespace terraced::server {
namespace {

tiering::DumpPiece PieceOf(std::string_view key, tiering::DumpedItem item) {
  item.key_bytes = static_cast<uint8_t>(key.size());
  return {.keys = std::string(key), .items = {item}};
}

TEST(DumpTextTest, WritesALineOfMetadumpAsMemcachedDoes) {
  tiering::DumpPiece piece = PieceOf(
      "a:1/~%\xfc", {.slab_class = 3, .last_access_s = 17, .cas_unique = 5, .size_bytes = 69});
  EXPECT_EQ(DumpText(piece), "key=a%3A1%2F~%25%FC exp=-1 la=17 cas=5 fetch=no cls=3 size=69\n");
  piece.items[0].exptime_s = 100;
  piece.items[0].fetched = true;
  piece.items[0].serial = 77;
  piece.last = true;
  EXPECT_EQ(DumpText(piece),
            "key=a%3A1%2F~%25%FC exp=100 la=17 cas=5 fetch=yes cls=3 size=69 ext_page=77\nEND\r\n");
}

TEST(DumpTextTest, WritesAMetaGetForEachKeyOfMgdump) {
  tiering::DumpPiece piece = PieceOf("a:1", {});
  piece.keys_only = true;
  EXPECT_EQ(DumpText(piece), "mg a:1\r\n");
  for (const auto& [key, text] :
       {std::pair("a b", "YSBi"), std::pair("a bc", "YSBiYw=="), std::pair("a bcd", "YSBiY2Q=")}) {
    piece = PieceOf(key, {.binary_key = true});
    piece.keys_only = true;
    EXPECT_EQ(DumpText(piece), "mg " + std::string(text) + " b\r\n");
  }
  piece = {.keys = {}, .items = {}, .keys_only = true, .last = true};
  EXPECT_EQ(DumpText(piece), "EN\r\n");
}

}  // namespace
}  // namespace terraced::server
