// Words of meta commands and their replies.
// Threads: pure functions. Ownership: views of what they are given. Errors: none; what is not there is empty.
#pragma once

#include <string>
#include <string_view>

namespace terraced::support {

inline std::string_view FirstWord(std::string_view text) {
  return text.substr(0, text.find_first_of(" \r"));
}

inline std::string_view LineOf(std::string_view text) {
  return text.substr(0, text.find("\r\n"));
}

inline bool HasWord(std::string_view line, std::string_view word) {
  const std::string padded = " " + std::string(line) + " ";
  return padded.find(" " + std::string(word) + " ") != std::string::npos;
}

// A word of the first line that begins with that letter, behind its first.
inline bool HasFlag(std::string_view text, char letter) {
  const std::string_view line = LineOf(text);
  return line.find(std::string(" ") + letter) != std::string_view::npos;
}

}  // namespace terraced::support
