// The numbers that incr and decr work on, read as memcached reads them: blanks before and after, a
// plus sign, anything behind the first blank is ignored; a minus sign, an empty value and more than
// 64 bits are refused.
#pragma once

#include <cstdint>
#include <string_view>

namespace terraced::tiering {

bool ParseCounter(std::string_view text, uint64_t* number);

}  // namespace terraced::tiering
