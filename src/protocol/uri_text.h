// Keys in what is listed line by line (dumps, watchers): as memcached encodes them, by RFC 3986, section 2.1, with all but
// the unreserved characters of section 2.3 as % and two capital hexadecimal digits.
// Threads: pure function. Errors: none.
#pragma once

#include <string>
#include <string_view>

namespace terraced::server {

void AppendUriEncoded(std::string_view bytes, std::string* to);

}  // namespace terraced::server
