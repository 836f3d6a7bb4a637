// Words: a command line taken apart at its spaces, for administration commands, which look at more words than a Request
// has room for.
// Threads: plain values. Ownership: views of the line.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace terraced::server {

struct Words {
  static constexpr size_t kMax = 8;  // what comes behind is not looked at
  std::array<std::string_view, kMax> words;
  size_t count = 0;

  // Empty where there is none.
  std::string_view operator[](size_t index) const { return words[index]; }
};

inline Words SplitWords(std::string_view line) {
  Words split;
  for (size_t at = 0; split.count < Words::kMax;) {
    const size_t begin = line.find_first_not_of(' ', at);
    if (begin == std::string_view::npos) break;
    at = std::min(line.find(' ', begin), line.size());
    split.words[split.count++] = line.substr(begin, at - begin);
  }
  return split;
}

}  // namespace terraced::server
