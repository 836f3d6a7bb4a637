#include "src/protocol/binary_reply.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "src/commands/binary_table.h"
#include "src/protocol/reply_sinks.h"
#include "tests/src/string_output.h"
#include "tests/support/binary.h"

namespace terraced::server {
namespace {

Request RequestOf(uint8_t opcode, std::string_view key = "key") {
  const BinarySpec& spec = *FindBinaryCommand(opcode);
  Request request;
  request.command = &spec.command;
  request.asks = spec.asks;
  request.opcode = opcode;
  request.opaque = 0xfeedbeef;
  request.key.bytes = key;
  return request;
}

class BinaryReplyTest : public testing::Test {
 protected:
  BinaryReplyTest() { sinks_.Bind(&output_, 7); }

  ReplySink& For(const Request& request) { return sinks_.For(request); }
  std::string Take() { return std::exchange(output_.text, {}); }
  // The status of the one packet that the reply is; -1: it is silent.
  int Answer(uint8_t opcode, Reply reply) {
    const Request request = RequestOf(opcode);
    For(request).Answer(request, reply);
    const std::string bytes = Take();
    return bytes.empty() ? -1 : support::ParseResponse(bytes).status;
  }

  Clock clock_{1'000'000};
  StringOutput output_;
  ReplySinks sinks_{clock_};
};

TEST_F(BinaryReplyTest, IsAPacketOfTheRequestsOpcodeAndOpaque) {
  const Request request = RequestOf(support::kDeleteOp);
  For(request).Answer(request, Reply::kNotFound);
  EXPECT_EQ(Take(), std::string("\x81\x04\0\0\0\0\0\x01\0\0\0\x09\xfe\xed\xbe\xef\0\0\0\0\0\0\0\0"
                                "Not found",
                                33));
}

TEST_F(BinaryReplyTest, GivesEachReplyItsStatus) {
  using support::kSetOp;
  EXPECT_EQ(Answer(support::kAddOp, Reply::kNotStored), 0x02);
  EXPECT_EQ(Answer(support::kReplaceOp, Reply::kNotStored), 0x01);
  EXPECT_EQ(Answer(support::kAppendOp, Reply::kNotStored), 0x05);
  EXPECT_EQ(Answer(support::kAppendOp, Reply::kNotFound), 0x05);
  EXPECT_EQ(Answer(support::kPrependQOp, Reply::kNotStored), 0x05);
  EXPECT_EQ(Answer(kSetOp, Reply::kNotFound), 0x01);
  EXPECT_EQ(Answer(kSetOp, Reply::kExists), 0x02);
  EXPECT_EQ(Answer(kSetOp, Reply::kTooLarge), 0x03);
  EXPECT_EQ(Answer(kSetOp, Reply::kBadLine), 0x04);
  EXPECT_EQ(Answer(support::kIncrementOp, Reply::kNonNumeric), 0x06);
  EXPECT_EQ(Answer(support::kFlushOp, Reply::kFlushNotAllowed), 0x20);
  EXPECT_EQ(Answer(support::kSaslListOp, Reply::kUnknownCommand), 0x81);
  EXPECT_EQ(Answer(support::kStatOp, Reply::kUnknownCommand), 0x01);
  EXPECT_EQ(Answer(kSetOp, Reply::kNoMemoryToStore), 0x82);
  EXPECT_EQ(Answer(support::kTouchOp, Reply::kNoMemoryToChange), 0x82);
  EXPECT_EQ(Answer(support::kIncrementOp, Reply::kFlashFailed), 0x84);
  EXPECT_EQ(Answer(support::kFlushOp, Reply::kOk), 0);
}

TEST_F(BinaryReplyTest, EveryStatusButSuccessHasItsText) {
  for (int i = 1; i < static_cast<int>(Reply::kCount); ++i) {
    const BinaryStatus status = StatusOf(RequestOf(support::kSetOp), static_cast<Reply>(i));
    EXPECT_EQ(TextOf(status).empty(), status == BinaryStatus::kSuccess) << i;
  }
}

TEST_F(BinaryReplyTest, QuietOnesHideSuccessAndNothingElse) {
  const tiering::ItemMeta item{.cas_unique = 9};
  for (int opcode = 0; opcode < kBinaryOpcodes; ++opcode) {
    const BinarySpec* const spec = FindBinaryCommand(static_cast<uint8_t>(opcode));
    if (spec == nullptr) continue;
    const Request request = RequestOf(static_cast<uint8_t>(opcode));
    const bool quiet = (spec->asks & kAsksQuiet) != 0;
    For(request).Answer(request, Reply::kOk);
    EXPECT_EQ(Take().empty(), quiet) << spec->command.word;
    For(request).Done(request, Reply::kStored, item);
    EXPECT_EQ(Take().empty(), quiet) << spec->command.word;
    For(request).Number(request, 1, item);
    EXPECT_EQ(Take().empty(), quiet) << spec->command.word;
    For(request).Miss(request);
    EXPECT_EQ(Take().empty(), quiet) << spec->command.word;
    For(request).Done(request, Reply::kExists, item);
    EXPECT_FALSE(Take().empty()) << spec->command.word;
    For(request).Refuse(request, "why");
    EXPECT_FALSE(Take().empty()) << spec->command.word;
    // A quiet get hides misses; hits are what it is for.
    static_cast<tiering::ValueSink&>(For(request).Value(request, true)).Begin(item);
    EXPECT_FALSE(Take().empty()) << spec->command.word;
  }
}

TEST_F(BinaryReplyTest, ShowsTheCasUniqueOfWhatIsThere) {
  const tiering::ItemMeta item{.cas_unique = 0x0102030405060708, .client_flags = 77};
  const Request set = RequestOf(support::kSetOp);
  For(set).Done(set, Reply::kStored, item);
  support::BinaryResponse response = support::ParseResponse(Take());
  EXPECT_EQ(response.cas, 0x0102030405060708U);
  EXPECT_EQ(response.extras, "");
  For(set).Done(set, Reply::kNotFound, item);
  EXPECT_EQ(support::ParseResponse(Take()).cas, 0U);
  const Request append = RequestOf(support::kAppendOp);
  For(append).Done(append, Reply::kNotStored, item);
  EXPECT_EQ(support::ParseResponse(Take()).status, 5);
  const Request touch = RequestOf(support::kTouchOp);
  For(touch).Done(touch, Reply::kTouched, item);
  response = support::ParseResponse(Take());
  EXPECT_EQ(response.cas, 0x0102030405060708U);
  EXPECT_EQ(response.extras, support::BigEndian(77, 4));
  const Request erase = RequestOf(support::kDeleteOp);
  For(erase).Done(erase, Reply::kDeleted, item);
  EXPECT_EQ(support::ParseResponse(Take()).cas, 0U);
  const Request count = RequestOf(support::kIncrementOp);
  For(count).Number(count, 258, item);
  response = support::ParseResponse(Take());
  EXPECT_EQ(response.cas, 0x0102030405060708U);
  EXPECT_EQ(response.value, support::BigEndian(258, 8));
}

TEST_F(BinaryReplyTest, PutsValuesWhereTheyAreSentFrom) {
  const tiering::ItemMeta item{.cas_unique = 4, .client_flags = 5, .value_bytes = 3};
  for (const uint8_t opcode : {support::kGetOp, support::kGetKOp}) {
    const Request request = RequestOf(opcode);
    For(request).Value(request, true).Begin(item);
    std::string bytes = Take();
    const support::BinaryResponse response = support::ParseResponse(bytes);
    EXPECT_EQ(response.extras, support::BigEndian(5, 4));
    EXPECT_EQ(response.key, opcode == support::kGetKOp ? "key" : "");
    EXPECT_EQ(response.value.size(), 3U);
    EXPECT_EQ(response.cas, 4U);
    EXPECT_EQ(support::ResponseBytes(bytes), bytes.size());
    For(request).Value(request, true).Pinned(item, storage::ItemRef());
    bytes = Take();
    EXPECT_EQ(support::ResponseBytes(bytes + "abc"), bytes.size() + 3);
    EXPECT_EQ(std::exchange(output_.pinned_bytes, 0), 3U);
    For(request).Value(request, /*cas_enabled=*/false).Begin(item);
    EXPECT_EQ(support::ParseResponse(Take()).cas, 0U);
  }
}

TEST_F(BinaryReplyTest, NamesTheKeyInAMissThatAsksForIt) {
  const Request request = RequestOf(support::kGetKOp);
  For(request).Miss(request);
  const support::BinaryResponse response = support::ParseResponse(Take());
  EXPECT_EQ(response.status, 1);
  EXPECT_EQ(response.key, "key");
  EXPECT_EQ(response.value, "");
}

TEST_F(BinaryReplyTest, EndsStatisticsWithAnEmptyPacket) {
  const Request request = RequestOf(support::kStatOp, "");
  ReplySink& sink = For(request);
  sink.Stat("pid", "42");
  sink.Answer(request, Reply::kEnd);
  EXPECT_EQ(support::DescribeResponses(Take()),
            "op=10 status=0 opaque=feedbeef cas=0 key=pid value=42\n"
            "op=10 status=0 opaque=feedbeef cas=0 value=\n");
}

TEST_F(BinaryReplyTest, SaysTheVersionWithoutAWord) {
  const Request request = RequestOf(support::kVersionOp, "");
  For(request).Answer(request, Reply::kVersion);
  EXPECT_EQ(support::ParseResponse(Take()).value, "1.6.18");
}

}  // namespace
}  // namespace terraced::server
