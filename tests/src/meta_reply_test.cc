#include "src/protocol/meta_reply.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>

#include "src/commands/command_table.h"
#include "tests/src/string_output.h"

namespace terraced::server {
namespace {

class MetaReplyTest : public testing::Test {
 protected:
  MetaReplyTest() { reply_.Bind(&output_, 7); }

  Request RequestOf(std::string_view word, std::string_view flags, uint32_t asks = 0) {
    Request request;
    request.command = FindCommand(word);
    request.key.bytes = "key";
    request.flags = {flags.data(), flags.size()};
    request.asks = asks;
    return request;
  }
  std::string Take() { return std::exchange(output_.text, {}); }
  std::string Hit(const Request& request, const tiering::ItemMeta& item, std::string_view value) {
    tiering::ValueSink& sink = reply_.Value(request, true);
    char* const to = sink.Begin(item);
    // The output keeps what was committed; the value is written behind the line, before the line end.
    if (to != nullptr) {
      output_.text.replace(output_.text.size() - value.size() - 2, value.size(), value);
    }
    return Take();
  }

  Clock clock_{1'000'000};
  MetaReply reply_{clock_};
  StringOutput output_;
};

constexpr tiering::ItemMeta kItem{.cas_unique = 9,
                                  .client_flags = 5,
                                  .exptime_s = 1'000'030,
                                  .last_access_s = 999'990,
                                  .value_bytes = 2,
                                  .fetched = true};

TEST_F(MetaReplyTest, AHitAnswersItsFlagsInTheirOrder) {
  EXPECT_EQ(Hit(RequestOf("mg", "k t O7 c f s h l q"), kItem, ""),
            "HD kkey t30 O7 c9 f5 s2 h1 l10\r\n");
  EXPECT_EQ(Hit(RequestOf("mg", "l t v", kAsksValue), kItem, "ab"), "VA 2 l10 t30\r\nab\r\n");
  EXPECT_EQ(Hit(RequestOf("mg", "t"), {}, ""), "HD t-1\r\n");
}

TEST_F(MetaReplyTest, AClockThatWasSetBackCountsNoTimeSinceTheLastAccess) {
  tiering::ItemMeta item = kItem;
  item.last_access_s = 1'000'003;
  EXPECT_EQ(Hit(RequestOf("mg", "l"), item, ""), "HD l0\r\n");
  EXPECT_NE(Hit(RequestOf("me", ""), item, "").find(" la=0 "), std::string::npos);
}

TEST_F(MetaReplyTest, AKeyThatWouldBreakItsLineIsInBase64) {
  Request request = RequestOf("me", "");
  request.key.bytes = "a\r\nb";
  EXPECT_TRUE(Hit(request, kItem, "").starts_with("ME YQ0KYg== "));
}

TEST_F(MetaReplyTest, WhoHasThisVersionIsSentNoValue) {
  Request request = RequestOf("mg", "c v C9", kAsksValue | kAsksCompare);
  request.compare_cas = 9;
  EXPECT_EQ(Hit(request, kItem, ""), "HD c9\r\n");
  request.compare_cas = 8;
  EXPECT_EQ(Hit(request, kItem, "ab"), "VA 2 c9\r\nab\r\n");
}

TEST_F(MetaReplyTest, StaleSentAndWonComeLast) {
  tiering::ItemMeta item = kItem;
  item.stale = item.won = true;
  EXPECT_EQ(Hit(RequestOf("mg", "s"), item, ""), "HD s2 X W\r\n");
  item.won = false;
  item.token_sent = true;
  EXPECT_EQ(Hit(RequestOf("mg", "s"), item, ""), "HD s2 Z X\r\n");
}

TEST_F(MetaReplyTest, TheEndIsThatBeforeOrAfterTheTouchByTheirOrder) {
  Request request = RequestOf("mg", "t T60", kAsksTouch);
  request.exptime = 60;
  EXPECT_EQ(Hit(request, kItem, ""), "HD t30\r\n");
  request.flags = {"T60 t", 5};
  EXPECT_EQ(Hit(request, kItem, ""), "HD t60\r\n");
}

TEST_F(MetaReplyTest, QuietHidesMissesOfGetAndSuccessOfTheRest) {
  reply_.Miss(RequestOf("mg", "k O1 v t"));
  EXPECT_EQ(Take(), "EN kkey O1\r\n");
  reply_.Miss(RequestOf("mg", "k q", kAsksQuiet));
  EXPECT_EQ(Take(), "");
  reply_.Miss(RequestOf("me", ""));
  EXPECT_EQ(Take(), "EN\r\n");
  for (const std::string_view word : {"ms", "md"}) {
    reply_.Done(RequestOf(word, "q", kAsksQuiet), Reply::kStored, kItem);
    EXPECT_EQ(Take(), "") << word;
    reply_.Done(RequestOf(word, "q k", kAsksQuiet), Reply::kNotFound, {});
    EXPECT_EQ(Take(), "NF kkey\r\n") << word;
    reply_.Answer(RequestOf(word, "q", kAsksQuiet), Reply::kTooLarge);
    EXPECT_EQ(Take(), "SERVER_ERROR object too large for cache\r\n") << word;
  }
  reply_.Number(RequestOf("ma", "v q", kAsksQuiet | kAsksValue), 5, kItem);
  EXPECT_EQ(Take(), "");
}

TEST_F(MetaReplyTest, EachAnswerHasItsCode) {
  reply_.Done(RequestOf("ms", "c s O1"), Reply::kStored, kItem);
  EXPECT_EQ(Take(), "HD c9 s2 O1\r\n");
  reply_.Done(RequestOf("ms", "c"), Reply::kNotStored, {});
  EXPECT_EQ(Take(), "NS c0\r\n");
  reply_.Done(RequestOf("md", "O1 c s t"), Reply::kExists, {});
  EXPECT_EQ(Take(), "EX O1\r\n");
  reply_.Number(RequestOf("ma", "t c v k", kAsksValue), 105, kItem);
  EXPECT_EQ(Take(), "VA 3 t30 c9 kkey\r\n105\r\n");
  reply_.Number(RequestOf("ma", "c"), 105, kItem);
  EXPECT_EQ(Take(), "HD c9\r\n");
  reply_.Answer(RequestOf("mn", ""), Reply::kMetaNoop);
  EXPECT_EQ(Take(), "MN\r\n");
}

TEST_F(MetaReplyTest, ABinaryKeyIsAnsweredInBase64) {
  tiering::ItemMeta item = kItem;
  item.binary_key = true;
  EXPECT_EQ(Hit(RequestOf("mg", "k"), item, ""), "HD ka2V5 b\r\n");
  reply_.Miss(RequestOf("mg", "k b", kAsksBinaryKey));
  EXPECT_EQ(Take(), "EN ka2V5 b\r\n");
}

TEST_F(MetaReplyTest, DebugSaysAllThatIsKnown) {
  tiering::ItemMeta item = kItem;
  item.slab_class = 3;
  item.item_bytes = 40;
  EXPECT_EQ(Hit(RequestOf("me", ""), item, ""),
            "ME key exp=30 la=10 cas=9 fetch=yes cls=3 size=40\r\n");
}

}  // namespace
}  // namespace terraced::server
