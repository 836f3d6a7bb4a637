#include "tests/bench/load_shape.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <variant>

namespace terraced::bench {
namespace {

using Field = std::variant<uint32_t*, uint64_t*, double*, bool*, Work*, KeyChoice*>;

struct Word {
  std::string_view name;
  Field (*field)(LoadShape& shape);
};

constexpr Word kWords[] = {
    {"port", [](LoadShape& s) -> Field { return &s.port; }},
    {"work", [](LoadShape& s) -> Field { return &s.work; }},
    {"choice", [](LoadShape& s) -> Field { return &s.choice; }},
    {"connections", [](LoadShape& s) -> Field { return &s.connections; }},
    {"idle_connections", [](LoadShape& s) -> Field { return &s.idle_connections; }},
    {"batch", [](LoadShape& s) -> Field { return &s.batch; }},
    {"keys_per_get", [](LoadShape& s) -> Field { return &s.keys_per_get; }},
    {"get_pct", [](LoadShape& s) -> Field { return &s.get_pct; }},
    {"keys", [](LoadShape& s) -> Field { return &s.keys; }},
    {"first_key", [](LoadShape& s) -> Field { return &s.first_key; }},
    {"zipf_theta", [](LoadShape& s) -> Field { return &s.zipf_theta; }},
    {"value_bytes", [](LoadShape& s) -> Field { return &s.value_bytes; }},
    {"compressible", [](LoadShape& s) -> Field { return &s.compressible; }},
    {"seconds", [](LoadShape& s) -> Field { return &s.seconds; }},
    {"operations", [](LoadShape& s) -> Field { return &s.operations; }},
    {"rate", [](LoadShape& s) -> Field { return &s.rate; }},
    {"set_mb_s", [](LoadShape& s) -> Field { return &s.set_mb_s; }},
    {"set_first_key", [](LoadShape& s) -> Field { return &s.set_first_key; }},
    {"set_value_bytes", [](LoadShape& s) -> Field { return &s.set_value_bytes; }},
    {"seed", [](LoadShape& s) -> Field { return &s.seed; }},
};

constexpr std::pair<std::string_view, Work> kWorks[] = {
    {"get", Work::kGet},   {"set", Work::kSet},     {"mix", Work::kMix},
    {"fill", Work::kFill}, {"sweep", Work::kSweep}, {"open", Work::kOpen}};
constexpr std::pair<std::string_view, KeyChoice> kChoices[] = {
    {"uniform", KeyChoice::kUniform}, {"zipf", KeyChoice::kZipf}, {"scan", KeyChoice::kScan}};

template <typename Number>
bool SetNumber(std::string_view text, Number* field) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *field);
  return error == std::errc() && end == text.data() + text.size();
}

template <typename Named, typename Value>
bool SetNamed(const Named& names, std::string_view text, Value* field) {
  for (const auto& [name, value] : names) {
    if (name != text) continue;
    *field = value;
    return true;
  }
  return false;
}

bool SetField(const Field& field, std::string_view text) {
  return std::visit(
      [text](auto* place) {
        using Place = std::remove_pointer_t<decltype(place)>;
        if constexpr (std::is_same_v<Place, Work>) {
          return SetNamed(kWorks, text, place);
        } else if constexpr (std::is_same_v<Place, KeyChoice>) {
          return SetNamed(kChoices, text, place);
        } else if constexpr (std::is_same_v<Place, bool>) {
          *place = text == "1";
          return text == "0" || text == "1";
        } else {
          return SetNumber(text, place);
        }
      },
      field);
}

}  // namespace

Result<LoadShape> LoadShape::Parse(int count, const char* const* words) {
  LoadShape shape;
  for (int i = 0; i < count; ++i) {
    const std::string_view text = words[i];
    const size_t equals = std::min(text.find('='), text.size());
    const std::string_view name = text.substr(0, equals);
    const Word* const word = std::find_if(std::begin(kWords), std::end(kWords),
                                          [name](const Word& w) { return w.name == name; });
    if (word == std::end(kWords)) {
      std::string known = "unknown word '" + std::string(name) + "'; known are";
      for (const Word& one : kWords) known.append(" ").append(one.name);
      return Status(StatusCode::kInvalidArgument, known);
    }
    if (equals == text.size() || !SetField(word->field(shape), text.substr(equals + 1))) {
      return Status(StatusCode::kInvalidArgument,
                    "'" + std::string(text) + "' is no value that " + std::string(name) + " takes");
    }
  }
  const bool sound = shape.port > 0 && shape.port < 65536 && shape.connections > 0 &&
                     shape.batch > 0 && shape.keys > 0 && shape.keys_per_get > 0 &&
                     shape.value_bytes >= 8;
  if (!sound) {
    return Status(StatusCode::kInvalidArgument,
                  "port, connections, batch, keys and keys_per_get must be at least 1, "
                  "value_bytes at least 8");
  }
  if (shape.work == Work::kOpen && shape.rate <= 0) {
    return Status(StatusCode::kInvalidArgument, "work=open needs a rate");
  }
  return shape;
}

void WriteKey(uint64_t number, char* to) {
  std::memcpy(to, "item-", 5);
  for (char* digit = to + kKeyBytes; digit-- > to + 5; number /= 10) {
    *digit = static_cast<char>('0' + number % 10);
  }
}

uint64_t ValueBegin(uint64_t number) {
  uint64_t word = number * 0x9e3779b97f4a7c15ULL + 1;
  word ^= word << 13;
  word ^= word >> 7;
  word ^= word << 17;
  return word;
}

void WriteValue(uint64_t number, const LoadShape& shape, char* to) {
  const size_t noise_bytes = shape.compressible ? shape.value_bytes / 2 : shape.value_bytes;
  uint64_t word = number * 0x9e3779b97f4a7c15ULL + 1;
  for (size_t at = 0; at < noise_bytes; at += sizeof(word)) {
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    std::memcpy(to + at, &word, std::min(sizeof(word), noise_bytes - at));
  }
  std::memset(to + noise_bytes, 'x', shape.value_bytes - noise_bytes);
}

}  // namespace terraced::bench
