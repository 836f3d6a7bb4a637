#include "src/option_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "src/option_value.h"

namespace terraced::server {
namespace {

using testing::HasSubstr;

bool IsWhole(const OptionSpec& spec) {
  return spec.kind == OptionKind::kNumber || spec.kind == OptionKind::kBytes;
}

// A bound as text in the smallest unit, moved by `step`.
std::string BoundText(const OptionSpec& spec, double bound, int64_t step) {
  if (spec.kind == OptionKind::kFraction) {
    return std::to_string(bound + 0.0005 * static_cast<double>(step));
  }
  const int64_t number = static_cast<int64_t>(bound) + step;
  if (spec.kind == OptionKind::kNumber || spec.bounds.scale == 1) return std::to_string(number);
  // Where a plain number counts kilobytes or megabytes, only whole kilobytes can be written.
  return std::to_string((static_cast<int64_t>(bound) >> 10) + step) + "k";
}

Result<CommandLine> Parse(const std::string& word, const std::string& value) {
  const std::string joined = word + value;
  const char* const arguments[] = {joined.c_str()};
  return ParseCommandLine(arguments);
}

// The options whose value has bounds, each as the word that goes before its value.
std::string WordBefore(const OptionSpec& spec) {
  if (spec.letter != 0) return std::string("-") + spec.letter;
  return "--" + std::string(spec.name) + "=";
}

TEST(OptionTableTest, NamesAndLettersAreUnique) {
  std::set<char> letters;
  std::set<std::string, std::less<>> names;
  for (const OptionSpec& spec : OptionTable()) {
    if (spec.letter != 0) {
      EXPECT_TRUE(letters.insert(spec.letter).second) << spec.name;
    }
    for (const std::string_view name : {spec.name, spec.also}) {
      std::string canonical(name);
      for (char& c : canonical) c = c == '-' ? '_' : c;
      if (!name.empty()) {
        EXPECT_TRUE(names.insert(canonical).second) << name;
      }
    }
  }
}

TEST(OptionTableTest, EveryRowIsFoundUnderEachOfItsNames) {
  for (const OptionSpec& spec : OptionTable()) {
    EXPECT_EQ(FindByName(spec.name, false), &spec);
    EXPECT_EQ(FindByName(spec.name, true), spec.Has(kExtended) ? &spec : nullptr) << spec.name;
    if (!spec.also.empty()) {
      EXPECT_EQ(FindByName(spec.also, false), &spec) << spec.also;
    }
    if (spec.letter != 0) {
      EXPECT_EQ(FindByLetter(spec.letter), &spec) << spec.name;
    }
  }
  EXPECT_EQ(FindByName("", false), nullptr);
  EXPECT_EQ(FindByLetter(0), nullptr);
}

TEST(OptionTableTest, DashesAndUnderscoresAreTheSame) {
  EXPECT_EQ(FindByName("flash-size", false), FindByName("flash_size", false));
  EXPECT_EQ(FindByName("memory_limit", false), FindByLetter('m'));
}

TEST(OptionTableTest, EveryRowHasWhatItsKindNeeds) {
  for (const OptionSpec& spec : OptionTable()) {
    ASSERT_NE(spec.field, nullptr) << spec.name;
    if (!spec.Has(kNoEffect)) {
      EXPECT_FALSE(spec.help.empty()) << spec.name;
    }
    EXPECT_EQ(spec.TakesValue(), !spec.value.empty()) << spec.name;
    EXPECT_EQ(spec.kind == OptionKind::kChoice, !spec.choices.empty()) << spec.name;
    if (IsWhole(spec) || spec.kind == OptionKind::kFraction) {
      EXPECT_LE(spec.bounds.min, spec.bounds.max) << spec.name;
    }
  }
}

TEST(OptionTableTest, EveryRowTakesItsLeastAndItsMost) {
  for (const OptionSpec& spec : OptionTable()) {
    if (!IsWhole(spec) && spec.kind != OptionKind::kFraction) continue;
    for (const double bound : {spec.bounds.min, spec.bounds.max}) {
      const std::string text = BoundText(spec, bound, 0);
      const Result<CommandLine> line = Parse(WordBefore(spec), text);
      ASSERT_TRUE(line.ok()) << spec.name << " " << text << ": " << line.status().message();
      const Field field = spec.field(const_cast<Options&>(line.value().options));
      const double stored = std::visit(
          [](auto value) -> double {
            using Target = std::remove_pointer_t<decltype(value)>;
            if constexpr (std::is_arithmetic_v<Target>) return static_cast<double>(*value);
            return -1e300;
          },
          field);
      EXPECT_NEAR(stored, bound, 1e-6) << spec.name;
    }
  }
}

TEST(OptionTableTest, EveryRowRefusesLessAndMoreWithAMessageThatNamesIt) {
  for (const OptionSpec& spec : OptionTable()) {
    if (!IsWhole(spec) && spec.kind != OptionKind::kFraction) continue;
    for (const std::string& text :
         {BoundText(spec, spec.bounds.min, -1), BoundText(spec, spec.bounds.max, 1),
          std::string("99999999999999999999999"), std::string("-99999999999999999999999"),
          std::string("many"), std::string("12x"), std::string()}) {
      if (text.empty() && spec.letter != 0) continue;  // "-t" alone lacks its value: another test
      const Result<CommandLine> line = Parse(WordBefore(spec), text);
      ASSERT_FALSE(line.ok()) << spec.name << " took " << text;
      const std::string message(line.status().message());
      const std::string spelling = spec.letter != 0 ? std::string("-") + spec.letter + ": "
                                                    : "--" + std::string(spec.name) + ": ";
      EXPECT_THAT(message, testing::StartsWith(spelling));
      EXPECT_THAT(message, HasSubstr("give " + DescribeValue(spec)));
      EXPECT_EQ(line.status().code(),
                spec.Has(kUsage) ? StatusCode::kNotFound : StatusCode::kInvalidArgument);
    }
  }
}

TEST(OptionTableTest, EveryChoiceIsTakenAndOthersAreListed) {
  for (const OptionSpec& spec : OptionTable()) {
    if (spec.kind != OptionKind::kChoice) continue;
    const std::string first(spec.choices.substr(0, spec.choices.find(',')));
    EXPECT_TRUE(Parse(WordBefore(spec), first).ok()) << spec.name;
    const Result<CommandLine> line = Parse(WordBefore(spec), "nonsense");
    ASSERT_FALSE(line.ok()) << spec.name;
    EXPECT_THAT(std::string(line.status().message()), HasSubstr("one of " + first));
  }
}

TEST(OptionTableTest, EverySwitchOfTheListHasANoForm) {
  for (const OptionSpec& spec : OptionTable()) {
    if (spec.kind != OptionKind::kSwitch || !spec.Has(kExtended)) continue;
    for (const bool on : {true, false}) {
      const Result<CommandLine> line = Parse(on ? "-o" : "-ono_", std::string(spec.name));
      ASSERT_TRUE(line.ok()) << spec.name << ": " << line.status().message();
      EXPECT_EQ(FormatValue(spec, line.value().options), on ? "yes" : "no") << spec.name;
    }
  }
}

TEST(OptionTableTest, EveryExtendedNameIsALongOptionToo) {
  for (const OptionSpec& spec : OptionTable()) {
    if (!IsWhole(spec) || !spec.Has(kExtended)) continue;
    const std::string value = BoundText(spec, spec.bounds.max, 0);
    const Result<CommandLine> as_long = Parse("--" + std::string(spec.name) + "=", value);
    const Result<CommandLine> in_list = Parse("-o" + std::string(spec.name) + "=", value);
    ASSERT_TRUE(as_long.ok() && in_list.ok()) << spec.name;
    EXPECT_EQ(FormatValue(spec, as_long.value().options),
              FormatValue(spec, in_list.value().options));
  }
}

// The long spellings that memcached 1.6.18 -h lists for what exists here.
TEST(OptionTableTest, LettersHaveMemcachedsLongSpellings) {
  const std::pair<char, std::string_view> spellings[] = {{'p', "port"},
                                                         {'l', "listen"},
                                                         {'d', "daemon"},
                                                         {'r', "enable-coredumps"},
                                                         {'u', "user"},
                                                         {'m', "memory-limit"},
                                                         {'M', "disable-evictions"},
                                                         {'c', "conn-limit"},
                                                         {'k', "lock-memory"},
                                                         {'v', "verbose"},
                                                         {'h', "help"},
                                                         {'V', "version"},
                                                         {'P', "pidfile"},
                                                         {'f', "slab-growth-factor"},
                                                         {'n', "slab-min-size"},
                                                         {'L', "enable-largepages"},
                                                         {'t', "threads"},
                                                         {'R', "max-reqs-per-event"},
                                                         {'C', "disable-cas"},
                                                         {'b', "listen-backlog"},
                                                         {'B', "protocol"},
                                                         {'I', "max-item-size"},
                                                         {'F', "disable-flush-all"},
                                                         {'o', "extended"},
                                                         {'U', "udp-port"},
                                                         {'s', "unix-socket"},
                                                         {'a', "unix-mask"},
                                                         {'A', "enable-shutdown"},
                                                         {'i', "license"},
                                                         {'N', "napi_ids"}};
  for (const auto& [letter, name] : spellings) {
    ASSERT_NE(FindByLetter(letter), nullptr) << letter;
    EXPECT_EQ(FindByLetter(letter)->name, name);
  }
}

}  // namespace
}  // namespace terraced::server
