// Codec: what a connection speaks: its first byte says so (memcached's rule), unless -B or the listening socket has
// decided before. Behind that one codec per protocol decodes bytes into Requests.
// Threads: one per connection, used by its worker only. Ownership: as TextCodec. Who puts a copy back can decode a
// Request again.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "src/protocol/text_codec.h"

namespace terraced::server {

class Codec {
 public:
  using Result = TextCodec::Result;

  Codec(bool test_commands, DecodedKeys* decoded) : text_(test_commands, decoded) {}

  Result Decode(std::string_view input, size_t keys_max, std::vector<tiering::Key>* keys,
                Request* request, size_t* consumed) {
    return text_.Decode(input, keys_max, keys, request, consumed);
  }

  // The key of the first request of the input: for hints, nothing is checked.
  std::string_view GlanceAtKey(std::string_view input) const {
    return TextCodec::GlanceAtKey(input);
  }

 private:
  TextCodec text_;
};

}  // namespace terraced::server
