#include "src/option_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <type_traits>
#include <utility>

namespace terraced::server {
namespace {

constexpr std::string_view kSuffixes = "kmgt";  // each 1024 times the one before

Status Refuse(const OptionSpec& spec, std::string_view value, std::string_view why) {
  std::string quoted(value.substr(0, 100));
  for (char& c : quoted) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';  // an error stays one line
  }
  return Status(StatusCode::kInvalidArgument,
                "'" + quoted + "' " + std::string(why) + ": give " + DescribeValue(spec));
}

std::string FormatNumber(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.15g", value);
  return text.data();
}

// A size as the operator would write it: in the row's own unit where it is whole, else with a
// suffix.
std::string FormatScaled(const OptionSpec& spec, uint64_t bytes) {
  if (spec.bounds.scale > 1 && bytes % spec.bounds.scale == 0)
    return std::to_string(bytes / spec.bounds.scale);
  return FormatBytes(bytes);
}

// Stores a whole number that is known to fit between the row's bounds.
void StoreWhole(const Field& field, int64_t number) {
  std::visit(
      [number](auto target) {
        using Target = std::remove_pointer_t<decltype(target)>;
        if constexpr (std::is_integral_v<Target> && !std::is_same_v<Target, bool>) {
          TERRACED_CHECK(std::in_range<Target>(number));  // the table's bounds fit its fields
          *target = static_cast<Target>(number);
        } else {
          TERRACED_CHECK(false);
        }
      },
      field);
}

Status SetWhole(const OptionSpec& spec, std::string_view value, Options* options) {
  int64_t number = 0;
  if (spec.kind == OptionKind::kBytes) {
    const std::optional<uint64_t> bytes = ParseBytes(value, spec.bounds.scale);
    if (!bytes.has_value()) return Refuse(spec, value, "is not a size");
    if (static_cast<double>(*bytes) > spec.bounds.max) return Refuse(spec, value, "is too much");
    number = static_cast<int64_t>(*bytes);
  } else {
    const char* const end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, number);
    if (error == std::errc::result_out_of_range) return Refuse(spec, value, "is out of range");
    if (error != std::errc() || stop != end) return Refuse(spec, value, "is not a number");
    if (static_cast<double>(number) > spec.bounds.max) return Refuse(spec, value, "is too much");
  }
  if (static_cast<double>(number) < spec.bounds.min) return Refuse(spec, value, "is too little");
  StoreWhole(spec.field(*options), number);
  return Status();
}

Status SetFraction(const OptionSpec& spec, std::string_view value, Options* options) {
  double number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number, std::chars_format::fixed);
  if (error != std::errc() || stop != end || !std::isfinite(number)) {
    return Refuse(spec, value, "is not a number");
  }
  if (number < spec.bounds.min) return Refuse(spec, value, "is too little");
  if (number > spec.bounds.max) return Refuse(spec, value, "is too much");
  *std::get<double*>(spec.field(*options)) = number;
  return Status();
}

bool IsOneOf(std::string_view choices, std::string_view value) {
  while (!choices.empty()) {
    const size_t comma = std::min(choices.find(','), choices.size());
    if (choices.substr(0, comma) == value) return true;
    choices.remove_prefix(std::min(comma + 1, choices.size()));
  }
  return false;
}

Status SetText(const OptionSpec& spec, std::string_view value, Options* options) {
  if (value.empty()) return Refuse(spec, value, "is nothing");
  if (spec.kind == OptionKind::kChoice && !IsOneOf(spec.choices, value)) {
    return Refuse(spec, value, "is unknown");
  }
  std::get<std::string*>(spec.field(*options))->assign(value);
  return Status();
}

Status SetList(const OptionSpec& spec, std::string_view value, Options* options) {
  auto* const list = std::get<std::vector<std::string>*>(spec.field(*options));
  std::string_view rest = value;
  for (;;) {
    const size_t stop = std::min(rest.find_first_of(",;"), rest.size());
    if (stop == 0) return Refuse(spec, value, "holds nothing between two separators");
    list->emplace_back(rest.substr(0, stop));
    if (stop == rest.size()) return Status();
    rest.remove_prefix(stop + 1);
  }
}

Status SetChunkSizes(const OptionSpec& spec, std::string_view value, Options* options) {
  std::vector<uint32_t> sizes;
  std::string_view rest = value;
  for (;;) {
    const size_t stop = std::min(rest.find('-'), rest.size());
    const std::optional<uint64_t> bytes = ParseBytes(rest.substr(0, stop), 1);
    if (!bytes.has_value()) return Refuse(spec, value, "is not a list of sizes");
    if (*bytes > std::numeric_limits<uint32_t>::max()) return Refuse(spec, value, "is too much");
    sizes.push_back(static_cast<uint32_t>(*bytes));
    if (stop == rest.size()) break;
    rest.remove_prefix(stop + 1);
  }
  *std::get<std::vector<uint32_t>*>(spec.field(*options)) = std::move(sizes);
  return Status();
}

Status SetSwitchFromText(const OptionSpec& spec, std::string_view value, Options* options) {
  if (IsOneOf("yes,on,true,1", value)) {
    SetSwitch(spec, false, options);
    return Status();
  }
  if (IsOneOf("no,off,false,0", value)) {
    SetSwitch(spec, true, options);
    return Status();
  }
  return Refuse(spec, value, "is neither yes nor no");
}

std::string ListChoices(std::string_view choices) {
  std::string text;
  for (const char c : choices) {
    text += c;
    if (c == ',') text += ' ';
  }
  return text;
}

std::string JoinNumbers(const std::vector<uint32_t>& values) {
  std::string text;
  for (const uint32_t value : values) {
    if (!text.empty()) text += '-';
    text += std::to_string(value);
  }
  return text;
}

std::string JoinTexts(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) {
    if (!text.empty()) text += ',';
    text += value;
  }
  return text;
}

}  // namespace

std::optional<uint64_t> ParseBytes(std::string_view text, uint64_t plain_scale) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || end - stop > 1) return std::nullopt;
  uint64_t scale = plain_scale;
  if (stop != end) {
    const char lower = static_cast<char>(*stop | 0x20);
    const size_t power = kSuffixes.find(lower);
    if (power == std::string_view::npos) return std::nullopt;
    scale = 1024ULL << (10 * power);
  }
  uint64_t bytes = 0;
  // A size beyond 63 bits is no size that any row could take: the largest stands for it.
  if (__builtin_mul_overflow(number, scale, &bytes) || bytes > (1ULL << 62)) return 1ULL << 62;
  return bytes;
}

std::string FormatBytes(uint64_t bytes) {
  size_t power = 0;
  while (bytes != 0 && bytes % 1024 == 0 && power < kSuffixes.size()) {
    bytes /= 1024;
    ++power;
  }
  std::string text = std::to_string(bytes);
  if (power > 0) text += kSuffixes[power - 1];
  return text;
}

Status SetValue(const OptionSpec& spec, std::string_view value, Options* options) {
  switch (spec.kind) {
    case OptionKind::kNumber:
    case OptionKind::kBytes:
      return SetWhole(spec, value, options);
    case OptionKind::kFraction:
      return SetFraction(spec, value, options);
    case OptionKind::kText:
    case OptionKind::kChoice:
      return SetText(spec, value, options);
    case OptionKind::kList:
      return SetList(spec, value, options);
    case OptionKind::kChunkSizes:
      return SetChunkSizes(spec, value, options);
    case OptionKind::kSwitch:
      return SetSwitchFromText(spec, value, options);
    case OptionKind::kCounter:
    case OptionKind::kSuboptions:
    case OptionKind::kAction:
      break;
  }
  return Status(StatusCode::kInvalidArgument, "takes no value");
}

void SetSwitch(const OptionSpec& spec, bool negated, Options* options) {
  const Field field = spec.field(*options);
  if (spec.kind == OptionKind::kCounter) {
    ++*std::get<int*>(field);
    return;
  }
  *std::get<bool*>(field) = spec.Has(kClears) == negated;
}

void ResetValue(const OptionSpec& spec, Options* options) {
  Options defaults;
  const Field from = spec.field(defaults);
  std::visit(
      [&from](auto target) {
        if constexpr (!std::is_same_v<decltype(target), std::monostate>) {
          *target = *std::get<decltype(target)>(from);
        }
      },
      spec.field(*options));
}

std::string DescribeValue(const OptionSpec& spec) {
  switch (spec.kind) {
    case OptionKind::kNumber:
    case OptionKind::kFraction:
      return "a number from " + FormatNumber(spec.bounds.min) + " to " +
             FormatNumber(spec.bounds.max);
    case OptionKind::kBytes: {
      std::string_view plain = "bytes";
      if (spec.bounds.scale == 1ULL << 10) plain = "kilobytes";
      if (spec.bounds.scale == 1ULL << 20) plain = "megabytes";
      return std::string(plain) + ", or a size with k, m, g or t, from " +
             FormatBytes(static_cast<uint64_t>(spec.bounds.min)) + " to " +
             FormatBytes(static_cast<uint64_t>(spec.bounds.max));
    }
    case OptionKind::kChoice:
      return "one of " + ListChoices(spec.choices);
    case OptionKind::kList:
      return std::string(spec.value) + ", several separated by commas";
    case OptionKind::kChunkSizes:
      return "chunk sizes in bytes, ascending, as in 96-192-384";
    case OptionKind::kSwitch:
      return "yes or no";
    case OptionKind::kText:
      return std::string(spec.value);
    case OptionKind::kSuboptions:
      return "name=value,name,...";
    case OptionKind::kCounter:
    case OptionKind::kAction:
      break;
  }
  return "no value";
}

std::string FormatValue(const OptionSpec& spec, const Options& options) {
  // The accessor wants a changeable Options because the parser shares it; nothing is written here.
  const Field field = spec.field(const_cast<Options&>(options));
  return std::visit(
      [&spec](auto value) -> std::string {
        using Target = std::remove_pointer_t<decltype(value)>;
        if constexpr (std::is_same_v<Target, std::monostate>) {
          return "";
        } else if constexpr (std::is_same_v<Target, bool>) {
          return *value ? "yes" : "no";
        } else if constexpr (std::is_same_v<Target, double>) {
          return FormatNumber(*value);
        } else if constexpr (std::is_integral_v<Target>) {
          if (spec.kind == OptionKind::kBytes) {
            return FormatScaled(spec, static_cast<uint64_t>(*value));
          }
          return std::to_string(*value);
        } else if constexpr (std::is_same_v<Target, std::string>) {
          return *value;
        } else if constexpr (std::is_same_v<Target, std::vector<std::string>>) {
          return JoinTexts(*value);
        } else {
          return JoinNumbers(*value);
        }
      },
      field);
}

}  // namespace terraced::server
