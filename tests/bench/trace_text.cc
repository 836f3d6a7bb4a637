#include "tests/bench/trace_text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace terraced::bench {
namespace {

constexpr size_t kWordsMax = 4;
constexpr size_t kLineBytesMax = 320;  // the longest operation, with room for a '\r'

Status Wrong(std::string_view what) {
  return Status(StatusCode::kInvalidArgument, std::string(what));
}

// The words of a line; more than kWordsMax, or an empty one, make it no operation.
size_t Split(std::string_view line, std::array<std::string_view, kWordsMax>* words) {
  size_t count = 0;
  while (count < kWordsMax) {
    const size_t blank = line.find(' ');
    (*words)[count++] = line.substr(0, blank);
    if (blank == std::string_view::npos) return count;
    line.remove_prefix(blank + 1);
  }
  return 0;
}

bool IsKey(std::string_view word) {
  return !word.empty() && word.size() <= kTraceKeyBytesMax &&
         std::all_of(word.begin(), word.end(), [](char byte) {
           return static_cast<unsigned char>(byte) > ' ' && byte != '\x7f';
         });
}

bool ReadNumber(std::string_view word, uint32_t max, uint32_t* number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *number);
  return error == std::errc() && end == word.data() + word.size() && *number <= max;
}

bool ReadVerb(std::string_view word, TraceVerb* verb) {
  if (word == "get") {
    *verb = TraceVerb::kGet;
  } else if (word == "set") {
    *verb = TraceVerb::kSet;
  } else if (word == "delete") {
    *verb = TraceVerb::kDelete;
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<bool> ParseTraceLine(std::string_view line, TraceOperation* operation) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty() || line.front() == '#') return false;
  std::array<std::string_view, kWordsMax> words;
  const size_t count = Split(line, &words);
  if (count < 2) return Wrong("an operation is 2 to 4 words with single blanks between them");
  if (!ReadVerb(words[0], &operation->verb)) return Wrong("an operation is get, set or delete");
  if (!IsKey(words[1])) return Wrong("a key is 1 to 250 bytes without control characters");
  operation->key = words[1];
  operation->value_bytes = operation->ttl_s = 0;
  if (operation->verb == TraceVerb::kDelete) {
    return count == 2 ? Result<bool>(true) : Wrong("a delete has a key and nothing else");
  }
  if (count < 3 || !ReadNumber(words[2], kTraceValueBytesMax, &operation->value_bytes)) {
    return Wrong("the third word is the value's size, at most 1000000");
  }
  if (count == 4 && !ReadNumber(words[3], kTraceTtlMax, &operation->ttl_s)) {
    return Wrong("the fourth word is the TTL in seconds, at most 30 days");
  }
  return true;
}

void AppendTraceLine(const TraceOperation& operation, std::string* text) {
  if (operation.verb == TraceVerb::kDelete) {
    text->append("delete ").append(operation.key).append("\n");
    return;
  }
  text->append(operation.verb == TraceVerb::kGet ? "get " : "set ").append(operation.key);
  text->append(" ").append(std::to_string(operation.value_bytes));
  if (operation.ttl_s > 0) text->append(" ").append(std::to_string(operation.ttl_s));
  text->append("\n");
}

Result<bool> TraceReader::Next(TraceOperation* operation) {
  std::array<char, kLineBytesMax> line;
  for (;;) {
    input_.getline(line.data(), line.size());
    const auto taken = static_cast<size_t>(input_.gcount());
    if (taken == 0 && input_.eof()) return false;
    ++line_number_;
    if (input_.bad()) return Status(StatusCode::kIoError, Where() + " cannot be read");
    if (input_.fail()) return Wrong(Where() + " is too long for an operation");
    // The count includes the line end, which the last line may lack.
    const std::string_view text(line.data(), input_.eof() ? taken : taken - 1);
    Result<bool> is_operation = ParseTraceLine(text, operation);
    if (!is_operation.ok()) return is_operation.status().WithContext(Where());
    if (is_operation.value()) return true;
  }
}

}  // namespace terraced::bench
