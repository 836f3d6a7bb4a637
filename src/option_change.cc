#include "src/option_change.h"

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "src/option_value.h"
#include "src/protocol/text_codec.h"

namespace terraced::server {
namespace {

constexpr std::string_view kExtstorePrefix = "ext_";

Status Unknown(std::string_view what) {
  return Status(StatusCode::kNotFound, std::string(what));
}

// As our rows read it; nothing where memcached does not read it at all. It takes what strtoull or strtod take.
std::optional<std::string> MemcachedNumber(const OptionSpec& spec, std::string_view value) {
  if (spec.kind != OptionKind::kFraction) {
    uint64_t number = 0;
    if (!ParseUnsigned(value, &number)) return std::nullopt;
    return std::to_string(number);
  }
  const std::string text(value);
  char* end = nullptr;
  errno = 0;
  const double number = std::strtod(text.c_str(), &end);
  const bool whole = *end == '\0' || std::isspace(static_cast<unsigned char>(*end)) != 0;
  if (errno == ERANGE || end == text.c_str() || !whole) return std::nullopt;
  return std::to_string(number);
}

Status Apply(const OptionSpec& spec, std::string_view value, Options* options) {
  Options changed = *options;
  TERRACED_RETURN_IF_ERROR(SetValue(spec, value, &changed));
  if (spec.after != nullptr) TERRACED_RETURN_IF_ERROR(spec.after(changed));
  TERRACED_RETURN_IF_ERROR(CheckLiveOptions(changed));
  *options = std::move(changed);
  return Status();
}

// extstore's own names take its numbers, without units.
Status ChangeAsExtstore(std::string_view name, std::string_view value, Options* options) {
  const std::string row_name = std::string(kExtstorePrefix) + std::string(name);
  const OptionSpec* const spec = FindByName(row_name, true);
  if (spec == nullptr || !spec->Has(kLive) || spec->name != row_name) {
    return Unknown("no such setting");
  }
  const std::optional<std::string> number = MemcachedNumber(*spec, value);
  if (!number.has_value()) return Unknown("not a number");
  if (spec->Has(kNoEffect)) return Status();
  return Apply(*spec, *number, options);
}

}  // namespace

Status ChangeOption(std::string_view name, std::string_view value, Options* options) {
  const OptionSpec* const spec = FindByName(name, true);
  const bool is_ours = spec != nullptr && spec->Has(kLive) && spec->IsDocumented();
  const Status status = is_ours && spec->name == name ? Apply(*spec, value, options)
                                                      : ChangeAsExtstore(name, value, options);
  return status.WithContext(name);
}

std::string ChangeSpelling(const OptionSpec& spec) {
  const std::string_view value = spec.TakesValue() ? spec.value : "<yes or no>";
  return "extstore " + std::string(spec.name) + " " + std::string(value);
}

}  // namespace terraced::server
