#include "tests/fuzz/dictionary.h"

#include <gtest/gtest.h>

#include "src/commands/binary_table.h"
#include "src/commands/command_table.h"
#include "src/option_table.h"
#include "src/protocol/binary_codec.h"
#include "src/protocol/text_codec.h"

namespace terraced::fuzz {
namespace {

TEST(DictionaryTest, HasEveryWordOfTheCommandTable) {
  const std::string dictionary = CommandDictionary();
  for (const server::CommandSpec& command : server::Commands()) {
    EXPECT_NE(dictionary.find(DictionaryLine(command.word)), std::string::npos) << command.word;
  }
}

TEST(DictionaryTest, HasARequestOfEveryCommandThatIsAccepted) {
  const std::string dictionary = CommandDictionary();
  for (const server::CommandSpec& command : server::Commands()) {
    const std::string begin = "\"" + std::string(command.word);
    size_t at = dictionary.find(begin + " ");
    if (at == std::string::npos) at = dictionary.find(begin + "\\x0d");
    ASSERT_NE(at, std::string::npos) << command.word;
    std::string line = dictionary.substr(at + 1, dictionary.find("\\x0d", at) - at - 1) + "\r\n";
    server::DecodedKeys decoded;
    server::TextCodec codec(/*test_commands=*/true, &decoded);
    std::vector<tiering::Key> keys;
    server::Request request;
    size_t consumed = 0;
    EXPECT_EQ(codec.Decode(line, 8, &keys, &request, &consumed),
              server::TextCodec::Result::kRequest);
    EXPECT_EQ(request.command, &command) << line;
  }
}

TEST(DictionaryTest, HasAPacketOfEveryOpcode) {
  const std::string dictionary = CommandDictionary();
  for (int opcode = 0; opcode < server::kBinaryOpcodes; ++opcode) {
    const auto one = static_cast<uint8_t>(opcode);
    std::string begin =
        DictionaryLine(std::string{server::kBinaryRequestMagic, static_cast<char>(one)});
    begin.resize(begin.size() - 2);  // the quote and the line end
    EXPECT_EQ(dictionary.find(begin) != std::string::npos,
              server::FindBinaryCommand(one) != nullptr)
        << opcode;
  }
}

TEST(DictionaryTest, HasEveryNameOfTheOptionsTable) {
  const std::string dictionary = OptionDictionary();
  for (const server::OptionSpec& spec : server::OptionTable()) {
    for (const std::string_view name : {spec.name, spec.also}) {
      if (name.empty()) continue;
      EXPECT_NE(dictionary.find(DictionaryLine(name)), std::string::npos) << name;
    }
  }
}

TEST(DictionaryTest, EscapesWhatLibFuzzerReadsOtherwise) {
  EXPECT_EQ(DictionaryLine("a\"b\\c\r\n\xff"), "\"a\\\"b\\\\c\\x0d\\x0a\\xff\"\n");
}

}  // namespace
}  // namespace terraced::fuzz
