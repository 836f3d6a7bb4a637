// Codec: what a connection speaks: its first byte says so (memcached's rule), unless -B or the listening socket has
// decided before; that is never asked again. Behind that one codec per protocol decodes bytes into Requests. Locked (-S,
// -Y), it lets nothing through but what logs a client in: this is the one place that knows whether a client has.
// Threads: one per connection, used by its worker only. Ownership: as TextCodec. Who puts a copy back can decode a
// Request again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/protocol/binary_codec.h"
#include "src/protocol/login_codec.h"
#include "src/protocol/text_codec.h"
#include "src/server_options.h"

namespace terraced::server {

class Codec {
 public:
  using Result = TextCodec::Result;

  Codec(bool test_commands, DecodedKeys* decoded) : text_(test_commands, decoded) {}

  // Before the first byte. In ASCII a byte 0x80 is text; in binary whatever else comes first ends the connection. One
  // that is locked speaks what its lock says.
  void Speak(BindingProtocol binding) {
    if (protocol_ != Protocol::kUndecided) return;
    if (binding == BindingProtocol::kAscii) protocol_ = Protocol::kText;
    if (binding == BindingProtocol::kBinary) protocol_ = Protocol::kBinary;
  }

  void LockText() { protocol_ = Protocol::kLockedText; }      // to what -Y accepts
  void LockBinary() { protocol_ = Protocol::kLockedBinary; }  // to what -S accepts
  // The client has logged in.
  void Unlock() {
    if (protocol_ == Protocol::kLockedText) protocol_ = Protocol::kText;
    if (protocol_ == Protocol::kLockedBinary) protocol_ = Protocol::kBinary;
  }

  Result Decode(std::string_view input, size_t keys_max, std::vector<tiering::Key>* keys,
                Request* request, size_t* consumed) {
    protocol_ = ProtocolOf(input);
    if (protocol_ == Protocol::kText) {
      return text_.Decode(input, keys_max, keys, request, consumed);
    }
    if (protocol_ == Protocol::kBinary) return BinaryCodec::Decode(input, request, consumed);
    if (protocol_ == Protocol::kLockedBinary) {
      return BinaryCodec::DecodeLocked(input, request, consumed);
    }
    // Undecided it has no input.
    return LoginCodec::Decode(input, request, consumed);
  }

  // The key of the first request of the input: for hints, nothing is checked.
  std::string_view GlanceAtKey(std::string_view input) const {
    return ProtocolOf(input) == Protocol::kBinary ? BinaryCodec::GlanceAtKey(input)
                                                  : TextCodec::GlanceAtKey(input);
  }

 private:
  enum class Protocol : uint8_t { kUndecided, kText, kBinary, kLockedText, kLockedBinary };

  Protocol ProtocolOf(std::string_view input) const {
    if (protocol_ != Protocol::kUndecided || input.empty()) return protocol_;
    return input[0] == kBinaryRequestMagic ? Protocol::kBinary : Protocol::kText;
  }

  TextCodec text_;
  Protocol protocol_ = Protocol::kUndecided;
};

}  // namespace terraced::server
