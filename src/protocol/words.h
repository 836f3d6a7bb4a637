// Words of a line of text, as memcached takes them apart: only spaces separate them.
// Threads: pure functions. Ownership: views of what they are given.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace terraced::server {

inline std::string_view SkipSpaces(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && text[at] == ' ') ++at;
  return text.substr(at);
}

// Most words are short: looking at each byte costs less than calling memchr. Keys may be long.
inline size_t TokenLength(std::string_view text) {
  constexpr size_t kShort = 8;
  size_t length = 0;
  for (; length < std::min(text.size(), kShort); ++length) {
    if (text[length] == ' ') return length;
  }
  return std::min(text.find(' ', length), text.size());
}

// The next token, removed from *text; empty at the end.
inline std::string_view TakeToken(std::string_view* text) {
  *text = SkipSpaces(*text);
  const std::string_view token = text->substr(0, TokenLength(*text));
  text->remove_prefix(token.size());
  return token;
}

// A view that nothing initialises: arrays of it cost nothing where they are not used.
struct Word {
  const char* data;
  size_t size;
  // NOLINTNEXTLINE(google-explicit-constructor): it is one, made elsewhere.
  operator std::string_view() const { return {data, size}; }
};

// The first words of a line; what comes behind is not looked at.
struct Words {
  static constexpr size_t kMax = 8;  // one more than any command with a fixed number of them takes
  std::array<Word, kMax> words;
  size_t count = 0;

  // Empty where there is none.
  std::string_view operator[](size_t index) const {
    return index < count ? std::string_view(words[index]) : std::string_view();
  }
  void Add(std::string_view word) { words[count++] = {word.data(), word.size()}; }
};

inline Words SplitWords(std::string_view text) {
  Words split;
  while (split.count < Words::kMax) {
    const std::string_view word = TakeToken(&text);
    if (word.empty()) break;
    split.Add(word);
  }
  return split;
}

// A line without its end. memcached cuts a line at its first NUL: it reads it as a C string.
inline std::string_view CutLine(std::string_view line) {
  line.remove_suffix(1);
  if (line.size() > 1 && line.back() == '\r') line.remove_suffix(1);
  if (const void* nul = std::memchr(line.data(), 0, line.size()); nul != nullptr) {
    line = line.substr(0, static_cast<size_t>(static_cast<const char*>(nul) - line.data()));
  }
  return line;
}

}  // namespace terraced::server
