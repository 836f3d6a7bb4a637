#include "tests/bench/trace_config.h"

#include <array>
#include <charconv>
#include <string>
#include <variant>

#include "tests/bench/trace_text.h"

namespace terraced::bench {
namespace {

using Member = std::variant<uint64_t TraceConfig::*, uint32_t TraceConfig::*, double TraceConfig::*,
                            std::vector<Weighted> TraceConfig::*>;

struct Row {
  std::string_view name;
  Member member;
  double min;  // of a list, each value's
  double max;
};

constexpr double kCountMax = 1e12;
constexpr double kKeysMax = 4e9;  // the table of popular ranks is in memory

constexpr auto kRows = std::to_array<Row>({
    {"seed", &TraceConfig::seed, 0, kCountMax},
    {"operations", &TraceConfig::operations, 1, kCountMax},
    {"warmup", &TraceConfig::warmup, 0, kCountMax},
    {"keys", &TraceConfig::keys, 1, kKeysMax},
    {"zipf_theta", &TraceConfig::zipf_theta, 0, 5},
    {"popular_share", &TraceConfig::popular_share, 0, 1},
    {"churn_per_million", &TraceConfig::churn_per_million, 0, 1000},
    {"scan_every", &TraceConfig::scan_every, 0, kCountMax},
    {"scan_length", &TraceConfig::scan_length, 1, kCountMax},
    {"set_share", &TraceConfig::set_share, 0, 1},
    {"delete_share", &TraceConfig::delete_share, 0, 1},
    {"key_bytes", &TraceConfig::key_bytes, 13, kTraceKeyBytesMax},
    {"value_sizes", &TraceConfig::value_sizes, 0, kTraceValueBytesMax},
    {"value_median", &TraceConfig::value_median, 1, kTraceValueBytesMax},
    {"value_sigma", &TraceConfig::value_sigma, 0, 5},
    {"value_max", &TraceConfig::value_max, 1, kTraceValueBytesMax},
    {"ttls", &TraceConfig::ttls, 0, kTraceTtlMax},
    {"ram_mb", &TraceConfig::ram_mb, 1, 1e6},
    {"flash_mb", &TraceConfig::flash_mb, 1, 1e9},
});

Status Wrong(std::string_view what) {
  return Status(StatusCode::kInvalidArgument, std::string(what));
}

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Up to the separator, which goes too.
std::string_view TakeUpTo(char separator, std::string_view* text) {
  const size_t at = text->find(separator);
  const std::string_view taken = text->substr(0, at);
  text->remove_prefix(at == std::string_view::npos ? text->size() : at + 1);
  return taken;
}

template <typename T>
Status Read(std::string_view text, const Row& row, T* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Wrong("'" + std::string(text) + "' is not a number");
  }
  const auto value = static_cast<double>(*number);
  if (!(value >= row.min && value <= row.max)) {
    return Wrong("is to be from " + std::to_string(row.min) + " to " + std::to_string(row.max));
  }
  return Status();
}

Status Read(std::string_view text, const Row& row, std::vector<Weighted>* list) {
  constexpr Row kWeight = {"weight", &TraceConfig::value_median, 0, 1e9};
  list->clear();
  double sum = 0;
  while (!text.empty()) {
    std::string_view part = TakeUpTo(',', &text);
    Weighted weighted;
    TERRACED_RETURN_IF_ERROR(Read(Trimmed(TakeUpTo(':', &part)), row, &weighted.value));
    TERRACED_RETURN_IF_ERROR(Read(Trimmed(part), kWeight, &weighted.weight));
    sum += weighted.weight;
    list->push_back(weighted);
  }
  return sum > 0 ? Status() : Wrong("needs value:weight,... with a weight over 0");
}

Status ReadLine(std::string_view line, TraceConfig* config) {
  const std::string_view name = Trimmed(TakeUpTo('=', &line));
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    const std::string_view value = Trimmed(line);
    return std::visit([&](auto member) { return Read(value, row, &(config->*member)); }, row.member)
        .WithContext(name);
  }
  return Wrong("there is no parameter '" + std::string(name) + "'");
}

Status CheckTogether(const TraceConfig& config) {
  if (config.warmup >= config.operations) return Wrong("warmup leaves no operations to count");
  if (config.set_share + config.delete_share > 1) return Wrong("set and delete shares exceed 1");
  return Status();
}

}  // namespace

Result<TraceConfig> ParseTraceConfig(std::string_view text) {
  TraceConfig config;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = TakeUpTo('\n', &text);
    line = Trimmed(TakeUpTo('#', &line));
    if (line.empty()) continue;
    const Status status = ReadLine(line, &config);
    if (!status.ok()) return status.WithContext("line " + std::to_string(number));
  }
  TERRACED_RETURN_IF_ERROR(CheckTogether(config));
  return config;
}

}  // namespace terraced::bench
