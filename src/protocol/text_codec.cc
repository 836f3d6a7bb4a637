#include "src/protocol/text_codec.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>

#include "src/protocol/meta_codec.h"
#include "src/protocol/words.h"

namespace terraced::server {
namespace {

constexpr size_t kLeadingBlanksMax = 100;  // before the get of a long line
constexpr std::string_view kNoreply = "noreply";

bool IsBlank(char byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

bool HasLongKey(std::string_view text) {
  if (text.size() <= kKeyBytesMax) return false;
  while (true) {
    const std::string_view token = TakeToken(&text);
    if (token.empty()) return false;
    if (token.size() > kKeyBytesMax) return true;
  }
}

// Up to `keys_max` keys of the text, removed from it. False: one is too long.
bool TakeKeys(std::string_view* text, size_t keys_max, std::vector<tiering::Key>* keys,
              Request* request) {
  request->key_begin = static_cast<uint32_t>(keys->size());
  request->key_count = 0;
  while (request->key_count < keys_max) {
    const std::string_view token = TakeToken(text);
    if (token.empty()) break;
    if (token.size() > kKeyBytesMax) return false;
    keys->push_back(tiering::Key{token, 0});
    ++request->key_count;
  }
  *text = SkipSpaces(*text);
  return true;
}

void Refuse(Request* request, Reply error) {
  request->command = &RefusedCommand();
  request->error = error;
}

// The magnitude of a decimal number with an optional sign, as strtoull reads it.
bool ParseDigits(std::string_view token, bool* negative, uint64_t* magnitude) {
  size_t at = 0;
  while (at < token.size() && IsBlank(token[at])) ++at;
  *negative = at < token.size() && token[at] == '-';
  if (at < token.size() && (token[at] == '-' || token[at] == '+')) ++at;
  const size_t first = at;
  uint64_t value = 0;
  for (; at < token.size() && token[at] >= '0' && token[at] <= '9'; ++at) {
    const auto digit = static_cast<uint64_t>(token[at] - '0');
    if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10) return false;
    value = value * 10 + digit;
  }
  if (at == first || (at < token.size() && !IsBlank(token[at]))) return false;
  *magnitude = value;
  return true;
}

// set add replace append prepend <key> <flags> <exptime> <bytes>; cas has one more.
Reply FillStore(const Words& words, Request* request) {
  // memcached keeps 32 bits of the flags and accepts more.
  uint64_t flags = 0;
  int64_t length = 0;
  if (!ParseUnsigned(words[2], &flags) || !ParseSigned(words[3], &request->exptime) ||
      !ParseSigned(words[4], &length)) {
    return Reply::kBadLine;
  }
  if (length < 0 || length > std::numeric_limits<int32_t>::max() - 2) return Reply::kBadLine;
  if (request->command->verb == Verb::kCas && !ParseUnsigned(words[5], &request->number)) {
    return Reply::kBadLine;
  }
  request->client_flags = static_cast<uint32_t>(flags);
  request->value_bytes = static_cast<uint64_t>(length);
  return Reply::kNone;
}

// delete <key> [0] [noreply]: the time that it once took may still be given, as 0.
bool IsGoodDelete(const Words& words, bool noreply) {
  if (words.count == 2) return true;
  const bool zero = std::string_view(words[2]) == "0";
  return words.count == 3 ? zero || noreply : zero && noreply;
}

// A bad time is left to the handler: a daemon that refuses flush_all says so first.
void FillFlush(const Words& words, Request* request) {
  if (words.count == (request->noreply ? 2U : 1U)) return;
  if (!ParseSigned(words[1], &request->exptime)) request->error = Reply::kBadExptime;
}

// What is wrong with the arguments, in memcached's order of looking at them.
Reply FillArguments(const Words& words, Request* request) {
  switch (request->command->verb) {
    case Verb::kFlushAll:
      FillFlush(words, request);
      return Reply::kNone;
    case Verb::kVerbosity:
      return ParseUnsigned(words[1], &request->number) ? Reply::kNone : Reply::kBadLine;
    case Verb::kDelete:
      if (!IsGoodDelete(words, request->noreply)) return Reply::kBadDelete;
      break;
    case Verb::kStats:
    case Verb::kVersion:
    case Verb::kExtstore:
    case Verb::kShutdown:
    case Verb::kRefreshCerts:
    case Verb::kWatch:
    case Verb::kQuit:
    case Verb::kDebug:
    case Verb::kAdministration:
      request->argument_count = static_cast<uint8_t>(std::min(words.count - 1, kArgumentsMax));
      std::copy_n(words.words.begin() + 1, request->argument_count, request->arguments.begin());
      return Reply::kNone;
    default:
      break;
  }
  request->key.bytes = words[1];
  if (request->key.bytes.size() > kKeyBytesMax) return Reply::kBadLine;
  if (request->command->Has(kStores)) return FillStore(words, request);
  if (request->command->verb == Verb::kTouch) {
    return ParseSigned(words[2], &request->exptime) ? Reply::kNone : Reply::kBadExptime;
  }
  if (request->command->verb == Verb::kDelete) return Reply::kNone;
  return ParseUnsigned(words[2], &request->number) ? Reply::kNone : Reply::kBadDelta;
}

// Somebody speaks HTTP to us: hang up rather than answer line by line.
bool LooksLikeHttp(std::string_view line) {
  const size_t end = line.find_last_not_of(' ');
  if (end == std::string_view::npos) return false;
  line = line.substr(0, end + 1);
  const size_t space = line.rfind(' ');
  return space != std::string_view::npos && line.substr(space + 1).starts_with("HTTP/");
}

}  // namespace

bool ParseUnsigned(std::string_view token, uint64_t* value) {
  bool negative = false;
  uint64_t magnitude = 0;
  if (!ParseDigits(token, &negative, &magnitude)) return false;
  if (negative && magnitude != 0) return false;
  *value = magnitude;
  return true;
}

std::optional<double> ParseDecimal(std::string_view token) {
  const std::string text(token);
  char* end = nullptr;
  errno = 0;
  const double value = std::strtod(text.c_str(), &end);
  if (errno == ERANGE || end == text.c_str() || (*end != '\0' && !IsBlank(*end))) {
    return std::nullopt;
  }
  return value;
}

bool ParseSigned(std::string_view token, int64_t* value) {
  bool negative = false;
  uint64_t magnitude = 0;
  if (!ParseDigits(token, &negative, &magnitude)) return false;
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (magnitude > kMax + (negative ? 1 : 0)) return false;
  // Negated without a sign: -2^63 has no positive counterpart.
  *value = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
  return true;
}

std::string_view TextCodec::GlanceAtKey(std::string_view input) {
  if (TakeToken(&input).empty()) return {};
  const std::string_view key = TakeToken(&input);
  return key.substr(0, std::min(key.size(), key.find('\r')));
}

TextCodec::Result TextCodec::Decode(std::string_view input, size_t keys_max,
                                    std::vector<tiering::Key>* keys, Request* request,
                                    size_t* consumed) {
  *consumed = 0;
  if (input.empty()) return Result::kNeedMore;
  std::construct_at(request);
  if (rest_ == Rest::kKnown) return DecodeKeys(input, keys_max, keys, request, consumed);
  const size_t newline = input.find('\n');
  if (rest_ == Rest::kSkip) {
    *consumed = newline == std::string_view::npos ? input.size() : newline + 1;
    if (newline == std::string_view::npos) return Result::kNeedMore;
    rest_ = Rest::kNone;
    size_t after = 0;
    const Result result = Decode(input.substr(newline + 1), keys_max, keys, request, &after);
    *consumed += after;
    return result;
  }
  if (rest_ == Rest::kUnknown) {
    if (newline != std::string_view::npos) {
      rest_ = Rest::kKnown;
      rest_bytes_ = newline + 1;
    }
    return DecodeKeys(input, keys_max, keys, request, consumed);
  }
  if (newline == std::string_view::npos) {
    return DecodeUnfinished(input, keys_max, keys, request, consumed);
  }
  DecodeLine(input.substr(0, newline + 1), keys_max, keys, request, consumed);
  if (request->command == nullptr) return Result::kClose;
  return Result::kRequest;
}

TextCodec::Result TextCodec::DecodeUnfinished(std::string_view input, size_t keys_max,
                                              std::vector<tiering::Key>* keys, Request* request,
                                              size_t* consumed) {
  if (input.size() <= kCommandBytesMax) return Result::kNeedMore;
  std::string_view text = SkipSpaces(input);
  if (input.size() - text.size() > kLeadingBlanksMax) return Result::kClose;
  if (!text.starts_with("get ") && !text.starts_with("gets ")) return Result::kClose;
  if (input.size() < kLineBytesMax) return Result::kNeedMore;
  rest_ = Rest::kUnknown;
  rest_exptime_ = 0;
  rest_command_ = FindCommand(TakeToken(&text));
  const size_t word_end = input.size() - text.size();
  const Result result = DecodeKeys(text, keys_max, keys, request, consumed);
  *consumed += word_end;
  return result;
}

void TextCodec::DecodeLine(std::string_view line, size_t keys_max, std::vector<tiering::Key>* keys,
                           Request* request, size_t* consumed) {
  *consumed = line.size();
  request->line = CutLine(line);
  std::string_view text = request->line;
  const std::string_view word = TakeToken(&text);
  const CommandSpec* command = FindCommand(word);
  if (command == nullptr || (command->Has(kTestOnly) && !test_commands_)) {
    // Leaving `command` empty closes the connection.
    if (!LooksLikeHttp(request->line)) Refuse(request, Reply::kUnknownCommand);
    return;
  }
  request->command = command;
  if (command->Has(kManyKeys)) {
    DecodeKeyLine(line, text, keys_max, keys, request, consumed);
    return;
  }
  if (command->Has(kMeta)) {
    DecodeMetaCommand(text, decoded_, request);
    return;
  }
  const Words words = SplitWords(request->line);
  if (words.count < command->tokens_min || words.count > command->tokens_max) {
    Refuse(request, Reply::kUnknownCommand);
    return;
  }
  request->noreply = command->Has(kTakesNoreply) &&
                     std::string_view(words[words.count - 1]) == kNoreply &&
                     (command->verb != Verb::kDelete || words.count > 2);
  const Reply error = FillArguments(words, request);
  if (error != Reply::kNone) Refuse(request, error);
}

void TextCodec::DecodeKeyLine(std::string_view line, std::string_view text, size_t keys_max,
                              std::vector<tiering::Key>* keys, Request* request, size_t* consumed) {
  if (SkipSpaces(text).empty()) {
    Refuse(request, Reply::kUnknownCommand);
    return;
  }
  if (request->command->Has(kTakesExptime) && !ParseSigned(TakeToken(&text), &request->exptime)) {
    Refuse(request, Reply::kBadExptime);
    return;
  }
  // Nothing of the line may be answered if any of its keys is too long.
  if (HasLongKey(text)) {
    Refuse(request, Reply::kBadLine);
    return;
  }
  const bool good = TakeKeys(&text, keys_max, keys, request);
  TERRACED_DCHECK(good);
  if (!good || text.empty()) return;
  request->more = true;
  *consumed = static_cast<size_t>(text.data() - line.data());
  rest_ = Rest::kKnown;
  rest_bytes_ = line.size() - *consumed;
  rest_command_ = request->command;
  rest_exptime_ = request->exptime;
}

TextCodec::Result TextCodec::DecodeKeys(std::string_view input, size_t keys_max,
                                        std::vector<tiering::Key>* keys, Request* request,
                                        size_t* consumed) {
  request->command = rest_command_;
  request->exptime = rest_exptime_;
  std::string_view text;
  const size_t nul = rest_ == Rest::kUnknown ? input.find('\0') : std::string_view::npos;
  if (rest_ == Rest::kKnown) {
    text = input.substr(0, rest_bytes_);
    text.remove_suffix(1);
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    text = text.substr(0, text.find('\0'));
  } else if (nul != std::string_view::npos) {
    text = input.substr(0, nul);  // as of any line, what follows is not looked at
  } else {
    // A key counts once the space after it has arrived.
    const size_t space = input.rfind(' ');
    if (space == std::string_view::npos && input.size() <= kKeyBytesMax) return Result::kNeedMore;
    text = space == std::string_view::npos ? input : input.substr(0, space);
  }
  if (!TakeKeys(&text, keys_max, keys, request)) {
    keys->resize(request->key_begin);
    Refuse(request, Reply::kBadLine);
    rest_ = Rest::kSkip;
    return Result::kRequest;
  }
  if (text.empty() && nul != std::string_view::npos) {
    *consumed = nul + 1;
    rest_ = Rest::kSkip;
    return Result::kRequest;
  }
  request->more = !text.empty() || rest_ == Rest::kUnknown;
  *consumed = text.empty() ? input.size() : static_cast<size_t>(text.data() - input.data());
  if (rest_ == Rest::kUnknown) {
    // What follows the last space was not looked at.
    if (text.empty()) *consumed = input.rfind(' ') + 1;
    if (request->key_count == 0 && *consumed == 0) return Result::kNeedMore;
    return Result::kRequest;
  }
  if (text.empty()) {
    *consumed = rest_bytes_;
    rest_ = Rest::kNone;
  } else {
    rest_bytes_ -= *consumed;
  }
  return Result::kRequest;
}

}  // namespace terraced::server
