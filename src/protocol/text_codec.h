// TextCodec: decodes memcached's classic text protocol into Requests, without copying. Whatever memcached
// 1.6.18 accepts or refuses, this does too (protocol.txt and the running server decide; what we left behind
// on purpose is in src/README.md).
// Threads: one per connection, used by its worker only.
// Ownership: keys, arguments and line are views of the input.
// Errors: a line that is no command becomes a Request whose `error` is the answer; kClose where memcached hangs up.
// Sizes: a line ends within kCommandBytesMax unless it is a get or gets; those go on for ever, and from
// kLineBytesMax on they are decoded piece by piece, so no buffer has to hold one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "src/commands/command_table.h"
#include "src/protocol/decoded_keys.h"
#include "src/protocol/request.h"

namespace terraced::server {

// memcached's: more bytes than that without a line end must be a large multi-get.
constexpr size_t kCommandBytesMax = 2048;
constexpr size_t kLineBytesMax = 64U << 10;

class TextCodec {
 public:
  enum class Result : uint8_t {
    kRequest,   // *request is complete; a data block follows if its row says so
    kNeedMore,  // nothing complete in the input
    kClose,     // this is no client of ours
  };

  // `decoded`: where keys in base64 get, see DecodedKeys; who gives it clears it.
  TextCodec(bool test_commands, DecodedKeys* decoded)
      : test_commands_(test_commands), decoded_(decoded) {}

  // Decodes from the beginning of `input` and says in *consumed what is done with, whatever the result.
  // Keys of commands with many are appended to *keys, `keys_max` at most at a time: the rest of the line
  // follows in further Requests of the same command (`more`), the last of which has more == false.
  // Where such a line was left is all that is remembered between calls: who puts a copy of the codec back can
  // decode a Request again.
  Result Decode(std::string_view input, size_t keys_max, std::vector<tiering::Key>* keys,
                Request* request, size_t* consumed);

  // The second word of the input, which is the key of most commands: for hints, nothing is checked.
  static std::string_view GlanceAtKey(std::string_view input);

 private:
  enum class Rest : uint8_t {
    kNone,     // at the beginning of a line
    kKnown,    // in a key list whose line end is known: rest_bytes_ away
    kUnknown,  // in a key list whose line end has not arrived
    kSkip,     // to the end of a line that was refused
  };

  Result DecodeUnfinished(std::string_view input, size_t keys_max, std::vector<tiering::Key>* keys,
                          Request* request, size_t* consumed);
  void DecodeLine(std::string_view line, size_t keys_max, std::vector<tiering::Key>* keys,
                  Request* request, size_t* consumed);
  void DecodeKeyLine(std::string_view line, std::string_view text, size_t keys_max,
                     std::vector<tiering::Key>* keys, Request* request, size_t* consumed);
  Result DecodeKeys(std::string_view input, size_t keys_max, std::vector<tiering::Key>* keys,
                    Request* request, size_t* consumed);

  bool test_commands_;
  DecodedKeys* decoded_;
  Rest rest_ = Rest::kNone;
  size_t rest_bytes_ = 0;
  const CommandSpec* rest_command_ = nullptr;
  int64_t rest_exptime_ = 0;
};

// Numbers as memcached's safe_strtoull and safe_strtoll read them: blanks and a sign before the digits, the
// token's end or a blank after them; false when out of range.
bool ParseUnsigned(std::string_view token, uint64_t* value);
bool ParseSigned(std::string_view token, int64_t* value);
// As its safe_strtod does.
std::optional<double> ParseDecimal(std::string_view token);

}  // namespace terraced::server
