#include "tests/fuzz/dictionary.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "src/commands/binary_table.h"
#include "src/commands/command_table.h"
#include "src/option_table.h"
#include "src/option_value.h"
#include "src/protocol/binary_codec.h"

namespace terraced::fuzz {
namespace {

using server::BinarySpec;
using server::CommandSpec;
using server::OptionKind;
using server::OptionSpec;

constexpr std::string_view kExtstorePrefix = "ext_";  // those names are known without it, too

// A request that the row accepts.
std::string SampleRequest(const CommandSpec& command) {
  std::string line(command.word);
  // 1 is a key, a number and a time.
  for (uint8_t i = 1; i < command.tokens_min; ++i) line += " 1";
  if (command.Has(server::kTakesExptime)) line += " 1";
  line += "\r\n";
  if (command.Has(server::kStores)) line += "1\r\n";  // a value of one byte
  return line;
}

// A packet that the row accepts.
std::string SamplePacket(uint8_t opcode, const BinarySpec& spec) {
  const char key_bytes = spec.Takes(server::kNeedsKey) ? 1 : 0;
  const char value_bytes = spec.Takes(server::kMayHaveValue) ? 1 : 0;
  std::string packet(server::kBinaryHeaderBytes, '\0');
  packet[0] = server::kBinaryRequestMagic;
  packet[1] = static_cast<char>(opcode);
  packet[3] = key_bytes;
  packet[4] = static_cast<char>(spec.extras_bytes);
  packet[11] = static_cast<char>(spec.extras_bytes + key_bytes + value_bytes);
  packet.append(spec.extras_bytes, '\0');
  return packet.append(static_cast<size_t>(key_bytes + value_bytes), '1');
}

void AddOptionNames(const OptionSpec& spec, std::string* to) {
  for (const std::string_view name : {spec.name, spec.also}) {
    if (name.empty()) continue;
    *to += DictionaryLine(name);
    *to += DictionaryLine("--" + std::string(name));
    if (spec.Has(server::kExtended)) *to += DictionaryLine("-o " + std::string(name) + "=");
    if (name.starts_with(kExtstorePrefix)) {
      *to += DictionaryLine(name.substr(kExtstorePrefix.size()));
    }
  }
  if (spec.letter != 0) *to += DictionaryLine(std::string("-") + spec.letter + " ");
}

void AddOptionValues(const OptionSpec& spec, std::string* to) {
  if (spec.kind == OptionKind::kBytes) {
    *to += DictionaryLine(server::FormatBytes(static_cast<uint64_t>(spec.bounds.min)));
    *to += DictionaryLine(server::FormatBytes(static_cast<uint64_t>(spec.bounds.max)));
  }
  if (spec.kind == OptionKind::kNumber || spec.kind == OptionKind::kFraction) {
    *to += DictionaryLine(std::to_string(static_cast<int64_t>(spec.bounds.min)));
    *to += DictionaryLine(std::to_string(static_cast<int64_t>(spec.bounds.max)));
  }
  std::string_view choices = spec.choices;
  while (!choices.empty()) {
    const size_t comma = std::min(choices.find(','), choices.size());
    *to += DictionaryLine(choices.substr(0, comma));
    choices.remove_prefix(std::min(comma + 1, choices.size()));
  }
}

}  // namespace

std::string DictionaryLine(std::string_view token) {
  std::string line = "\"";
  for (const char c : token) {
    if (c == '"' || c == '\\') {
      line.append("\\").push_back(c);
    } else if (c >= ' ' && c <= '~') {
      line.push_back(c);
    } else {
      std::array<char, 8> escaped;
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", static_cast<unsigned char>(c));
      line += escaped.data();
    }
  }
  return line + "\"\n";
}

std::string CommandDictionary() {
  std::string dictionary;
  for (const CommandSpec& command : server::Commands()) {
    dictionary += DictionaryLine(command.word);
    dictionary += DictionaryLine(SampleRequest(command));
  }
  for (int opcode = 0; opcode < server::kBinaryOpcodes; ++opcode) {
    const auto one = static_cast<uint8_t>(opcode);
    const BinarySpec* const spec = server::FindBinaryCommand(one);
    if (spec != nullptr) dictionary += DictionaryLine(SamplePacket(one, *spec));
  }
  for (const std::string_view token : {" noreply\r\n", "\r\n", " 0 0 ", " -1", " 4294967296"}) {
    dictionary += DictionaryLine(token);
  }
  return dictionary;
}

std::string OptionDictionary() {
  std::string dictionary;
  for (const OptionSpec& spec : server::OptionTable()) {
    AddOptionNames(spec, &dictionary);
    AddOptionValues(spec, &dictionary);
  }
  for (const std::string_view token : {"-o ", "no_", "yes", "no", "logfile ", "[::1]:1", "\n#"}) {
    dictionary += DictionaryLine(token);
  }
  return dictionary;
}

}  // namespace terraced::fuzz
