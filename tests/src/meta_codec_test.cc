#include "src/protocol/meta_codec.h"

#include <gtest/gtest.h>

#include <string>

#include "src/commands/command_table.h"

namespace terraced::server {
namespace {

// A line behind its command word, decoded; the line outlives the request.
class MetaCodecTest : public testing::Test {
 protected:
  const Request& Decode(std::string_view word, std::string_view text) {
    text_ = text;
    request_ = Request();
    request_.command = FindCommand(word);
    DecodeMetaCommand(text_, &decoded_, &request_);
    return request_;
  }
  Reply ErrorOf(std::string_view word, std::string_view text) { return Decode(word, text).error; }
  bool Swallows() const { return request_.command->Has(kSwallows); }

  DecodedKeys decoded_;
  std::string text_;
  Request request_;
};

TEST_F(MetaCodecTest, FlagsBecomeWhatIsAsked) {
  const Request& get = Decode("mg", " key v q u T30 N60 R10 k O123");
  EXPECT_EQ(get.error, Reply::kNone);
  EXPECT_EQ(get.key.bytes, "key");
  EXPECT_EQ(get.asks,
            kAsksValue | kAsksQuiet | kAsksNoBump | kAsksTouch | kAsksVivify | kAsksRecache);
  EXPECT_EQ(get.exptime, 30);
  EXPECT_EQ(get.vivify_exptime, 60);
  EXPECT_EQ(get.recache_s, 10);
  const Request& set = Decode("ms", "key 5 F9 C77 E78 I MA");
  EXPECT_EQ(set.error, Reply::kNone);
  EXPECT_EQ(set.value_bytes, 5U);
  EXPECT_EQ(set.client_flags, 9U);
  EXPECT_EQ(set.asks, kAsksCompare | kAsksNewCas | kAsksInvalidate);
  EXPECT_EQ(set.compare_cas, 77U);
  EXPECT_EQ(set.new_cas, 78U);
  EXPECT_EQ(set.mode, 'A');
  const Request& count = Decode("ma", "key D5 J100 N0 MD");
  EXPECT_EQ(count.number, 5U);
  EXPECT_EQ(count.initial, 100U);
  EXPECT_EQ(count.mode, 'D');
  EXPECT_EQ(Decode("ma", "key").number, 1U);
}

TEST_F(MetaCodecTest, OnlyAGetThatChangesItsItemWrites) {
  EXPECT_FALSE(Decode("mg", "key v t").command->Has(kWrites));
  EXPECT_TRUE(Decode("mg", "key v T0").command->Has(kWrites));
  EXPECT_TRUE(Decode("mg", "key N0").command->Has(kWrites));
  EXPECT_TRUE(Decode("mg", "key R0").command->Has(kWrites));
}

TEST_F(MetaCodecTest, KeysInBase64AreDecoded) {
  const Request& request = Decode("mg", "AGZvbw== b v");
  EXPECT_EQ(request.key.bytes, std::string_view("\0foo", 4));
  EXPECT_EQ(ErrorOf("mg", "foo b"), Reply::kBadBase64);
  EXPECT_EQ(ErrorOf("md", "foo b"), Reply::kBadFlags);
}

TEST_F(MetaCodecTest, ErrorsAreMemcacheds) {
  EXPECT_EQ(ErrorOf("mg", ""), Reply::kUnknownCommand);
  EXPECT_EQ(ErrorOf("me", ""), Reply::kBadLine);
  EXPECT_EQ(ErrorOf("mg", std::string(251, 'k')), Reply::kBadLine);
  EXPECT_EQ(ErrorOf("mg", "key s s"), Reply::kDuplicateFlag);
  EXPECT_EQ(ErrorOf("mg", "key y"), Reply::kInvalidFlag);
  EXPECT_EQ(ErrorOf("mg", "key 9"), Reply::kInvalidFlag);
  EXPECT_EQ(ErrorOf("mg", "key T"), Reply::kBadToken);
  EXPECT_EQ(ErrorOf("mg", "key M"), Reply::kBadModeLength);
  EXPECT_EQ(ErrorOf("mg", "key O" + std::string(31, 'o')), Reply::kNone);
  EXPECT_EQ(ErrorOf("mg", "key O" + std::string(32, 'o')), Reply::kOpaqueTooLong);
  EXPECT_EQ(ErrorOf("mg", "key a b c d e f g h i j k l m n o p q r"), Reply::kTooManyFlags);
  EXPECT_EQ(ErrorOf("md", "key s s"), Reply::kBadFlags);
  EXPECT_EQ(ErrorOf("ma", "key Dx"), Reply::kBadFlags);
  EXPECT_EQ(ErrorOf("ma", "key Mz"), Reply::kBadCountMode);
  EXPECT_EQ(ErrorOf("ma", "key O" + std::string(32, 'o')), Reply::kOpaqueTooLong);
}

TEST_F(MetaCodecTest, TheBlockOfARefusedSetIsSwallowedOnceItsLengthIsKnown) {
  EXPECT_EQ(ErrorOf("ms", "key 2 y"), Reply::kInvalidFlag);
  EXPECT_TRUE(Swallows());
  EXPECT_EQ(request_.value_bytes, 2U);
  EXPECT_EQ(ErrorOf("ms", "key 2 Me"), Reply::kBadSetMode);
  EXPECT_TRUE(Swallows());
  EXPECT_EQ(ErrorOf("ms", "key 2 F-1"), Reply::kBadLine);
  EXPECT_TRUE(Swallows());
  for (const std::string_view text : {"key", "key x", "key -1", "key 2147483646"}) {
    EXPECT_EQ(ErrorOf("ms", text), Reply::kBadLine) << text;
    EXPECT_FALSE(Swallows()) << text;
  }
  EXPECT_EQ(ErrorOf("ms", "key 2 a b c d e f g h i j k l m n o p q"), Reply::kTooManyChangeFlags);
  EXPECT_FALSE(Swallows());
}

}  // namespace
}  // namespace terraced::server
