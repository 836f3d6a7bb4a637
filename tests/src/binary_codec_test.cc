#include "src/protocol/binary_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/commands/binary_table.h"
#include "src/protocol/codec.h"
#include "tests/support/binary.h"

namespace terraced::server {
namespace {

using support::BinaryRequest;
using support::Packet;

struct Decoded {
  BinaryCodec::Result result = BinaryCodec::Result::kNeedMore;
  Request request;
  size_t consumed = 0;
};

Decoded Decode(std::string_view bytes) {
  Decoded decoded;
  decoded.result = BinaryCodec::Decode(bytes, &decoded.request, &decoded.consumed);
  return decoded;
}

// What the opcode takes, and no more.
std::string Sample(uint8_t opcode) {
  const BinarySpec& spec = *FindBinaryCommand(opcode);
  return Packet(opcode, spec.Takes(kNeedsKey) ? "key" : "",
                spec.Takes(kMayHaveValue) ? "value" : "");
}

std::vector<uint8_t> Assigned() {
  std::vector<uint8_t> opcodes;
  for (int opcode = 0; opcode < 256; ++opcode) {
    const auto one = static_cast<uint8_t>(opcode);
    if (FindBinaryCommand(one) != nullptr) opcodes.push_back(one);
  }
  return opcodes;
}

bool IsBroken(const Decoded& decoded, Reply why) {
  return decoded.result == BinaryCodec::Result::kRequest &&
         decoded.request.command == &BrokenFrame() && decoded.request.error == why;
}

TEST(BinaryCodecTest, EveryRowSaysWhetherItMayOvertakeReads) {
  EXPECT_EQ(Assigned().size(), 0x24U);  // 00 to 24 without 1f
  for (const uint8_t opcode : Assigned()) {
    const BinarySpec& spec = *FindBinaryCommand(opcode);
    EXPECT_NE(spec.command.Has(kReads), spec.command.Has(kWrites)) << spec.command.word;
    EXPECT_TRUE(spec.command.Has(kBinary)) << spec.command.word;
    EXPECT_FALSE(spec.command.Has(kManyKeys | kMeta)) << spec.command.word;
    EXPECT_NE(spec.command.handler, nullptr) << spec.command.word;
    EXPECT_EQ(spec.command.BlockEnd(), "");
    // A data block is one of a store; the values of others are arguments.
    EXPECT_EQ(spec.command.Has(kStores), spec.Takes(kMayHaveValue) && !spec.Takes(kNeedsWholeBody));
    EXPECT_EQ(spec.command.word.ends_with("Q"), (spec.asks & kAsksQuiet) != 0) << spec.command.word;
  }
}

TEST(BinaryCodecTest, TakesEveryOpcodeAtEverySplit) {
  for (const uint8_t opcode : Assigned()) {
    const std::string bytes = Sample(opcode);
    const BinarySpec& spec = *FindBinaryCommand(opcode);
    const size_t needed = bytes.size() - (spec.command.Has(kStores) ? 5 : 0);
    for (size_t split = 0; split < needed; ++split) {
      const Decoded part = Decode(std::string_view(bytes).substr(0, split));
      EXPECT_EQ(part.result, BinaryCodec::Result::kNeedMore) << spec.command.word << split;
      EXPECT_EQ(part.consumed, 0U);
    }
    for (size_t split = needed; split <= bytes.size(); ++split) {
      const Decoded whole = Decode(std::string_view(bytes).substr(0, split));
      ASSERT_EQ(whole.result, BinaryCodec::Result::kRequest) << spec.command.word << split;
      EXPECT_EQ(whole.request.command, &spec.command);
      EXPECT_EQ(whole.consumed, needed);
      EXPECT_EQ(whole.request.opcode, opcode);
      EXPECT_EQ(whole.request.opaque, 0x0badcafeU);
      EXPECT_EQ(whole.request.Asks(kAsksCompare), false);
      EXPECT_EQ(std::string_view(whole.request.key.bytes), spec.Takes(kNeedsKey) ? "key" : "");
      EXPECT_EQ(whole.request.value_bytes, spec.command.Has(kStores) ? 5U : 0U);
      EXPECT_EQ(whole.request.line, spec.command.word);
    }
  }
}

TEST(BinaryCodecTest, RefusesEveryOtherShape) {
  for (const uint8_t opcode : Assigned()) {
    const BinarySpec& spec = *FindBinaryCommand(opcode);
    BinaryRequest good{.opcode = opcode,
                       .key = spec.Takes(kNeedsKey) ? "key" : "",
                       .extras = std::string(spec.extras_bytes, '\0')};
    BinaryRequest bad = good;
    bad.extras += "x";
    EXPECT_TRUE(IsBroken(Decode(bad.Bytes()), Reply::kBadLine)) << spec.command.word;
    if (spec.extras_bytes > 0) {
      bad = good;
      bad.extras.pop_back();
      EXPECT_TRUE(IsBroken(Decode(bad.Bytes()), Reply::kBadLine)) << spec.command.word;
      bad.extras.clear();
      EXPECT_EQ(IsBroken(Decode(bad.Bytes()), Reply::kBadLine), !spec.Takes(kMayLackExtras));
    }
    bad = good;
    bad.key = spec.Takes(kNeedsKey) ? "" : "k";
    EXPECT_EQ(IsBroken(Decode(bad.Bytes()), Reply::kBadLine), !spec.Takes(kMayHaveKey))
        << spec.command.word;
    bad = good;
    bad.value = "v";
    EXPECT_EQ(IsBroken(Decode(bad.Bytes()), Reply::kBadLine), !spec.Takes(kMayHaveValue))
        << spec.command.word;
  }
}

TEST(BinaryCodecTest, RefusesWhatNoOpcodeTakes) {
  for (const int opcode : {0x00, 0x01, 0x0a, 0x10, 0x1f, 0x21, 0xff}) {
    BinaryRequest bad{.opcode = static_cast<uint8_t>(opcode), .key = std::string(251, 'k')};
    EXPECT_TRUE(IsBroken(Decode(bad.Bytes()), Reply::kBadLine)) << opcode;
    // The header alone says so.
    EXPECT_TRUE(IsBroken(Decode(bad.Bytes().substr(0, kBinaryHeaderBytes)), Reply::kBadLine));
    bad.key = "k";
    bad.body_bytes = kBinaryBodyBytesMax + 1;
    EXPECT_TRUE(IsBroken(Decode(bad.Bytes()), Reply::kBadLine)) << opcode;
    bad.body_bytes = 0;
    EXPECT_TRUE(IsBroken(Decode(bad.Bytes()), Reply::kUnknownCommand)) << opcode;
    bad.body_bytes = UINT32_MAX;
    bad.extras_bytes = UINT8_MAX;
    EXPECT_TRUE(IsBroken(Decode(bad.Bytes()), Reply::kBadLine)) << opcode;
  }
  const std::string longest = Packet(support::kGetOp, std::string(250, 'k'));
  EXPECT_EQ(Decode(longest).request.key.bytes, std::string(250, 'k'));
}

TEST(BinaryCodecTest, ClosesWithoutTheRightMagic) {
  for (const int magic : {0x00, 0x67, 0x7f, 0x81, 0xff}) {
    const BinaryRequest request{.opcode = support::kNoopOp, .magic = static_cast<uint8_t>(magic)};
    EXPECT_EQ(Decode(request.Bytes()).result, BinaryCodec::Result::kClose);
    EXPECT_EQ(Decode(request.Bytes().substr(0, 1)).result, BinaryCodec::Result::kClose);
  }
}

TEST(BinaryCodecTest, LeavesTheBodyOfAnUnknownOpcodeToBeThrownAway) {
  for (const int opcode : {0x1f, 0x25, 0x80, 0xff}) {
    const BinaryRequest request{
        .opcode = static_cast<uint8_t>(opcode), .key = "k", .extras = "1234", .value = "value"};
    const Decoded decoded = Decode(request.Bytes());
    ASSERT_EQ(decoded.result, BinaryCodec::Result::kRequest);
    EXPECT_EQ(decoded.request.command, &UnknownOpcode());
    EXPECT_TRUE(decoded.request.command->Has(kSwallows));
    EXPECT_EQ(decoded.consumed, kBinaryHeaderBytes);
    EXPECT_EQ(decoded.request.value_bytes, 10U);
  }
}

TEST(BinaryCodecTest, ReadsNumbersInNetworkOrder) {
  Request set = Decode(BinaryRequest{.opcode = support::kSetOp,
                                     .key = "k",
                                     .extras = support::StoreExtras(0x01020304, 0xfffffffe),
                                     .value = "v",
                                     .cas = 0x0102030405060708}
                           .Bytes())
                    .request;
  EXPECT_EQ(set.client_flags, 0x01020304U);
  EXPECT_EQ(set.exptime, 0xfffffffe);
  EXPECT_TRUE(set.Asks(kAsksCompare));
  EXPECT_EQ(set.compare_cas, 0x0102030405060708U);
  const auto count = [](uint32_t exptime) {
    return Decode(BinaryRequest{.opcode = support::kDecrementQOp,
                                .key = "k",
                                .extras = support::CountExtras(1ULL << 40U, ~0ULL, exptime)}
                      .Bytes())
        .request;
  };
  EXPECT_EQ(count(7).number, 1ULL << 40U);
  EXPECT_EQ(count(7).initial, ~0ULL);
  EXPECT_EQ(count(7).vivify_exptime, 7);
  EXPECT_TRUE(count(7).Asks(kAsksVivify));
  EXPECT_TRUE(count(0).Asks(kAsksVivify));
  EXPECT_FALSE(count(support::kDoNotMake).Asks(kAsksVivify));
  const BinaryRequest touch{.opcode = support::kTouchOp, .key = "k", .extras = {0, 0, 1, 0}};
  EXPECT_EQ(Decode(touch.Bytes()).request.exptime, 256);
  const BinaryRequest level{.opcode = support::kVerbosityOp, .extras = {0, 0, 0, 2}};
  EXPECT_EQ(Decode(level.Bytes()).request.number, 2U);
}

TEST(BinaryCodecTest, SplitsGroupsOfStatisticsIntoWords) {
  EXPECT_EQ(Decode(Packet(support::kStatOp)).request.argument_count, 0);
  const std::string packet = Packet(support::kStatOp, "  detail  on x y ");
  const Request request = Decode(packet).request;
  ASSERT_EQ(request.argument_count, kArgumentsMax);
  EXPECT_EQ(std::string_view(request.arguments[0]), "detail");
  EXPECT_EQ(std::string_view(request.arguments[1]), "on");
  EXPECT_EQ(std::string_view(request.arguments[2]), "x");
  EXPECT_TRUE(request.key.bytes.empty());
}

TEST(BinaryCodecTest, KeepsCredentialsTogetherUpToTheirLimit) {
  const std::string most(kCredentialsBytesMax, 'p');
  const std::string packet = Packet(support::kSaslAuthOp, "PLAIN", most);
  const Decoded decoded = Decode(packet);
  ASSERT_EQ(decoded.result, BinaryCodec::Result::kRequest);
  EXPECT_EQ(decoded.request.key.bytes, "PLAIN");
  ASSERT_EQ(decoded.request.argument_count, 1);
  EXPECT_EQ(std::string_view(decoded.request.arguments[0]), most);
  EXPECT_EQ(decoded.consumed, packet.size());
  EXPECT_EQ(Decode(packet.substr(0, packet.size() - 1)).result, BinaryCodec::Result::kNeedMore);
  const std::string more = Packet(support::kSaslAuthOp, "PLAIN", most + "p");
  EXPECT_EQ(Decode(more).request.command, &UnknownOpcode());
}

TEST(BinaryCodecTest, GlancesAtTheKey) {
  const std::string packet = Packet(support::kIncrementOp, "key");
  EXPECT_EQ(BinaryCodec::GlanceAtKey(packet), "key");
  EXPECT_EQ(BinaryCodec::GlanceAtKey(packet.substr(0, packet.size() - 1)), "");
  EXPECT_EQ(BinaryCodec::GlanceAtKey(packet.substr(0, 10)), "");
  EXPECT_EQ(BinaryCodec::GlanceAtKey(Packet(support::kNoopOp)), "");
}

TEST(CodecTest, TheFirstByteDecidesForGood) {
  const std::string get = Packet(support::kGetOp, "k");
  std::vector<tiering::Key> keys;
  Request request;
  size_t consumed = 0;
  Codec binary(false, nullptr);
  EXPECT_EQ(binary.GlanceAtKey(get), "k");
  EXPECT_EQ(binary.Decode(get, 8, &keys, &request, &consumed), Codec::Result::kRequest);
  EXPECT_TRUE(request.command->Has(kBinary));
  EXPECT_EQ(binary.Decode("get k\r\n", 8, &keys, &request, &consumed), Codec::Result::kClose);
  Codec text(false, nullptr);
  EXPECT_EQ(text.GlanceAtKey("get k2\r\n"), "k2");
  EXPECT_EQ(text.Decode("get k\r\n", 8, &keys, &request, &consumed), Codec::Result::kRequest);
  EXPECT_FALSE(request.command->Has(kBinary));
  EXPECT_EQ(text.Decode(get + "\n", 8, &keys, &request, &consumed), Codec::Result::kRequest);
  EXPECT_EQ(request.error, Reply::kUnknownCommand);
}

}  // namespace
}  // namespace terraced::server
