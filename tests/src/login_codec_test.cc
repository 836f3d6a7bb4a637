// What a locked connection decodes: -Y's login, and of the binary protocol what -S lets a stranger say.
#include "src/protocol/login_codec.h"

#include <gtest/gtest.h>

#include <string>

#include "src/protocol/codec.h"
#include "tests/support/binary.h"

namespace terraced::server {
namespace {

using support::Packet;
using Result = LoginCodec::Result;

struct Decoded {
  Result result = Result::kNeedMore;
  Request request;
  size_t consumed = 0;
};

Decoded Decode(std::string_view input) {
  Decoded decoded;
  decoded.result = LoginCodec::Decode(input, &decoded.request, &decoded.consumed);
  return decoded;
}

TEST(LoginCodecTest, TakesUserAndPasswordFromTheValueOfASet) {
  const std::string login = "set a b c 10 d\r\nbob secret\r\n";
  const std::string input = login + "get k\r\n";
  const Decoded decoded = Decode(input);
  ASSERT_EQ(decoded.result, Result::kRequest);
  EXPECT_EQ(decoded.request.command, &LoginCommand());
  EXPECT_EQ(std::string_view(decoded.request.arguments[0]), "bob");
  EXPECT_EQ(std::string_view(decoded.request.arguments[1]), "secret");
  EXPECT_EQ(decoded.consumed, login.size());
}

TEST(LoginCodecTest, WaitsForTheWholeValue) {
  const std::string login = "set a b c 10\r\nbob secret\r\n";
  for (size_t size = 0; size < login.size(); ++size) {
    const Decoded decoded = Decode(std::string_view(login).substr(0, size));
    EXPECT_EQ(decoded.result, Result::kNeedMore) << size;
    EXPECT_EQ(decoded.consumed, 0U);
  }
}

TEST(LoginCodecTest, RefusesALineAtATime) {
  for (const std::string line :
       {"get k\r\n", "\n", "set a b 10\r\n", "set a b c x\r\n", "set a b c -1\r\n",
        "set a b c 4294967296\r\n", "SET a b c 10\r\n", "set\ta b c 10\r\n", "quit\r\n"}) {
    const Decoded decoded = Decode(line + "bob secret\r\n");
    ASSERT_EQ(decoded.result, Result::kRequest) << line;
    EXPECT_EQ(decoded.request.error, Reply::kUnauthenticated) << line;
    EXPECT_EQ(decoded.consumed, line.size());
  }
}

TEST(LoginCodecTest, SaysWhatIsWrongWithTheValue) {
  const auto error = [](const std::string& block) {
    const std::string all = "set a b c " + std::to_string(block.size()) + "\r\n" + block + "\r\n";
    const Decoded decoded = Decode(all);
    EXPECT_EQ(decoded.consumed, all.size());
    return decoded.request.error;
  };
  EXPECT_EQ(error("bob"), Reply::kBadTokenFormat);
  EXPECT_EQ(error("bob "), Reply::kBadTokenFormat);
  EXPECT_EQ(error(""), Reply::kBadTokenFormat);
  EXPECT_EQ(error(std::string("bob\0secret", 10)), Reply::kBadTokenFormat);
  EXPECT_EQ(Decode("set a b c 10\r\nbob secretXXX").request.error, Reply::kBadTermination);
}

TEST(LoginCodecTest, ThrowsAwayAValueThatIsTooLong) {
  const std::string most(kCredentialsBytesMax, 'p');
  const Decoded fits = Decode("set a b c 16384\r\nb " + most.substr(2) + "\r\n");
  EXPECT_EQ(fits.request.command, &LoginCommand());
  const std::string line = "set a b c 16385\r\n";
  const Decoded over = Decode(line + "b");
  ASSERT_EQ(over.result, Result::kRequest);
  EXPECT_EQ(over.request.error, Reply::kLongToken);
  EXPECT_TRUE(over.request.command->Has(kSwallows));
  EXPECT_EQ(over.request.value_bytes, 16'385U);
  EXPECT_EQ(over.consumed, line.size());
}

TEST(LoginCodecTest, HangsUpOnWhoEndsNoLine) {
  EXPECT_EQ(Decode(std::string(kCommandBytesMax, 'a')).result, Result::kNeedMore);
  EXPECT_EQ(Decode(std::string(kCommandBytesMax + 1, 'a')).result, Result::kClose);
  EXPECT_EQ(Decode(std::string(3'000, 'a') + "\n").result, Result::kRequest);
  EXPECT_EQ(Decode(std::string(kLineBytesMax - 1, 'a') + "\n").result, Result::kClose);
}

TEST(LoginCodecTest, ShowsNothingOfTheLine) {
  EXPECT_EQ(Decode("bob secret\r\n").request.line.find("secret"), std::string_view::npos);
  EXPECT_EQ(Decode("set a b c 10\r\nbob secret\r\n").request.line.find("set"),
            std::string_view::npos);
}

TEST(LockedCodecTest, OfTheBinaryProtocolLetsOnlyLoginsAndTheVersionThrough) {
  for (int opcode = 0; opcode <= 0xff; ++opcode) {
    const auto op = static_cast<uint8_t>(opcode);
    const bool open = op == support::kVersionOp || op == support::kSaslListOp ||
                      op == support::kSaslAuthOp || op == support::kSaslStepOp;
    const bool has_key = op == support::kSaslAuthOp || op == support::kSaslStepOp || !open;
    Codec codec(false, nullptr);
    codec.LockBinary();
    codec.Speak(BindingProtocol::kAuto);
    std::vector<tiering::Key> keys;
    Request request;
    size_t consumed = 0;
    ASSERT_EQ(codec.Decode(Packet(op, has_key ? "k" : ""), 8, &keys, &request, &consumed),
              Codec::Result::kRequest);
    EXPECT_EQ(request.error, open ? Reply::kNone : Reply::kUnauthenticated) << opcode;
  }
}

TEST(LockedCodecTest, IsOpenedAndLocked) {
  std::vector<tiering::Key> keys;
  Request request;
  size_t consumed = 0;
  Codec text(false, nullptr);
  text.LockText();
  text.Speak(BindingProtocol::kBinary);
  ASSERT_EQ(text.Decode("version\r\n", 8, &keys, &request, &consumed), Codec::Result::kRequest);
  EXPECT_EQ(request.error, Reply::kUnauthenticated);
  text.Unlock();
  ASSERT_EQ(text.Decode("version\r\n", 8, &keys, &request, &consumed), Codec::Result::kRequest);
  EXPECT_EQ(request.command->verb, Verb::kVersion);
  Codec binary(false, nullptr);
  binary.LockBinary();
  const std::string noop = Packet(support::kNoopOp);
  binary.Unlock();
  ASSERT_EQ(binary.Decode(noop, 8, &keys, &request, &consumed), Codec::Result::kRequest);
  EXPECT_EQ(request.error, Reply::kNone);
  binary.LockBinary();
  ASSERT_EQ(binary.Decode(noop, 8, &keys, &request, &consumed), Codec::Result::kRequest);
  EXPECT_EQ(request.error, Reply::kUnauthenticated);
  EXPECT_EQ(binary.Decode("get k\r\n", 8, &keys, &request, &consumed), Codec::Result::kClose);
}

}  // namespace
}  // namespace terraced::server
