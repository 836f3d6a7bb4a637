// One option's value: [row] [value], through the row as the command line reads it and as `extstore` changes it while
// the daemon runs. What a row takes must lie within its bounds, and must be the same when it is written and read again.
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <variant>

#include "src/net/address.h"
#include "src/option_change.h"
#include "src/option_table.h"
#include "src/option_value.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"

namespace terraced::fuzz {
namespace {

using server::OptionKind;
using server::Options;
using server::OptionSpec;

bool HasBounds(const OptionSpec& spec) {
  return spec.kind == OptionKind::kNumber || spec.kind == OptionKind::kBytes ||
         spec.kind == OptionKind::kFraction;
}

void CheckBounds(const OptionSpec& spec, Options* options) {
  if (!HasBounds(spec)) return;
  std::visit(
      [&spec](auto field) {
        using Target = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_arithmetic_v<Target>) {
          FUZZ_CHECK(static_cast<double>(*field) >= spec.bounds.min);
          FUZZ_CHECK(static_cast<double>(*field) <= spec.bounds.max);
        }
      },
      spec.field(*options));
}

// A switch is written as a name, a list adds to what was there: neither is read back from what it was written as.
bool ReadsBack(const OptionSpec& spec) {
  return HasBounds(spec) || spec.kind == OptionKind::kChoice || spec.kind == OptionKind::kText ||
         spec.kind == OptionKind::kChunkSizes;
}

void CheckRow(const OptionSpec& spec, std::string_view value) {
  if (spec.field == nullptr) return;
  Options options;
  const Status status = server::SetValue(spec, value, &options);
  if (!status.ok()) {
    FUZZ_CHECK(status.code() == StatusCode::kInvalidArgument);
    // A text may hold anything; a message stays one line.
    FUZZ_CHECK(status.message().find('\n') == std::string_view::npos);
    return;
  }
  CheckBounds(spec, &options);
  const std::string written = server::FormatValue(spec, options);
  if (ReadsBack(spec)) {
    Options again;
    FUZZ_CHECK(server::SetValue(spec, written, &again).ok());
    FUZZ_CHECK(server::FormatValue(spec, again) == written);
  }
  server::ResetValue(spec, &options);
  FUZZ_CHECK(server::FormatValue(spec, options) == server::FormatValue(spec, Options()));
}

void CheckChange(const OptionSpec& spec, std::string_view value) {
  Options options;
  const bool found = server::ChangeOption(spec.name, value, &options).ok();
  if (!found) {
    // A refusal changes nothing.
    if (spec.field == nullptr) return;
    FUZZ_CHECK(server::FormatValue(spec, options) == server::FormatValue(spec, Options()));
    return;
  }
  FUZZ_CHECK(spec.Has(server::kLive));
  FUZZ_CHECK(server::CheckLiveOptions(options).ok());
  CheckBounds(spec, &options);
  // memcached's name for the same thing, and what the value means as a name of its own.
  if (!spec.also.empty()) static_cast<void>(server::ChangeOption(spec.also, value, &options).ok());
}

void CheckTexts(std::string_view text) {
  const std::optional<uint64_t> bytes = server::ParseBytes(text, 1);
  if (bytes.has_value()) {
    FUZZ_CHECK(server::ParseBytes(server::FormatBytes(*bytes), 1) == bytes);
  }
  const Result<server::ListenAddress> address = server::ParseListenAddress(text, 11211);
  FUZZ_CHECK(!address.ok() || (address.value().port >= -1 && address.value().port <= 65535));
  Options options;
  static_cast<void>(server::ChangeOption(text.substr(0, text.find(' ')), "1", &options).ok());
}

void RunOptionValue(std::string_view bytes) {
  FuzzInput input(bytes);
  const std::span<const OptionSpec> rows = server::OptionTable();
  const OptionSpec& spec = rows[input.Byte() % rows.size()];
  const std::string value(input.Rest());
  CheckRow(spec, value);
  CheckChange(spec, value);
  CheckTexts(value);
}

const FuzzRegistration kRegistration("option_value", &RunOptionValue);

}  // namespace
}  // namespace terraced::fuzz
