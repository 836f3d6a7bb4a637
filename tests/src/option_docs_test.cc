#include "src/option_docs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "src/config_file.h"
#include "src/option_table.h"
#include "src/option_value.h"
#include "tests/support/process.h"

namespace terraced::server {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string TreeFile(const std::string& path) {
  return support::ReadTextFile(TERRACED_SOURCE_DIR "/" + path);
}

TEST(OptionDocsTest, TheConfigurationFileInTheTreeIsTheGeneratedOne) {
  EXPECT_TRUE(TreeFile("etc/terraced.conf") == ConfigFileText()) << "run scripts/gen_docs.py";
}

TEST(OptionDocsTest, TheManualInTheTreeHoldsTheGeneratedOptions) {
  const std::string manual = TreeFile("man/terraced.1");
  const size_t begin = manual.find(kManualBegin);
  const size_t end = manual.find(kManualEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  EXPECT_TRUE(manual.substr(begin, end - begin) + kManualEnd + "\n" == ManualOptionsText())
      << "run scripts/gen_docs.py";
}

TEST(OptionDocsTest, EveryDocumentNamesEveryVisibleOption) {
  const std::string help = HelpText();
  const std::string config = ConfigFileText();
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.IsDocumented()) continue;
    const std::string name(spec.name);
    EXPECT_THAT(help, HasSubstr(spec.Has(kExtended) ? "-o " + name : "--" + name));
    if (spec.Has(kNotInFile) || spec.kind == OptionKind::kSuboptions) continue;
    const std::string line =
        spec.Has(kExtended) || spec.letter == 0 ? name : std::string("\n# -") + spec.letter;
    EXPECT_THAT(config, HasSubstr(line));
  }
}

TEST(OptionDocsTest, EveryDocumentMarksWhatCanBeChangedWhileRunning) {
  int live = 0;
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.IsDocumented()) continue;
    const std::string spelling = "extstore " + std::string(spec.name) + " ";
    EXPECT_EQ(ManualOptionsText().find(spelling) != std::string::npos, spec.Has(kLive)) << spelling;
    std::string config = ConfigFileText();
    for (size_t at; (at = config.find("\n# ")) != std::string::npos;) config.replace(at, 3, " ");
    EXPECT_EQ(config.find(spelling) != std::string::npos, spec.Has(kLive)) << spelling;
    live += spec.Has(kLive) ? 1 : 0;
  }
  size_t marked = 0;
  const std::string help = HelpText();
  for (size_t at = 0; (at = help.find("live)", at)) != std::string::npos; ++at) ++marked;
  EXPECT_EQ(marked, static_cast<size_t>(live));
}

TEST(OptionDocsTest, NoDocumentNamesAHiddenOption) {
  for (const std::string& text : {HelpText(), ConfigFileText(), ManualOptionsText()}) {
    EXPECT_THAT(text, Not(HasSubstr("test_commands")));
    EXPECT_THAT(text, Not(HasSubstr("mutant")));
    EXPECT_THAT(text, Not(HasSubstr("print-")));
    EXPECT_THAT(text, Not(HasSubstr("print\\-")));
  }
}

TEST(OptionDocsTest, LinesFitATerminal) {
  for (const std::string& text : {HelpText(), ConfigFileText()}) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), 82U) << line;
      EXPECT_EQ(line.find_last_not_of(' ') + 1, line.size()) << "blanks at the end: " << line;
    }
  }
}

// Whoever takes the '#' away from a line that shows a value gets the default he had anyway.
TEST(OptionDocsTest, EveryValueInTheConfigurationFileIsTheDefault) {
  std::istringstream lines(ConfigFileText());
  int checked = 0;
  for (std::string line; std::getline(lines, line);) {
    const bool is_option = line.starts_with("# -") && !line.starts_with("# ---");
    if (!is_option || line.find('<') != std::string::npos) continue;
    const Result<std::vector<ConfigLine>> split = SplitConfig(line.substr(2), "conf");
    ASSERT_TRUE(split.ok());
    const std::vector<std::string>& words = split.value().at(0).words;
    if (words.size() == 1) continue;  // a switch that is off unless given
    const std::vector<const char*> arguments = {words[0].c_str(), words[1].c_str()};
    const Result<CommandLine> parsed = ParseCommandLine(arguments);
    ASSERT_TRUE(parsed.ok()) << line << ": " << parsed.status().message();
    for (const OptionSpec& spec : OptionTable()) {
      EXPECT_EQ(FormatValue(spec, parsed.value().options), FormatValue(spec, Options())) << line;
    }
    ++checked;
  }
  EXPECT_GT(checked, 40);
}

}  // namespace
}  // namespace terraced::server
