// The words that a fuzzer should know, in libFuzzer's form: one "token" a line. They are written from the tables that
// the daemon itself walks, so a new command or option is in them without anybody thinking of it.
// Threads: plain functions. Errors: none.
#pragma once

#include <string>
#include <string_view>

namespace terraced::fuzz {

// From the command table: every word, and a whole request of it.
std::string CommandDictionary();
// From the options table: every name and spelling, its bounds and its choices.
std::string OptionDictionary();

// A line of a dictionary.
std::string DictionaryLine(std::string_view token);

}  // namespace terraced::fuzz
