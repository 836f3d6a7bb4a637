// The lines of `lru_crawler metadump` and `mgdump`. Those of metadump are memcached's 1.6.18: "key= exp= la= cas= fetch=
// cls= size=", the key URI-encoded, ended by a bare line feed; of a key on flash "ext_page=" follows with the serial of
// its batch. mgdump, of later versions, has a meta get for each key.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "tiering/administration.h"

namespace terraced::server {

// All lines of the piece, and after the last piece the line that ends the dump.
std::string DumpText(const tiering::DumpPiece& piece);

}  // namespace terraced::server
