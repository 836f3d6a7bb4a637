// BinaryCodec: decodes memcached's binary protocol into Requests, without copying: a header of 24 bytes, extras, key,
// value; numbers in network order. The value of a store command is left to the connection, which reads it into its
// item. What the running memcached 1.6.18 accepts or refuses, this does too; src/README.md says where not.
// Threads: any; it keeps nothing between calls. Ownership: keys and arguments are views of the input.
// Errors: a body that the opcode does not have becomes a Request that is answered and ends the connection; kClose: no
// header. Sizes: header, extras, key and what is no data block are at most kBinaryRequestBytesMax.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/protocol/request.h"
#include "src/protocol/text_codec.h"

namespace terraced::server {

constexpr char kBinaryRequestMagic = '\x80';
constexpr size_t kBinaryHeaderBytes = 24;
// What a client proves itself with: longer ones are nobody's.
constexpr size_t kCredentialsBytesMax = 16U << 10;
constexpr size_t kBinaryRequestBytesMax =
    kBinaryHeaderBytes + UINT8_MAX + kKeyBytesMax + kCredentialsBytesMax;
static_assert(kBinaryRequestBytesMax <= kLineBytesMax, "it has to fit into a read buffer");
// Nobody waits for the end of such a body.
constexpr uint64_t kBinaryBodyBytesMax = 1ULL << 30;

class BinaryCodec {
 public:
  using Result = TextCodec::Result;

  static Result Decode(std::string_view input, Request* request, size_t* consumed);
  // Of a client that has not logged in: a request with nothing to do with that is refused for it, and ends the
  // connection.
  static Result DecodeLocked(std::string_view input, Request* request, size_t* consumed);
  // The key of the first request: for hints, nothing is checked.
  static std::string_view GlanceAtKey(std::string_view input);
};

}  // namespace terraced::server
