// The binary protocol, decoded only: [piece sizes] [packets, stretched]. The requests must be the same whether the
// packets come whole or in pieces, no request may need more than the codec promises, and none may take bytes of the
// next. Data blocks are stepped over.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "src/commands/binary_table.h"
#include "src/protocol/binary_codec.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/text_pieces.h"

namespace terraced::fuzz {
namespace {

using server::BinaryCodec;
using server::Request;

void CheckView(std::string_view view, std::string_view input) {
  if (view.empty()) return;
  FUZZ_CHECK(view.data() >= input.data());
  FUZZ_CHECK(view.data() + view.size() <= input.data() + input.size());
}

// Decodes packets as a connection does, and writes down what it was told.
class Listener {
 public:
  // False: the connection is over.
  bool Hear(std::string_view piece) {
    // From the heap, without room behind it: reading on is found.
    std::vector<char> bytes(unread_.begin(), unread_.end());
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    bytes.shrink_to_fit();
    std::string_view input(bytes.data(), bytes.size());
    bool open = true;
    while (open) {
      const auto skipped = static_cast<size_t>(std::min<uint64_t>(skip_, input.size()));
      input.remove_prefix(skipped);
      skip_ -= skipped;
      if (skip_ > 0 || input.empty()) break;
      const size_t before = input.size();
      open = DecodeOne(&input);
      if (input.size() == before && skip_ == 0) break;
    }
    unread_ = input;
    return open;
  }
  const std::string& Events() const { return events_; }

 private:
  bool DecodeOne(std::string_view* unread) {
    const std::string_view input = *unread;
    CheckView(BinaryCodec::GlanceAtKey(input), input);
    Request request;
    size_t consumed = 0;
    const BinaryCodec::Result result = BinaryCodec::Decode(input, &request, &consumed);
    FUZZ_CHECK(consumed <= input.size() && consumed <= server::kBinaryRequestBytesMax);
    if (result == BinaryCodec::Result::kNeedMore) {
      FUZZ_CHECK(consumed == 0 && input.size() < server::kBinaryRequestBytesMax);
      return true;
    }
    if (result == BinaryCodec::Result::kClose) {
      FUZZ_CHECK(input[0] != server::kBinaryRequestMagic);
      events_ += "close";
      return false;
    }
    FUZZ_CHECK(consumed >= server::kBinaryHeaderBytes);
    Check(request, input.substr(0, consumed));
    WriteDown(request);
    if (request.command->Has(server::kStores | server::kSwallows)) skip_ = request.value_bytes;
    unread->remove_prefix(consumed);
    return request.command != &server::BrokenFrame();
  }

  static void Check(const Request& request, std::string_view input) {
    FUZZ_CHECK(request.command != nullptr && request.command->Has(server::kBinary));
    FUZZ_CHECK(!request.more && request.key_count == 0);
    FUZZ_CHECK(request.value_bytes <= server::kBinaryBodyBytesMax);
    FUZZ_CHECK(request.key.bytes.size() <= server::kKeyBytesMax);
    CheckView(request.key.bytes, input);
    FUZZ_CHECK(request.argument_count <= server::kArgumentsMax);
    for (uint8_t i = 0; i < request.argument_count; ++i) CheckView(request.arguments[i], input);
    const bool refused = request.command == &server::BrokenFrame();
    // Credentials that are too long are refused and skipped.
    const bool too_long =
        request.command->Has(server::kSwallows) && request.error == server::Reply::kLoginFailed;
    FUZZ_CHECK((refused || too_long) == (request.error != server::Reply::kNone));
  }

  void WriteDown(const Request& request) {
    events_.append(request.command->word).append(request.key.bytes);
    for (const uint64_t number :
         {uint64_t{request.opcode}, uint64_t{request.opaque}, uint64_t{request.client_flags},
          static_cast<uint64_t>(request.exptime), request.value_bytes, request.number,
          static_cast<uint64_t>(request.error), uint64_t{request.asks}}) {
      events_.append(" ").append(std::to_string(number));
    }
    for (uint8_t i = 0; i < request.argument_count; ++i) {
      events_.append(" ").append(std::string_view(request.arguments[i]));
    }
    events_ += "\n";
  }

  std::string unread_;
  uint64_t skip_ = 0;
  std::string events_;
};

void RunBinaryCodec(std::string_view bytes) {
  FuzzInput input(bytes);
  PieceSizes sizes(&input);
  const std::string packets = Stretch(input.Rest());
  Listener in_pieces;
  bool open = true;
  for (size_t at = 0; open && at < packets.size();) {
    const std::string_view piece = std::string_view(packets).substr(at, sizes.Next(packets.size()));
    at += piece.size();
    open = in_pieces.Hear(piece);
  }
  Listener whole;
  FUZZ_CHECK(whole.Hear(packets) == open);
  FUZZ_CHECK(whole.Events() == in_pieces.Events());
}

const FuzzRegistration kRegistration("binary_codec", &RunBinaryCodec);

}  // namespace
}  // namespace terraced::fuzz
