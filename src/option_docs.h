// Documents written from the options table: -h, etc/terraced.conf, the OPTIONS section of the
// manual. scripts/gen_docs.py puts the last two into the tree, a test compares them with it.
// Threads: plain functions. Errors: none.
#pragma once

#include <string>

namespace terraced::server {

std::string HelpText();
std::string ConfigFileText();
std::string ManualOptionsText();

// Lines of man/terraced.1 between which ManualOptionsText() stands.
constexpr char kManualBegin[] = ".\\\" --- options: written by scripts/gen_docs.py ---";
constexpr char kManualEnd[] = ".\\\" --- end of options ---";

}  // namespace terraced::server
