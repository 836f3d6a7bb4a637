#include "src/protocol/text_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace terraced::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// What came of an input, flattened to text so that runs can be compared.
std::string Describe(const Request& request, const std::vector<tiering::Key>& keys) {
  if (request.error != Reply::kNone) {
    return "refused error" + std::to_string(static_cast<int>(request.error)) +
           (request.noreply ? " noreply" : "");
  }
  std::string text(request.command->word);
  if (!request.key.bytes.empty()) text += " key=" + std::string(request.key.bytes);
  for (uint32_t i = 0; i < request.key_count; ++i) {
    text += " +" + std::string(keys[request.key_begin + i].bytes);
  }
  if (request.command->Has(kStores)) {
    text += " flags=" + std::to_string(request.client_flags);
    text += " bytes=" + std::to_string(request.value_bytes);
  }
  if (request.exptime != 0) text += " exptime=" + std::to_string(request.exptime);
  if (request.number != 0) text += " number=" + std::to_string(request.number);
  for (uint8_t i = 0; i < request.argument_count; ++i)
    text += " arg=" + std::string(request.arguments[i]);
  if (request.noreply) text += " noreply";
  return text;
}

// Decodes as a connection does: everything that is complete, what is left waits for the next piece.
class Decoder {
 public:
  explicit Decoder(size_t keys_max = 100) : keys_max_(keys_max) {}

  void Feed(std::string_view bytes) {
    buffer_.append(bytes);
    while (!closed_) {
      std::vector<tiering::Key> keys;
      Request request;
      size_t consumed = 0;
      const TextCodec::Result result =
          codec_.Decode(buffer_, keys_max_, &keys, &request, &consumed);
      if (result == TextCodec::Result::kClose) closed_ = true;
      if (result == TextCodec::Result::kRequest) {
        seen_.push_back(Describe(request, keys) + (request.more ? " ..." : ""));
        // A data block is not the codec's business.
        consumed += request.command->Has(kStores) ? request.value_bytes + 2 : 0;
      }
      buffer_.erase(0, consumed);
      if (result != TextCodec::Result::kRequest) return;
    }
  }
  const std::vector<std::string>& Seen() const { return seen_; }
  bool Closed() const { return closed_; }
  size_t Left() const { return buffer_.size(); }

 private:
  const size_t keys_max_;
  DecodedKeys decoded_;
  TextCodec codec_{true, &decoded_};
  std::string buffer_;
  std::vector<std::string> seen_;
  bool closed_ = false;
};

std::vector<std::string> Decode(std::string_view bytes) {
  Decoder decoder;
  decoder.Feed(bytes);
  return decoder.Seen();
}

std::string Refused(Reply reply) {
  return "refused error" + std::to_string(static_cast<int>(reply));
}

TEST(TextCodecTest, ReadsEveryCommand) {
  struct Case {
    std::string line;
    std::string request;
  };
  const Case cases[] = {
      {"get a", "get +a"},
      {"get  a   b ", "get +a +b"},
      {" gets a\tb", "gets +a\tb"},
      {"gat 10 a b", "gat +a +b exptime=10"},
      {"gats -1 a", "gats +a exptime=-1"},
      {"gat 10", "gat exptime=10"},
      {"touch a 5", "touch key=a exptime=5"},
      {"touch a 5 noreply", "touch key=a exptime=5 noreply"},
      {"delete a", "delete key=a"},
      {"delete noreply", "delete key=noreply"},
      {"delete a 0 noreply", "delete key=a noreply"},
      {"incr a 18446744073709551615", "incr key=a number=18446744073709551615"},
      {"decr a +5 junk", "decr key=a number=5"},
      {"flush_all", "flush_all"},
      {"flush_all 10 noreply", "flush_all exptime=10 noreply"},
      {"flush_all noreply", "flush_all noreply"},
      {"gat -9223372036854775808 a", "gat +a exptime=-9223372036854775808"},
      {"verbosity 2", "verbosity number=2"},
      {"stats", "stats"},
      {"stats items junk", "stats arg=items arg=junk"},
      {"version noreply", "version arg=noreply"},
      {"extstore", "extstore"},
      {"extstore item_size 512 junk more", "extstore arg=item_size arg=512 arg=junk"},
      {"extstore item_size 512 noreply", "extstore arg=item_size arg=512 arg=noreply noreply"},
      {"quit", "quit"},
      {"debug delay flush 10", "debug arg=delay arg=flush arg=10"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(Decode(one.line + "\r\n"), ElementsAre(one.request)) << one.line;
    EXPECT_THAT(Decode(one.line + "\n"), ElementsAre(one.request)) << one.line;
  }
}

TEST(TextCodecTest, ReadsStoreCommandsAndLeavesTheDataBlock) {
  EXPECT_THAT(Decode("set a 5 10 3 noreply\r\nabc\r\nget a\r\n"),
              ElementsAre("set key=a flags=5 bytes=3 exptime=10 noreply", "get +a"));
  EXPECT_THAT(Decode("cas a 1 0 0 77\r\n\r\n"), ElementsAre("cas key=a flags=1 bytes=0 number=77"));
  EXPECT_THAT(Decode("set a 4294967297 0 1 junk\r\nx\r\n"),
              ElementsAre("set key=a flags=1 bytes=1"));
}

TEST(TextCodecTest, RefusesWhatMemcachedRefuses) {
  struct Case {
    std::string line;
    Reply reply;
  };
  const std::string long_key(251, 'k');
  const Case cases[] = {
      {"", Reply::kUnknownCommand},
      {"a", Reply::kUnknownCommand},
      {"  ", Reply::kUnknownCommand},
      {"GET a", Reply::kUnknownCommand},
      {"get", Reply::kUnknownCommand},
      {"set a 0 0", Reply::kUnknownCommand},
      {"set a 0 0 1 x y", Reply::kUnknownCommand},
      {"cas a 0 0 1", Reply::kUnknownCommand},
      {"set a -1 0 1", Reply::kBadLine},
      {"set a x 0 1", Reply::kBadLine},
      {"set a 0 x 1", Reply::kBadLine},
      {"set a 0 0 -1", Reply::kBadLine},
      {"set a 0 0 2147483646", Reply::kBadLine},
      {"set " + long_key + " 0 0 1", Reply::kBadLine},
      {"cas a 0 0 1 x", Reply::kBadLine},
      {"get a " + long_key, Reply::kBadLine},
      {"gat x a", Reply::kBadExptime},
      {"touch a x", Reply::kBadExptime},
      {"delete a 10", Reply::kBadDelete},
      {"delete " + long_key, Reply::kBadLine},
      {"incr a x", Reply::kBadDelta},
      {"incr a -1", Reply::kBadDelta},
      {"incr " + long_key + " x", Reply::kBadLine},
      {"flush_all x", Reply::kBadExptime},
      {"verbosity x", Reply::kBadLine},
      {"verbosity", Reply::kUnknownCommand},
      {std::string("set a\0b 0 0 1", 13), Reply::kUnknownCommand},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(Decode(one.line + "\r\n"), ElementsAre(Refused(one.reply))) << one.line;
  }
  // Once noreply was seen it silences refusals too.
  EXPECT_THAT(Decode("incr a x noreply\r\n"), ElementsAre(Refused(Reply::kBadDelta) + " noreply"));
}

TEST(TextCodecTest, GivesTheSameRequestsAtEveryByteBoundary) {
  const std::string input =
      "get a bb ccc\r\nset k 1 2 5\r\nhe\nlo\r\ngets x\ndelete k\r\n\r\nincr n 5 "
      "noreply\r\nstats\r\n"
      "gat 5 a b\r\ncas k 0 0 2 9\r\nab\r\nbad line\r\nversion\r\n";
  const std::vector<std::string> whole = Decode(input);
  ASSERT_EQ(whole.size(), 11U);
  for (size_t split = 1; split < input.size(); ++split) {
    Decoder decoder;
    // A data block that is not whole would be erased beyond the buffer: feed it with its line.
    decoder.Feed(input.substr(0, split));
    if (decoder.Seen().size() <= whole.size() && !decoder.Seen().empty() &&
        decoder.Seen().back().find("bytes=") != std::string::npos) {
      continue;
    }
    decoder.Feed(input.substr(split));
    EXPECT_EQ(decoder.Seen(), whole) << "split at " << split;
    EXPECT_EQ(decoder.Left(), 0U);
  }
}

TEST(TextCodecTest, HandsOutManyKeysInPieces) {
  Decoder decoder(2);
  decoder.Feed("gats 7 a b c d e \r\nversion\r\n");
  EXPECT_THAT(decoder.Seen(), ElementsAre("gats +a +b exptime=7 ...", "gats +c +d exptime=7 ...",
                                          "gats +e exptime=7", "version"));
}

TEST(TextCodecTest, AnswersNothingOfALineWithALongKey) {
  Decoder decoder(2);
  decoder.Feed("get a b c " + std::string(251, 'k') + " d\r\nversion\r\n");
  EXPECT_THAT(decoder.Seen(), ElementsAre(Refused(Reply::kBadLine), "version"));
}

TEST(TextCodecTest, DecodesEndlessGetsWithoutHoldingThem) {
  Decoder decoder(128);
  decoder.Feed("get ");
  size_t held_most = 0;
  constexpr size_t kKeys = 100'000;
  for (size_t i = 0; i < kKeys; ++i) {
    decoder.Feed("key" + std::to_string(i) + " ");
    held_most = std::max(held_most, decoder.Left());
  }
  decoder.Feed("\r\nversion\r\n");
  EXPECT_LE(held_most, kLineBytesMax + kKeyBytesMax);
  size_t keys = 0;
  for (const std::string& one : decoder.Seen()) {
    keys += static_cast<size_t>(std::count(one.begin(), one.end(), '+'));
  }
  EXPECT_EQ(keys, kKeys);
  EXPECT_EQ(decoder.Seen().back(), "version");
  EXPECT_FALSE(decoder.Closed());
}

TEST(TextCodecTest, EndlessGetWithALongKeyIsRefusedToItsLineEnd) {
  Decoder decoder;
  std::string line = "get ";
  while (line.size() < kLineBytesMax) line += "some_key ";
  decoder.Feed(line);
  decoder.Feed(std::string(300, 'x'));
  decoder.Feed(std::string(300, 'x') + " a b c\r\nversion\r\n");
  ASSERT_GE(decoder.Seen().size(), 2U);
  EXPECT_EQ(decoder.Seen()[decoder.Seen().size() - 2], Refused(Reply::kBadLine));
  EXPECT_EQ(decoder.Seen().back(), "version");
}

TEST(TextCodecTest, EndlessGetEndsAtItsFirstNulAsAnyLineDoes) {
  for (const std::string_view last :
       {std::string_view("last\0 a b c ", 12), std::string_view("last \0a b c ", 12)}) {
    Decoder decoder;
    std::string line = "get ";
    while (line.size() < kLineBytesMax) line += "some_key ";
    decoder.Feed(line);
    decoder.Feed(last);
    decoder.Feed("d e\r\nversion\r\n");
    ASSERT_GE(decoder.Seen().size(), 2U);
    EXPECT_EQ(decoder.Seen()[decoder.Seen().size() - 2], "get +last");
    EXPECT_EQ(decoder.Seen().back(), "version");
    EXPECT_EQ(decoder.Left(), 0U);
  }
}

TEST(TextCodecTest, HangsUpOnLinesWithoutEnd) {
  Decoder patient;
  patient.Feed(std::string(kCommandBytesMax, 'x'));
  EXPECT_FALSE(patient.Closed());
  patient.Feed("x");
  EXPECT_TRUE(patient.Closed());
  Decoder blanks;
  blanks.Feed(std::string(101, ' ') + "get " + std::string(3000, 'k'));
  EXPECT_TRUE(blanks.Closed());
  Decoder get;
  get.Feed(std::string(99, ' ') + "get " + std::string(3000, 'k'));
  EXPECT_FALSE(get.Closed());
}

TEST(TextCodecTest, HangsUpOnHttp) {
  Decoder decoder;
  decoder.Feed("POST / HTTP/1.1\r\n");
  EXPECT_TRUE(decoder.Closed());
}

TEST(TextCodecTest, KnowsTestCommandsOnlyWhereTheyAreOn) {
  DecodedKeys decoded;
  TextCodec codec(false, &decoded);
  std::vector<tiering::Key> keys;
  Request request;
  size_t consumed = 0;
  ASSERT_EQ(codec.Decode("debug demote\r\n", 1, &keys, &request, &consumed),
            TextCodec::Result::kRequest);
  EXPECT_EQ(request.error, Reply::kUnknownCommand);
}

TEST(TextCodecTest, ReadsNumbersAsMemcachedDoes) {
  uint64_t number = 0;
  EXPECT_TRUE(ParseUnsigned("\t+5", &number) && number == 5);
  EXPECT_TRUE(ParseUnsigned("-0", &number) && number == 0);
  EXPECT_TRUE(ParseUnsigned("18446744073709551615", &number));
  for (const char* bad : {"", "+", "-1", "5a", "18446744073709551616", "0x1"}) {
    EXPECT_FALSE(ParseUnsigned(bad, &number)) << bad;
  }
  int64_t exptime = 0;
  EXPECT_TRUE(ParseSigned("-9223372036854775807", &exptime) && exptime < 0);
  EXPECT_FALSE(ParseSigned("9223372036854775808", &exptime));
}

TEST(TextCodecTest, GlancesAtTheKeyOfTheFirstRequest) {
  EXPECT_EQ(TextCodec::GlanceAtKey("get k\r\n"), "k");
  EXPECT_EQ(TextCodec::GlanceAtKey("set key 0 0 1\r\nv\r\n"), "key");
  EXPECT_EQ(TextCodec::GlanceAtKey("gets  a b\r\n"), "a");
  EXPECT_EQ(TextCodec::GlanceAtKey("get"), "");
  EXPECT_EQ(TextCodec::GlanceAtKey(""), "");
}

}  // namespace
}  // namespace terraced::server
