// The text form of a trace: one operation a line, words with single blanks between them,
//
//   get <key> <value bytes> [<ttl>]     after a miss the key is set, with a value of that size
//   set <key> <value bytes> [<ttl>]
//   delete <key>
//
// in the order in which they happened. A key is 1 to 250 bytes without blanks and control characters, as in
// memcached's text protocol; a size is at most kTraceValueBytesMax; a TTL is in seconds from the moment of the set, 0
// or nothing for never. Empty lines and lines that begin with '#' are passed over. Values are not part of a trace.
// Threads: one at a time. Ownership: TraceReader borrows the stream, and reads it as it goes.
// Errors: a line that is none of these ends the trace with kInvalidArgument and the line's number.
#pragma once

#include <istream>
#include <string>
#include <string_view>

#include "tests/bench/trace_operation.h"

namespace terraced::bench {

constexpr uint32_t kTraceValueBytesMax = 1'000'000;  // what a server takes without -I
constexpr size_t kTraceKeyBytesMax = 250;
constexpr uint32_t kTraceTtlMax = 30 * 24 * 3600;  // more would be a date

// False: an empty line or a comment.
Result<bool> ParseTraceLine(std::string_view line, TraceOperation* operation);
// With its line end.
void AppendTraceLine(const TraceOperation& operation, std::string* text);

class TraceReader : public TraceSource {
 public:
  explicit TraceReader(std::istream& input) : input_(input) {}
  Result<bool> Next(TraceOperation* operation) override;

 private:
  std::string Where() const { return "line " + std::to_string(line_number_); }

  std::istream& input_;
  uint64_t line_number_ = 0;
};

}  // namespace terraced::bench
