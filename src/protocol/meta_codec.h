// The meta commands of the text protocol: mg ms md ma me mn. What their flags say becomes RequestAsks and numbers of the
// Request; the words themselves stay, since answers follow their order. Source: protocol.txt, "Meta Commands", and the
// running memcached 1.6.18 for every error; E, md's x and ms's N came with later versions.
// Threads: pure functions. Ownership: key and flags are views of the line, or of `decoded` where the key is base64.
#pragma once

#include <string_view>

#include "src/protocol/decoded_keys.h"
#include "src/protocol/request.h"

namespace terraced::server {

// `text` is the line behind the command word; request->command is its row. What is refused has another row
// afterwards, and request->error says why.
void DecodeMetaCommand(std::string_view text, DecodedKeys* decoded, Request* request);

// Flags that change an item do so in their order.
bool FlagStandsBefore(std::string_view flags, char first, char second);

}  // namespace terraced::server
