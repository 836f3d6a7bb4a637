// LoginCodec: what a connection understands before its client has logged in with -Y: lines, of which only
// `set <any> <any> <any> <bytes>` means something. Its data block, `user password`, becomes a Request of LoginCommand().
// Threads: any; it keeps nothing between calls. Ownership: user and password are views of the input.
// Errors: as TextCodec: the answer is in the Request; kClose where kCommandBytesMax have come without a line end.
// Sizes: line and credentials (kCredentialsBytesMax) fit into a read buffer, or the connection is closed.
#pragma once

#include <cstddef>
#include <string_view>

#include "src/protocol/request.h"
#include "src/protocol/text_codec.h"

namespace terraced::server {

class LoginCodec {
 public:
  using Result = TextCodec::Result;

  // Nothing of the input is in request->line: nobody should find a password in a log.
  static Result Decode(std::string_view input, Request* request, size_t* consumed);
};

}  // namespace terraced::server
