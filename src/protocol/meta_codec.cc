#include "src/protocol/meta_codec.h"

#include <limits>

#include "src/commands/command_table.h"
#include "src/protocol/base64.h"
#include "src/protocol/text_codec.h"

namespace terraced::server {
namespace {

// Behind the command and its key.
constexpr size_t kWordsMax = 17;
// Of an opaque (O), its letter included.
constexpr size_t kOpaqueBytesMax = 32;
// Letters that any meta command takes, though not each does something with each of them.
constexpr std::string_view kLetters = "bcfhklqstuvxOPLIDJFMNRTCE";

void Refuse(Request* request, Reply error, bool has_block = false) {
  request->command = has_block ? &RefusedBlockCommand() : &RefusedCommand();
  request->error = error;
}

bool IsLetter(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
}

// Bit of a letter in a set.
uint64_t BitOf(char letter) {
  return uint64_t{1} << (static_cast<unsigned char>(letter) - 'A');
}

Reply SetMode(std::string_view token, Request* request) {
  if (token.size() != 1) return Reply::kBadModeLength;
  request->mode = token[0];
  const bool stores = request->command->verb == Verb::kMetaSet;
  const bool counts = request->command->verb == Verb::kMetaArithmetic;
  if (stores && std::string_view("EAPRS").find(token[0]) == std::string_view::npos) {
    return Reply::kBadSetMode;
  }
  if (counts && std::string_view("ID+-").find(token[0]) == std::string_view::npos) {
    return Reply::kBadCountMode;
  }
  return Reply::kNone;
}

Reply TakeSigned(std::string_view token, uint32_t asks, int64_t* number, Request* request) {
  if (!ParseSigned(token, number)) return Reply::kBadToken;
  request->asks |= asks;
  return Reply::kNone;
}

Reply TakeUnsigned(std::string_view token, uint32_t asks, uint64_t* number, Request* request) {
  if (!ParseUnsigned(token, number)) return Reply::kBadToken;
  request->asks |= asks;
  return Reply::kNone;
}

// What a flag with its token does to the request.
Reply TakeFlag(char letter, std::string_view token, Request* request) {
  uint64_t flags = 0;
  switch (letter) {
    case 'q':
      request->asks |= kAsksQuiet;
      return Reply::kNone;
    case 'v':
      request->asks |= kAsksValue;
      return Reply::kNone;
    case 'u':
      request->asks |= kAsksNoBump;
      return Reply::kNone;
    case 'I':
      request->asks |= kAsksInvalidate;
      return Reply::kNone;
    case 'x':
      request->asks |= kAsksDropValue;
      return Reply::kNone;
    case 'b':
      request->asks |= kAsksBinaryKey;
      return Reply::kNone;
    case 'O':
      return token.size() + 1 > kOpaqueBytesMax ? Reply::kOpaqueTooLong : Reply::kNone;
    case 'T':
      return TakeSigned(token, kAsksTouch, &request->exptime, request);
    case 'N':
      return TakeSigned(token, kAsksVivify, &request->vivify_exptime, request);
    case 'R':
      return TakeSigned(token, kAsksRecache, &request->recache_s, request);
    case 'C':
      return TakeUnsigned(token, kAsksCompare, &request->compare_cas, request);
    case 'E':
      return TakeUnsigned(token, kAsksNewCas, &request->new_cas, request);
    case 'D':
      return ParseUnsigned(token, &request->number) ? Reply::kNone : Reply::kBadDeltaFlag;
    case 'J':
      return ParseUnsigned(token, &request->initial) ? Reply::kNone : Reply::kBadInitialFlag;
    case 'F':
      // memcached keeps 32 bits and accepts more.
      if (!ParseUnsigned(token, &flags)) return Reply::kBadLine;
      request->client_flags = static_cast<uint32_t>(flags);
      return Reply::kNone;
    case 'M':
      return SetMode(token, request);
    default:  // only answered
      return Reply::kNone;
  }
}

// Looked at when all flags are read, and none of them is bad for another reason.
bool IsJudgedLast(Reply error) {
  return error == Reply::kOpaqueTooLong || error == Reply::kBadSetMode ||
         error == Reply::kBadCountMode;
}

// A flag that is none, or comes twice, is said rather than a bad token; of those the last one is.
Reply TakeFlags(std::string_view text, Request* request) {
  uint64_t seen = 0;
  Reply bad = Reply::kNone;
  Reply bad_at_last = Reply::kNone;
  for (std::string_view word = TakeToken(&text); !word.empty(); word = TakeToken(&text)) {
    if (!IsLetter(word[0])) return Reply::kInvalidFlag;
    if ((seen & BitOf(word[0])) != 0) return Reply::kDuplicateFlag;
    seen |= BitOf(word[0]);
    if (kLetters.find(word[0]) == std::string_view::npos) return Reply::kInvalidFlag;
    const Reply error = TakeFlag(word[0], word.substr(1), request);
    if (error == Reply::kNone) continue;
    (IsJudgedLast(error) ? bad_at_last : bad) = error;
  }
  return bad != Reply::kNone ? bad : bad_at_last;
}

size_t CountWords(std::string_view text) {
  size_t count = 0;
  while (!TakeToken(&text).empty()) ++count;
  return count;
}

// md and ma say the same of nearly all that is wrong with their flags.
Reply Fold(Verb verb, Reply error) {
  if (verb != Verb::kMetaDelete && verb != Verb::kMetaArithmetic) return error;
  switch (error) {
    case Reply::kOpaqueTooLong:
    case Reply::kBadSetMode:
    case Reply::kBadCountMode:
      return error;
    default:
      return Reply::kBadFlags;
  }
}

Reply TakeKey(std::string_view word, DecodedKeys* decoded, Request* request) {
  request->key.bytes = word;
  if (!request->Asks(kAsksBinaryKey)) return Reply::kNone;
  const std::optional<size_t> bytes = DecodeBase64(word, decoded->Next());
  if (!bytes) return Reply::kBadBase64;
  request->key.bytes = decoded->Keep(*bytes);
  return Reply::kNone;
}

// ms <key> <length>: nothing is swallowed where that is no length.
bool TakeLength(std::string_view* text, Request* request) {
  int64_t length = 0;
  if (!ParseSigned(TakeToken(text), &length)) return false;
  if (length < 0 || length > std::numeric_limits<int32_t>::max() - 2) return false;
  request->value_bytes = static_cast<uint64_t>(length);
  return true;
}

}  // namespace

bool FlagStandsBefore(std::string_view flags, char first, char second) {
  for (std::string_view flag = TakeToken(&flags); !flag.empty(); flag = TakeToken(&flags)) {
    if (flag[0] == first) return true;
    if (flag[0] == second) return false;
  }
  return false;
}

void DecodeMetaCommand(std::string_view text, DecodedKeys* decoded, Request* request) {
  const Verb verb = request->command->verb;
  if (verb == Verb::kMetaNoop) return;
  const std::string_view key = TakeToken(&text);
  if (key.empty()) {
    Refuse(request, verb == Verb::kMetaDebug ? Reply::kBadLine : Reply::kUnknownCommand);
    return;
  }
  if (key.size() > kKeyBytesMax) {
    Refuse(request, Reply::kBadLine);
    return;
  }
  if (CountWords(text) > kWordsMax) {
    Refuse(request, verb == Verb::kMetaGet ? Reply::kTooManyFlags : Reply::kTooManyChangeFlags);
    return;
  }
  const bool stores = verb == Verb::kMetaSet;
  if (stores && !TakeLength(&text, request)) {
    Refuse(request, Reply::kBadLine);
    return;
  }
  request->number = 1;  // ma's delta
  request->initial = 0;
  request->mode = 0;
  request->flags = {text.data(), text.size()};
  Reply error = TakeFlags(text, request);
  if (error == Reply::kNone) error = TakeKey(key, decoded, request);
  if (error != Reply::kNone) {
    Refuse(request, Fold(verb, error), stores);
  } else if (verb == Verb::kMetaGet && request->Asks(kAsksTouch | kAsksVivify | kAsksRecache)) {
    request->command = &ChangingMetaGet();
  }
}

}  // namespace terraced::server
