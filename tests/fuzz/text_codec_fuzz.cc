// The text protocol, decoded only: [control] [keys at a time] [piece sizes] [text, stretched]. The requests must be the
// same whether the text comes whole or in pieces, and however many keys are taken at a time. Data blocks are stepped
// over. The numbers of the protocol are compared with the C library's, which memcached reads them with.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "src/protocol/text_codec.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/text_pieces.h"

namespace terraced::fuzz {
namespace {

using server::Request;
using server::TextCodec;

constexpr size_t kNumberBytesMax = 32;

void CheckView(std::string_view view, std::string_view input) {
  if (view.empty()) return;
  FUZZ_CHECK(view.data() >= input.data());
  FUZZ_CHECK(view.data() + view.size() <= input.data() + input.size());
}

void Append(std::string_view text, std::string* to) {
  to->append(std::to_string(text.size())).append(":").append(text).append(" ");
}

// Decodes a text as a connection does, and writes down what it was told.
class Listener {
 public:
  explicit Listener(bool test_commands, size_t keys_max)
      : codec_(test_commands, &decoded_), keys_max_(keys_max) {}

  // False: the codec has hung up.
  bool Hear(std::string_view piece) {
    // From the heap, without room behind it: reading on is found.
    std::vector<char> bytes(unread_.begin(), unread_.end());
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    bytes.shrink_to_fit();
    std::string_view input(bytes.data(), bytes.size());
    TextCodec::Result result = TextCodec::Result::kRequest;
    while (result == TextCodec::Result::kRequest) {
      const auto skipped = static_cast<size_t>(std::min<uint64_t>(skip_, input.size()));
      input.remove_prefix(skipped);
      skip_ -= skipped;
      result = skip_ > 0 ? TextCodec::Result::kNeedMore : DecodeOne(&input);
    }
    unread_ = input;
    if (result == TextCodec::Result::kClose) events_ += "close";
    return result == TextCodec::Result::kNeedMore;
  }
  size_t Unread() const { return unread_.size(); }
  const std::string& Events() const { return events_; }

 private:
  TextCodec::Result DecodeOne(std::string_view* unread) {
    const std::string_view input = *unread;
    CheckView(TextCodec::GlanceAtKey(input), input);
    TextCodec again = codec_;
    decoded_.Clear();
    std::vector<tiering::Key> keys;
    Request request;
    size_t consumed = 0;
    const TextCodec::Result result = codec_.Decode(input, keys_max_, &keys, &request, &consumed);
    FUZZ_CHECK(consumed <= input.size());
    if (result == TextCodec::Result::kRequest) {
      FUZZ_CHECK(consumed > 0 || request.error != server::Reply::kNone);
      Check(request, keys, input);
      WriteDown(request, keys);
      CheckAgain(&again, input, request, consumed);
      if (request.command->Has(server::kStores | server::kSwallows))
        skip_ = request.value_bytes + 2;
    }
    unread->remove_prefix(consumed);
    return result;
  }

  void Check(const Request& request, const std::vector<tiering::Key>& keys,
             std::string_view input) const {
    FUZZ_CHECK(request.command != nullptr);
    FUZZ_CHECK(request.key_count <= keys_max_);
    FUZZ_CHECK(request.key_begin + request.key_count == keys.size() || keys.empty());
    FUZZ_CHECK(!request.more || request.command->Has(server::kManyKeys));
    FUZZ_CHECK(request.value_bytes <= static_cast<uint64_t>(INT32_MAX) - 2);
    CheckView(request.line, input);
    // One in base64 was decoded to elsewhere.
    if (!request.Asks(server::kAsksBinaryKey)) CheckView(request.key.bytes, input);
    CheckView(request.flags, input);
    FUZZ_CHECK(request.key.bytes.size() <= server::kKeyBytesMax);
    for (const tiering::Key& key : keys) {
      CheckView(key.bytes, input);
      FUZZ_CHECK(!key.bytes.empty() && key.bytes.size() <= server::kKeyBytesMax);
      FUZZ_CHECK(key.bytes.find_first_of(std::string_view(" \n\0", 3)) == std::string_view::npos);
    }
    FUZZ_CHECK(request.argument_count <= server::kArgumentsMax);
    for (uint8_t i = 0; i < request.argument_count; ++i) CheckView(request.arguments[i], input);
  }

  // A codec that was put back decodes the same again: batches count on it.
  void CheckAgain(TextCodec* codec, std::string_view input, const Request& request,
                  size_t consumed) const {
    std::vector<tiering::Key> keys;
    Request twice;
    size_t consumed_twice = 0;
    FUZZ_CHECK(codec->Decode(input, keys_max_, &keys, &twice, &consumed_twice) ==
               TextCodec::Result::kRequest);
    FUZZ_CHECK(twice.command == request.command && consumed_twice == consumed);
    FUZZ_CHECK(twice.key_count == request.key_count && twice.more == request.more);
  }

  void WriteDown(const Request& request, const std::vector<tiering::Key>& keys) {
    if (!in_key_list_) {
      events_ += "\n";
      Append(request.command->word, &events_);
      Append(request.key.bytes, &events_);
      for (const uint64_t number :
           {uint64_t{request.client_flags}, static_cast<uint64_t>(request.exptime),
            request.value_bytes, request.number, static_cast<uint64_t>(request.error),
            uint64_t{request.noreply}}) {
        events_.append(std::to_string(number)).append(" ");
      }
      for (uint8_t i = 0; i < request.argument_count; ++i) Append(request.arguments[i], &events_);
      Append(request.flags, &events_);
      events_.append(std::to_string(request.asks)).append(" ");
    }
    for (const tiering::Key& key : keys) Append(key.bytes, &events_);
    in_key_list_ = request.more;
  }

  server::DecodedKeys decoded_;
  TextCodec codec_;
  const size_t keys_max_;
  std::string unread_;
  uint64_t skip_ = 0;
  bool in_key_list_ = false;
  std::string events_;
};

void CheckNumbers(std::string_view token) {
  if (token.find('\0') != std::string_view::npos) return;  // no line has one
  const std::string text(token);
  char* end = nullptr;
  const auto is_whole = [&] {
    return errno == 0 && end != text.c_str() &&
           (*end == '\0' || *end == ' ' || (*end >= '\t' && *end <= '\r'));
  };
  errno = 0;
  const int64_t signed_value = std::strtoll(text.c_str(), &end, 10);
  const bool signed_good = is_whole();
  int64_t got_signed = 0;
  FUZZ_CHECK(server::ParseSigned(token, &got_signed) == signed_good);
  FUZZ_CHECK(!signed_good || got_signed == signed_value);
  // strtoull negates; what memcached then takes of it is not ours.
  if (text.find('-') != std::string::npos) return;
  errno = 0;
  const uint64_t value = std::strtoull(text.c_str(), &end, 10);
  const bool good = is_whole();
  uint64_t got = 0;
  FUZZ_CHECK(server::ParseUnsigned(token, &got) == good);
  FUZZ_CHECK(!good || got == value);
}

void RunTextCodec(std::string_view bytes) {
  FuzzInput input(bytes);
  const bool test_commands = (input.Byte() & 1U) != 0;
  const size_t keys_max = 1U + input.Byte() % 64U;
  PieceSizes sizes(&input);
  const std::string text = Stretch(input.Rest());
  CheckNumbers(std::string_view(text).substr(0, kNumberBytesMax));

  Listener in_pieces(test_commands, keys_max);
  bool open = true;
  for (size_t at = 0; open && at < text.size();) {
    // As much as a read buffer takes: the codec promises that no line needs more.
    const size_t room = server::kLineBytesMax - std::min(in_pieces.Unread(), server::kLineBytesMax);
    FUZZ_CHECK(room > 0);
    const std::string_view piece =
        std::string_view(text).substr(at, std::min(sizes.Next(text.size()), room));
    at += piece.size();
    open = in_pieces.Hear(piece);
  }
  if (HasLongLine(text)) return;
  Listener whole(test_commands, server::kKeyBytesMax);
  FUZZ_CHECK(whole.Hear(text) == open);
  FUZZ_CHECK(whole.Events() == in_pieces.Events());
}

const FuzzRegistration kRegistration("text_codec", &RunTextCodec);

}  // namespace
}  // namespace terraced::fuzz
