// Options that change while the daemon runs: what `extstore <name> <value>` says, read by the option's row. Rows with
// kLive are found by their names; those of extstore's own settings are called "ext_" and the name it has for them.
// Threads: plain functions.
// Errors: kNotFound where memcached has no more to say than ERROR: a name that there is not, or no number for a setting
// of its own. kInvalidArgument where the row or another option is against the value; the message says what would be
// right. Either changes nothing.
#pragma once

#include <string>
#include <string_view>

#include "src/option_table.h"
#include "storage/base/status.h"

namespace terraced::server {

Status ChangeOption(std::string_view name, std::string_view value, Options* options);

// How an operator changes it: "extstore flash_item_min <size>".
std::string ChangeSpelling(const OptionSpec& spec);

}  // namespace terraced::server
