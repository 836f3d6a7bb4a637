// Values of options: from text, checked against their row, into the field; and back to text.
// Threads: plain functions. Errors: a Status whose message quotes the value and says what would be
// right; the caller puts the option's name in front.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/option_table.h"
#include "storage/base/status.h"

namespace terraced::server {

// "64m": the number times its suffix; a plain number times `plain_scale`.
std::optional<uint64_t> ParseBytes(std::string_view text, uint64_t plain_scale);
// The shortest exact form with a suffix: "64m".
std::string FormatBytes(uint64_t bytes);

// For rows that take a value.
Status SetValue(const OptionSpec& spec, std::string_view value, Options* options);
// For switches and counters; `negated`: the no_ form.
void SetSwitch(const OptionSpec& spec, bool negated, Options* options);
// Back to what a default-constructed Options holds (an empty list).
void ResetValue(const OptionSpec& spec, Options* options);

// "a number from 1 to 64".
std::string DescribeValue(const OptionSpec& spec);
// As it would be written in the file; empty for texts and lists that are empty.
std::string FormatValue(const OptionSpec& spec, const Options& options);

}  // namespace terraced::server
