// The values of a replayed trace: half of a value is random, made from its key and its size, and half is one
// byte repeated, so that it compresses to about half. A server that mixes up keys, or parts of values, is noticed.
// Threads: pure functions. Errors: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace terraced::bench {

// The same in every process.
uint64_t TraceKeyHash(std::string_view key);
void AppendTraceValue(uint64_t key_hash, size_t bytes, std::string* text);
bool IsTraceValue(uint64_t key_hash, std::string_view value);

}  // namespace terraced::bench
