#include "tests/bench/load_shape.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

namespace terraced::bench {
namespace {

Result<LoadShape> Parse(std::initializer_list<const char*> words) {
  return LoadShape::Parse(static_cast<int>(words.size()), std::data(words));
}

TEST(LoadShapeTest, TakesWordsOfEveryKind) {
  const Result<LoadShape> shape = Parse(
      {"port=11211", "work=mix", "choice=scan", "batch=32", "zipf_theta=0.5", "compressible=0"});
  ASSERT_TRUE(shape.ok());
  EXPECT_EQ(shape.value().port, 11211U);
  EXPECT_EQ(shape.value().work, Work::kMix);
  EXPECT_EQ(shape.value().choice, KeyChoice::kScan);
  EXPECT_EQ(shape.value().batch, 32U);
  EXPECT_EQ(shape.value().zipf_theta, 0.5);
  EXPECT_FALSE(shape.value().compressible);
}

TEST(LoadShapeTest, NamesTheWordThatIsWrong) {
  EXPECT_NE(Parse({"port=1", "speed=9"}).status().message().find("'speed'"), std::string::npos);
  EXPECT_NE(Parse({"port=1", "batch=many"}).status().message().find("'batch=many'"),
            std::string::npos);
  EXPECT_NE(Parse({"port=1", "work"}).status().message().find("work"), std::string::npos);
  EXPECT_FALSE(Parse({"batch=1"}).ok()) << "there is no default port";
  EXPECT_FALSE(Parse({"port=1", "work=open"}).ok()) << "an open load has a rate";
}

TEST(LoadShapeTest, ValuesBelongToTheirKeysAndHalfOfThemCompresses) {
  LoadShape shape;
  shape.value_bytes = 100;
  std::string value(shape.value_bytes, ' ');
  WriteValue(7, shape, value.data());
  uint64_t begin = 0;
  std::memcpy(&begin, value.data(), sizeof(begin));
  EXPECT_EQ(begin, ValueBegin(7));
  EXPECT_NE(begin, ValueBegin(8));
  EXPECT_EQ(value.substr(50), std::string(50, 'x'));
  std::array<char, kKeyBytes> key;
  WriteKey(1'234, key.data());
  EXPECT_EQ(std::string(key.data(), key.size()), "item-000000000000000000001234");
}

}  // namespace
}  // namespace terraced::bench
