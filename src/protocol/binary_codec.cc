#include "src/protocol/binary_codec.h"

#include <algorithm>
#include <memory>

#include "src/commands/binary_table.h"

namespace terraced::server {
namespace {

// A number of so many bytes in network order.
template <typename Number>
Number NumberAt(std::string_view bytes, size_t at) {
  Number number = 0;
  for (size_t i = 0; i < sizeof(Number); ++i) {
    number = static_cast<Number>((number << 8U) | static_cast<uint8_t>(bytes[at + i]));
  }
  return number;
}

struct Header {
  explicit Header(std::string_view bytes)
      : opcode(NumberAt<uint8_t>(bytes, 1)),
        key_bytes(NumberAt<uint16_t>(bytes, 2)),
        extras_bytes(NumberAt<uint8_t>(bytes, 4)),
        body_bytes(NumberAt<uint32_t>(bytes, 8)),
        opaque(NumberAt<uint32_t>(bytes, 12)),
        cas_unique(NumberAt<uint64_t>(bytes, 16)) {}

  // Negative: key and extras are longer than the body that they stand in.
  int64_t ValueBytes() const { return int64_t{body_bytes} - key_bytes - extras_bytes; }

  uint8_t opcode;
  uint16_t key_bytes;
  uint8_t extras_bytes;
  uint32_t body_bytes;
  uint32_t opaque;
  uint64_t cas_unique;
};

BinaryCodec::Result Break(Reply why, Request* request, size_t* consumed) {
  request->command = &BrokenFrame();
  request->error = why;
  *consumed = kBinaryHeaderBytes;
  return BinaryCodec::Result::kRequest;
}

BinaryCodec::Result Swallow(const Header& header, Request* request, size_t* consumed) {
  request->command = &UnknownOpcode();
  request->value_bytes = header.body_bytes;
  *consumed = kBinaryHeaderBytes;
  return BinaryCodec::Result::kRequest;
}

bool HasShape(const BinarySpec& spec, const Header& header) {
  const bool no_extras = header.extras_bytes == 0 && spec.Takes(kMayLackExtras);
  if (header.extras_bytes != spec.extras_bytes && !no_extras) return false;
  if (header.key_bytes == 0 && spec.Takes(kNeedsKey)) return false;
  if (header.key_bytes > 0 && !spec.Takes(kNeedsKey | kMayHaveKey)) return false;
  return header.ValueBytes() == 0 || spec.Takes(kMayHaveValue);
}

void TakeExtras(std::string_view extras, Request* request) {
  if (extras.empty()) return;
  switch (request->command->verb) {
    case Verb::kIncr:
    case Verb::kDecr: {
      request->number = NumberAt<uint64_t>(extras, 0);
      request->initial = NumberAt<uint64_t>(extras, 8);
      const auto exptime = NumberAt<uint32_t>(extras, 16);
      // All bits set: what is not there is not made.
      if (exptime != UINT32_MAX) request->asks |= kAsksVivify;
      request->vivify_exptime = exptime;
      break;
    }
    case Verb::kVerbosity:
      request->number = NumberAt<uint32_t>(extras, 0);
      break;
    case Verb::kTouch:
    case Verb::kGat:
    case Verb::kFlushAll:
      request->exptime = NumberAt<uint32_t>(extras, 0);
      break;
    default:
      request->client_flags = NumberAt<uint32_t>(extras, 0);
      request->exptime = NumberAt<uint32_t>(extras, 4);
      break;
  }
}

// The words of a group of statistics ("detail on").
void TakeWords(std::string_view text, Request* request) {
  while (request->argument_count < kArgumentsMax) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (text.empty()) return;
    const size_t length = std::min(text.find(' '), text.size());
    request->arguments[request->argument_count++] = {text.data(), length};
    text.remove_prefix(length);
  }
}

}  // namespace

BinaryCodec::Result BinaryCodec::Decode(std::string_view input, Request* request,
                                        size_t* consumed) {
  *consumed = 0;
  if (input.empty()) return Result::kNeedMore;
  if (input[0] != kBinaryRequestMagic) return Result::kClose;
  if (input.size() < kBinaryHeaderBytes) return Result::kNeedMore;
  const Header header(input);
  std::construct_at(request);
  request->opcode = header.opcode;
  request->opaque = header.opaque;
  if (header.ValueBytes() < 0) return Break(Reply::kUnknownCommand, request, consumed);
  if (header.key_bytes > kKeyBytesMax || header.body_bytes > kBinaryBodyBytesMax) {
    return Break(Reply::kBadLine, request, consumed);
  }
  const BinarySpec* const spec = FindBinaryCommand(header.opcode);
  if (spec == nullptr) return Swallow(header, request, consumed);
  if (!HasShape(*spec, header)) return Break(Reply::kBadLine, request, consumed);
  const auto value_bytes = static_cast<uint64_t>(header.ValueBytes());
  const bool whole = spec->Takes(kNeedsWholeBody);
  if (whole && value_bytes > kCredentialsBytesMax) {
    request->error = Reply::kLoginFailed;
    return Swallow(header, request, consumed);
  }
  const size_t key_begin = kBinaryHeaderBytes + header.extras_bytes;
  const size_t key_end = key_begin + header.key_bytes;
  const size_t end = key_end + (whole ? static_cast<size_t>(value_bytes) : 0);
  if (input.size() < end) return Result::kNeedMore;
  request->command = &spec->command;
  request->line = spec->command.word;
  request->asks = spec->asks;
  if (header.cas_unique != 0) request->asks |= kAsksCompare;
  request->compare_cas = header.cas_unique;
  TakeExtras(input.substr(kBinaryHeaderBytes, header.extras_bytes), request);
  const std::string_view key = input.substr(key_begin, header.key_bytes);
  if (spec->command.verb == Verb::kStats) {
    TakeWords(key, request);
  } else {
    request->key.bytes = key;
  }
  if (whole) {
    request->arguments[request->argument_count++] = {input.data() + key_end, value_bytes};
  } else {
    request->value_bytes = value_bytes;
  }
  *consumed = end;
  return Result::kRequest;
}

BinaryCodec::Result BinaryCodec::DecodeLocked(std::string_view input, Request* request,
                                              size_t* consumed) {
  const bool has_header = input.size() >= kBinaryHeaderBytes && input[0] == kBinaryRequestMagic;
  if (!has_header) return Decode(input, request, consumed);
  const Header header(input);
  const BinarySpec* const spec = FindBinaryCommand(header.opcode);
  const bool is_open =
      spec != nullptr && (spec->command.Has(kLogsIn) || spec->command.verb == Verb::kVersion);
  // That a header contradicts itself is said first, as memcached does.
  if (is_open || header.ValueBytes() < 0) return Decode(input, request, consumed);
  std::construct_at(request);
  request->opcode = header.opcode;
  request->opaque = header.opaque;
  return Break(Reply::kUnauthenticated, request, consumed);
}

std::string_view BinaryCodec::GlanceAtKey(std::string_view input) {
  if (input.size() < kBinaryHeaderBytes) return {};
  const Header header(input);
  const size_t begin = kBinaryHeaderBytes + header.extras_bytes;
  if (header.key_bytes > kKeyBytesMax || begin + header.key_bytes > input.size()) return {};
  return input.substr(begin, header.key_bytes);
}

}  // namespace terraced::server
