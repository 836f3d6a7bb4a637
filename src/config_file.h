// The configuration file: options as on the command line, one or more to a line, '#' comments; the
// form of Debian's /etc/memcached.conf.
// Threads: plain functions. Ownership: the words are copies.
// Errors: kIoError when the file cannot be read, kInvalidArgument when it cannot be a
// configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"

namespace terraced::server {

constexpr size_t kConfigFileBytesMax = 1U << 20;

struct ConfigLine {
  int number = 0;                  // from 1
  std::vector<std::string> words;  // never empty
};

// A word ends at a blank; quotes ('...' or "...") keep blanks and '#'. A '#' where a word could
// begin starts a comment. Lines without words are left out. `name` stands in error messages.
Result<std::vector<ConfigLine>> SplitConfig(std::string_view text, std::string_view name);
Result<std::vector<ConfigLine>> ReadConfigFile(const std::string& path);

}  // namespace terraced::server
