#include "src/protocol/binary_reply.h"

#include <array>
#include <cstring>
#include <utility>

#include "src/commands/command_table.h"
#include "src/protocol/append.h"
#include "src/protocol/binary_codec.h"
#include "src/protocol/text_reply.h"
#include "storage/base/log.h"

namespace terraced::server {
namespace {

constexpr char kResponseMagic = '\x81';
constexpr size_t kFlagsBytes = 4;

// In network order.
template <typename Number>
char* AppendBigEndian(char* to, Number number) {
  for (size_t i = sizeof(Number); i > 0; --i) {
    *to++ = static_cast<char>(static_cast<uint8_t>(number >> (8 * (i - 1))));
  }
  return to;
}

bool Joins(const Request& request) {
  return request.command->verb == Verb::kAppend || request.command->verb == Verb::kPrepend;
}

// Of a store command that found something else than it needs: each has its own.
BinaryStatus StatusOfNotStored(const Request& request) {
  switch (request.command->verb) {
    case Verb::kAdd:
      return BinaryStatus::kExists;
    case Verb::kReplace:
      return BinaryStatus::kNotFound;
    default:
      return BinaryStatus::kNotStored;
  }
}

}  // namespace

BinaryStatus StatusOf(const Request& request, Reply reply) {
  switch (reply) {
    case Reply::kNotStored:
      return StatusOfNotStored(request);
    case Reply::kExists:
      return BinaryStatus::kExists;
    case Reply::kNotFound:
      return Joins(request) ? BinaryStatus::kNotStored : BinaryStatus::kNotFound;
    case Reply::kTooLarge:
      return BinaryStatus::kTooLarge;
    case Reply::kNonNumeric:
      return BinaryStatus::kNonNumeric;
    case Reply::kFlushNotAllowed:
    case Reply::kLoginFailed:
    case Reply::kUnauthenticated:
      return BinaryStatus::kAuthError;
    case Reply::kUnknownCommand:
      // A group of statistics that there is not.
      return request.command->verb == Verb::kStats ? BinaryStatus::kNotFound
                                                   : BinaryStatus::kUnknownCommand;
    case Reply::kNoMemoryToStore:
    case Reply::kNoMemoryToChange:
      return BinaryStatus::kNoMemory;
    case Reply::kFlashFailed:
      return BinaryStatus::kInternalError;
    case Reply::kStored:
    case Reply::kDeleted:
    case Reply::kTouched:
    case Reply::kOk:
    case Reply::kReset:
    case Reply::kEnd:
    case Reply::kVersion:
    case Reply::kMetaNoop:
    case Reply::kLoggedIn:
      return BinaryStatus::kSuccess;
    default:
      return BinaryStatus::kInvalidArguments;
  }
}

std::string_view TextOf(BinaryStatus status) {
  switch (status) {
    case BinaryStatus::kSuccess:
    case BinaryStatus::kAuthContinue:
      return {};
    case BinaryStatus::kNotFound:
      return "Not found";
    case BinaryStatus::kExists:
      return "Data exists for key.";
    case BinaryStatus::kTooLarge:
      return "Too large.";
    case BinaryStatus::kInvalidArguments:
      return "Invalid arguments";
    case BinaryStatus::kNotStored:
      return "Not stored.";
    case BinaryStatus::kNonNumeric:
      return "Non-numeric server-side value for incr or decr";
    case BinaryStatus::kAuthError:
      return "Auth failure.";
    case BinaryStatus::kUnknownCommand:
      return "Unknown command";
    case BinaryStatus::kNoMemory:
      return "Out of memory";
    case BinaryStatus::kInternalError:
      return "Flash read failed";
  }
  return {};
}

void BinaryReply::Answer(const Request& request, Reply reply) {
  const BinaryStatus status = StatusOf(request, reply);
  if (status == BinaryStatus::kSuccess && request.Asks(kAsksQuiet)) return;
  std::string_view text = TextOf(status);
  if (reply == Reply::kVersion) text = kProtocolVersion;
  if (reply == Reply::kLoggedIn) text = "Authenticated";
  Write({.opcode = request.opcode, .opaque = request.opaque, .status = status}, {}, {}, text);
}

void BinaryReply::Done(const Request& request, Reply reply, const tiering::ItemMeta& item) {
  const bool touched = reply == Reply::kTouched;
  // What is gone has no CAS unique.
  if (reply != Reply::kStored && !touched) {
    Answer(request, reply);
    return;
  }
  if (request.Asks(kAsksQuiet)) return;
  std::array<char, kFlagsBytes> flags;
  AppendBigEndian(flags.data(), item.client_flags);
  const std::string_view extras(flags.data(), touched ? flags.size() : 0);
  Write({.opcode = request.opcode, .opaque = request.opaque, .cas_unique = item.cas_unique}, extras,
        {}, {});
}

void BinaryReply::Number(const Request& request, uint64_t value, const tiering::ItemMeta& item) {
  if (request.Asks(kAsksQuiet)) return;
  std::array<char, sizeof(value)> number;
  AppendBigEndian(number.data(), value);
  Write({.opcode = request.opcode, .opaque = request.opaque, .cas_unique = item.cas_unique}, {}, {},
        {number.data(), number.size()});
}

void BinaryReply::Refuse(const Request& request, std::string_view why) {
  Write({.opcode = request.opcode,
         .opaque = request.opaque,
         .status = BinaryStatus::kInvalidArguments},
        {}, {}, why);
}

void BinaryReply::Mechanisms(const Request& request, std::string_view names) {
  Write({.opcode = request.opcode, .opaque = request.opaque}, {}, {}, names);
}

void BinaryReply::Challenge(const Request& request, std::string_view bytes) {
  const BinaryStatus status = BinaryStatus::kAuthContinue;
  Write({.opcode = request.opcode, .opaque = request.opaque, .status = status}, {}, {}, bytes);
}

tiering::ValueSink& BinaryReply::Value(const Request& request, bool cas_enabled) {
  request_ = &request;
  cas_enabled_ = cas_enabled;
  return *this;
}

void BinaryReply::Miss(const Request& request) {
  if (request.Asks(kAsksQuiet)) return;
  const bool with_key = request.Asks(kAsksKey);
  const BinaryStatus status = BinaryStatus::kNotFound;
  Write({.opcode = request.opcode, .opaque = request.opaque, .status = status}, {},
        with_key ? request.key.bytes : std::string_view(),
        with_key ? std::string_view() : TextOf(status));
}

void BinaryReply::Say(const Request& request, std::string_view line) {
  constexpr std::string_view kClientError = "CLIENT_ERROR ";
  if (line.starts_with(kClientError)) {
    Refuse(request, line.substr(kClientError.size()));
    return;
  }
  Stat("detailed", std::string(line) + "\r\n");
  Answer(request, Reply::kEnd);
}

void BinaryReply::Stat(std::string_view name, std::string_view value) {
  Write({.opcode = stat_opcode_, .opaque = stat_opaque_}, {}, name, value);
}

char* BinaryReply::WriteHeader(const Packet& packet, char* to) const {
  if (Log::On(LogLevel::kDebug)) {
    Log::Write(LogLevel::kDebug, ">%d opcode 0x%02x, status 0x%x", connection_,
               unsigned{packet.opcode}, static_cast<unsigned>(packet.status));
  }
  *to++ = kResponseMagic;
  to = AppendBigEndian(to, packet.opcode);
  to = AppendBigEndian(to, static_cast<uint16_t>(packet.key_bytes));
  to = AppendBigEndian(to, packet.extras_bytes);
  to = AppendBigEndian(to, uint8_t{0});  // data type
  to = AppendBigEndian(to, static_cast<uint16_t>(packet.status));
  const size_t body_bytes = packet.extras_bytes + packet.key_bytes + packet.value_bytes;
  to = AppendBigEndian(to, static_cast<uint32_t>(body_bytes));
  to = AppendBigEndian(to, packet.opaque);
  return AppendBigEndian(to, packet.cas_unique);
}

// Up to the value of a hit.
char* BinaryReply::WriteHit(const tiering::ItemMeta& meta, char* to) const {
  const std::string_view key = request_->Asks(kAsksKey) ? request_->key.bytes : std::string_view();
  to = WriteHeader({.opcode = request_->opcode,
                    .opaque = request_->opaque,
                    .extras_bytes = kFlagsBytes,
                    .key_bytes = key.size(),
                    .value_bytes = meta.value_bytes,
                    .cas_unique = cas_enabled_ ? meta.cas_unique : 0},
                   to);
  return Append(AppendBigEndian(to, meta.client_flags), key);
}

char* BinaryReply::Begin(const tiering::ItemMeta& meta) {
  char* const begin = output_->Reserve(kPacketBytesMax + meta.value_bytes);
  char* const value = WriteHit(meta, begin);
  output_->Commit(static_cast<size_t>(value - begin) + meta.value_bytes);
  return value;
}

void BinaryReply::Pinned(const tiering::ItemMeta& meta, storage::ItemRef ref) {
  char* const begin = output_->Reserve(kPacketBytesMax);
  output_->Commit(static_cast<size_t>(WriteHit(meta, begin) - begin));
  output_->Pin(std::move(ref), meta.value_bytes);
}

// A whole packet; the sizes of its parts are those of the parts.
void BinaryReply::Write(const Packet& packet, std::string_view extras, std::string_view key,
                        std::string_view value) {
  Packet whole = packet;
  whole.extras_bytes = static_cast<uint8_t>(extras.size());
  whole.key_bytes = key.size();
  whole.value_bytes = value.size();
  const size_t bytes = kBinaryHeaderBytes + extras.size() + key.size() + value.size();
  char* const begin = output_->Reserve(bytes);
  Append(Append(Append(WriteHeader(whole, begin), extras), key), value);
  output_->Commit(bytes);
}

}  // namespace terraced::server
