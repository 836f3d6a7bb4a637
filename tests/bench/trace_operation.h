// TraceOperation: one operation of a trace. TraceSource: where operations come from, a text (trace_text.h) or
// a generator (trace_generator.h), one at a time, so that a trace may be longer than memory.
// Threads: one at a time. Ownership: the caller owns the operation, whose key's memory is used again.
// Errors: Next's Status says what is wrong with the source; the trace ends there.
#pragma once

#include <cstdint>
#include <string>

#include "storage/base/status.h"

namespace terraced::bench {

enum class TraceVerb : uint8_t { kGet, kSet, kDelete };

struct TraceOperation {
  TraceVerb verb = TraceVerb::kGet;
  std::string key;
  uint32_t value_bytes = 0;  // of a get: what is set after a miss
  uint32_t ttl_s = 0;        // 0: never expires

  bool operator==(const TraceOperation&) const = default;
};

class TraceSource {
 public:
  virtual ~TraceSource() = default;
  // False: the trace is over.
  virtual Result<bool> Next(TraceOperation* operation) = 0;
};

}  // namespace terraced::bench
