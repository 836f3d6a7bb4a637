#include "src/config_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace terraced::server {
namespace {

bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

Status Refuse(std::string_view name, int line, std::string_view what) {
  return Status(StatusCode::kInvalidArgument,
                std::string(name) + ":" + std::to_string(line) + ": " + std::string(what));
}

// One word from `*at` on; false: a quote was not closed.
bool TakeWord(std::string_view line, size_t* at, std::string* word) {
  char quote = 0;
  for (; *at < line.size(); ++*at) {
    const char c = line[*at];
    if (quote == 0 && IsBlank(c)) break;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else {
      word->push_back(c);
    }
  }
  return quote == 0;
}

}  // namespace

Result<std::vector<ConfigLine>> SplitConfig(std::string_view text, std::string_view name) {
  std::vector<ConfigLine> lines;
  int number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find('\0') != std::string_view::npos) {
      return Refuse(name, number, "holds a NUL byte: this is no configuration file");
    }
    ConfigLine parsed{.number = number, .words = {}};
    size_t at = 0;
    for (;;) {
      while (at < line.size() && IsBlank(line[at])) ++at;
      if (at == line.size() || line[at] == '#') break;
      std::string word;
      if (!TakeWord(line, &at, &word)) return Refuse(name, number, "a quote is not closed");
      parsed.words.push_back(std::move(word));
    }
    if (!parsed.words.empty()) lines.push_back(std::move(parsed));
  }
  return lines;
}

Result<std::vector<ConfigLine>> ReadConfigFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Status::FromErrno("--config: cannot read " + path, errno);
  std::string text;
  std::array<char, 16384> part;
  for (;;) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      ::close(fd);
      return Status::FromErrno("--config: cannot read " + path, error);
    }
    if (got == 0) break;
    text.append(part.data(), static_cast<size_t>(got));
    if (text.size() > kConfigFileBytesMax) {
      ::close(fd);
      return Status(StatusCode::kInvalidArgument,
                    "--config: " + path + " is over 1m: this is no configuration file");
    }
  }
  ::close(fd);
  return SplitConfig(text, path);
}

}  // namespace terraced::server
