// Recorded traces and the files that generated ones are made from: [control] [text]. An operation that is read must be
// the same when it was written and read again.
#include <sstream>
#include <string>

#include "tests/bench/trace_config.h"
#include "tests/bench/trace_text.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"

namespace terraced::fuzz {
namespace {

using bench::TraceOperation;

void CheckOperation(const TraceOperation& operation) {
  FUZZ_CHECK(!operation.key.empty() && operation.key.size() <= bench::kTraceKeyBytesMax);
  FUZZ_CHECK(operation.value_bytes <= bench::kTraceValueBytesMax);
  FUZZ_CHECK(operation.ttl_s <= bench::kTraceTtlMax);
  std::string line;
  bench::AppendTraceLine(operation, &line);
  FUZZ_CHECK(line.ends_with('\n'));
  line.pop_back();
  TraceOperation again;
  const Result<bool> read = bench::ParseTraceLine(line, &again);
  FUZZ_CHECK(read.ok() && read.value() && again == operation);
}

void CheckTrace(std::string_view text) {
  std::istringstream stream{std::string(text)};
  bench::TraceReader reader(stream);
  while (true) {
    TraceOperation operation;
    const Result<bool> read = reader.Next(&operation);
    if (!read.ok() || !read.value()) return;
    CheckOperation(operation);
  }
}

void RunTrace(std::string_view bytes) {
  FuzzInput input(bytes);
  if ((input.Byte() & 1U) != 0) {
    const Result<bench::TraceConfig> config = bench::ParseTraceConfig(input.Rest());
    FUZZ_CHECK(config.ok() || config.status().code() == StatusCode::kInvalidArgument);
    return;
  }
  CheckTrace(input.Rest());
}

const FuzzRegistration kRegistration("trace", &RunTrace);

}  // namespace
}  // namespace terraced::fuzz
