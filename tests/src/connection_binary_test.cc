// A connection whose client speaks the binary protocol.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/src/connection_rig.h"
#include "tests/support/binary.h"

namespace terraced::server {
namespace {

using support::BinaryRequest;
using support::DescribeResponses;
using support::Packet;

const std::string kNoopAnswer = "op=0a status=0 opaque=badcafe cas=0 value=\n";

class ConnectionBinaryTest : public ConnectionRig {
 protected:
  std::string Talk(const std::string& bytes) { return DescribeResponses(Ask(bytes)); }
  std::string Noop() { return Talk(Packet(support::kNoopOp)); }
};

std::string Line(const std::string& op, const std::string& rest) {
  return "op=" + op + " status=" + rest + "\n";
}

TEST_F(ConnectionBinaryTest, ReadsRequestsWhereverTheyAreSplit) {
  const std::string request = Packet(support::kSetOp, "k", "ab\r\ncd") +
                              Packet(support::kGetKOp, "k") + Packet(support::kDeleteOp, "k");
  const std::string expected = Line("01", "0 opaque=badcafe cas=1 value=") +
                               Line("0c", "0 opaque=badcafe cas=1 flags=5 key=k value=ab\r\ncd") +
                               Line("04", "0 opaque=badcafe cas=0 value=");
  for (size_t split = 1; split <= request.size(); ++split) {
    std::string reply = Ask(request.substr(0, split));
    reply += Ask(request.substr(split));
    EXPECT_EQ(DescribeResponses(reply), expected) << split;
  }
}

TEST_F(ConnectionBinaryTest, TakesEmptyValuesInTheMiddleOfAPipeline) {
  EXPECT_EQ(Talk(Packet(support::kSetQOp, "k", "") + Packet(support::kGetOp, "k") +
                 Packet(support::kSetOp, "l", "") + Packet(support::kNoopOp)),
            Line("00", "0 opaque=badcafe cas=1 flags=5 value=") +
                Line("01", "0 opaque=badcafe cas=1 value=") + kNoopAnswer);
}

TEST_F(ConnectionBinaryTest, SendsLargeValuesFromTheArena) {
  const std::string value(300'000, 'v');
  Send(Packet(support::kSetOp, "k", value));
  Receive();
  const std::string reply = Ask(Packet(support::kGetOp, "k") + Packet(support::kNoopOp));
  const auto responses = support::ParseResponses(reply);
  ASSERT_EQ(responses.size(), 2U);
  EXPECT_EQ(responses[0].value, value);
}

TEST_F(ConnectionBinaryTest, SwallowsAValueThatIsTooLarge) {
  Send(Packet(support::kSetOp, "k", "old"));
  Receive();
  const std::string large(2U << 20, 'v');
  EXPECT_EQ(Talk(Packet(support::kAddOp, "k", large) + Packet(support::kNoopOp)),
            Line("02", "3 opaque=badcafe cas=0 value=Too large.") + kNoopAnswer);
  EXPECT_EQ(host_.cache.Dropped(), 0);
  EXPECT_EQ(Talk(Packet(support::kSetQOp, "k", large) + Packet(support::kNoopOp)),
            Line("11", "3 opaque=badcafe cas=0 value=Too large.") + kNoopAnswer);
  EXPECT_EQ(host_.cache.Dropped(), 1);
}

TEST_F(ConnectionBinaryTest, StaysInStepBehindAnUnknownOpcode) {
  for (const size_t bytes : {0U, 1U, 100'000U}) {
    const BinaryRequest unknown{
        .opcode = 0x77, .key = "key", .extras = "1234", .value = std::string(bytes, 'v')};
    EXPECT_EQ(Talk(unknown.Bytes() + Packet(support::kNoopOp)),
              Line("77", "81 opaque=badcafe cas=0 value=Unknown command") + kNoopAnswer);
  }
}

TEST_F(ConnectionBinaryTest, AnswersABrokenFrameAndCloses) {
  EXPECT_EQ(Talk(Packet(support::kNoopOp) + Packet(support::kGetOp, "") + Packet(support::kNoopOp)),
            kNoopAnswer + Line("00", "4 opaque=badcafe cas=0 value=Invalid arguments"));
  EXPECT_TRUE(host_.closed);
}

TEST_F(ConnectionBinaryTest, ClosesSilentlyWithoutAHeader) {
  EXPECT_EQ(Talk(Packet(support::kNoopOp) + "get k\r\n"), kNoopAnswer);
  EXPECT_TRUE(host_.closed);
}

TEST_F(ConnectionBinaryTest, QuitsWithAndWithoutAWord) {
  EXPECT_EQ(Talk(Packet(support::kQuitOp) + Packet(support::kNoopOp)),
            Line("07", "0 opaque=badcafe cas=0 value="));
  EXPECT_TRUE(host_.closed);
}

TEST_F(ConnectionBinaryTest, QuitsSilently) {
  EXPECT_EQ(Talk(Packet(support::kQuitQOp) + Packet(support::kNoopOp)), "");
  EXPECT_TRUE(host_.closed);
}

TEST_F(ConnectionBinaryTest, ReadsOfFlashOvertakeEachOtherAndAnswerInOrder) {
  Send(Packet(support::kSetOp, "a", "1") + Packet(support::kSetOp, "b", "2"));
  Receive();
  host_.cache.PutAllOnFlash();
  Send(Packet(support::kGetKOp, "a") + Packet(support::kGetKQOp, "b") +
       Packet(support::kGetQOp, "missing") + Packet(support::kNoopOp));
  ASSERT_EQ(host_.wanted.size(), 2U);
  host_.Answer(1);
  EXPECT_EQ(Receive(), "");
  host_.Answer(0);
  EXPECT_EQ(DescribeResponses(Receive()),
            Line("0c", "0 opaque=badcafe cas=1 flags=5 key=a value=1") +
                Line("0d", "0 opaque=badcafe cas=1 flags=5 key=b value=2") + kNoopAnswer);
}

TEST_F(ConnectionBinaryTest, ChangesWaitForReadsOfFlash) {
  Send(Packet(support::kSetOp, "a", "1"));
  Receive();
  host_.cache.PutAllOnFlash();
  Send(Packet(support::kGetOp, "a") + Packet(support::kSetOp, "a", "2"));
  ASSERT_EQ(host_.wanted.size(), 1U);
  host_.Answer(0);
  EXPECT_EQ(DescribeResponses(Receive()), Line("00", "0 opaque=badcafe cas=1 flags=5 value=1") +
                                              Line("01", "0 opaque=badcafe cas=1 value="));
}

// What a client must not take for a miss has a status of its own; a get is one.
TEST_F(ConnectionBinaryTest, SaysSoWhenFlashCouldNotBeRead) {
  const struct {
    uint8_t opcode;
    std::string value;
    std::string answer;
  } cases[] = {
      {support::kGetOp, "", Line("00", "1 opaque=badcafe cas=0 value=Not found")},
      {support::kAddOp, "v", Line("02", "84 opaque=badcafe cas=0 value=Flash read failed")},
      {support::kAppendQOp, "v", Line("19", "84 opaque=badcafe cas=0 value=Flash read failed")},
      {support::kIncrementQOp, "", Line("15", "84 opaque=badcafe cas=0 value=Flash read failed")},
      {support::kTouchOp, "", Line("1c", "84 opaque=badcafe cas=0 value=Flash read failed")},
      {support::kGatKQOp, "", Line("24", "84 opaque=badcafe cas=0 value=Flash read failed")},
  };
  Send(Packet(support::kSetOp, "k", "1"));
  Receive();
  host_.cache.PutAllOnFlash();
  for (const auto& one : cases) {
    Send(Packet(one.opcode, "k", one.value));
    ASSERT_EQ(host_.wanted.size(), 1U) << int{one.opcode};
    host_.Answer(0, /*in_time=*/false);
    EXPECT_EQ(DescribeResponses(Receive()), one.answer);
    EXPECT_EQ(Noop(), kNoopAnswer);
  }
}

TEST_F(ConnectionBinaryTest, AStoreThatWaitsForRoomIsDecodedAgain) {
  host_.cache.LetAllocateWait(1);
  Send(Packet(support::kSetOp, "k", "v") + Packet(support::kGetOp, "k"));
  EXPECT_EQ(Receive(), "");
  ASSERT_TRUE(std::exchange(host_.retry_room, false));
  connection_->RetryRoom();
  EXPECT_EQ(DescribeResponses(Receive()), Line("01", "0 opaque=badcafe cas=1 value=") +
                                              Line("00", "0 opaque=badcafe cas=1 flags=5 value=v"));
}

TEST_F(ConnectionBinaryTest, RefusesGroupsOfStatisticsThatTextAloneHas) {
  EXPECT_EQ(Talk(Packet(support::kStatOp, "conns")),
            Line("10", "1 opaque=badcafe cas=0 value=Not found"));
  EXPECT_EQ(Talk(Packet(support::kStatOp, "unknown")),
            Line("10", "1 opaque=badcafe cas=0 value=Not found"));
  EXPECT_EQ(Talk(Packet(support::kStatOp)),
            Line("10", "0 opaque=badcafe cas=0 key=name value=value") +
                Line("10", "0 opaque=badcafe cas=0 value="));
  EXPECT_EQ(Talk(Packet(support::kStatOp, "reset")), Line("10", "0 opaque=badcafe cas=0 value="));
  EXPECT_EQ(host_.control.resets, 1);
}

}  // namespace
}  // namespace terraced::server
