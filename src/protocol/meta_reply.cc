#include "src/protocol/meta_reply.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "src/commands/command_table.h"
#include "src/protocol/append.h"
#include "src/protocol/base64.h"
#include "src/protocol/meta_codec.h"
#include "src/protocol/text_reply.h"
#include "storage/base/log.h"

namespace terraced::server {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

char* AppendFlag(char* to, char letter, uint64_t number) {
  *to++ = ' ';
  *to++ = letter;
  return AppendNumber(to, number);
}

// The two letters of an answer that has flags; empty: it is an error, with its own line.
std::string_view CodeOf(Reply reply) {
  switch (reply) {
    case Reply::kStored:
    case Reply::kDeleted:
    case Reply::kTouched:
      return "HD";
    case Reply::kNotStored:
      return "NS";
    case Reply::kExists:
      return "EX";
    case Reply::kNotFound:
      return "NF";
    default:
      return {};
  }
}

// mg shows a key as the item was stored; only what a line cannot hold, as the binary protocol may store it, never plainly.
bool NeedsBase64(const Request& request, const tiering::ItemMeta& item) {
  return item.binary_key || BreaksALine(request.key.bytes);
}

// The wall clock may have been set back meanwhile.
uint32_t SecondsSince(uint32_t then_s, uint32_t now_s) {
  return now_s - std::min(now_s, then_s);
}

// -1: it does not end.
int64_t TtlOf(uint32_t exptime_s, uint32_t now_s) {
  if (exptime_s == kExptimeNever) return -1;
  return exptime_s > now_s ? exptime_s - now_s : 0;
}

}  // namespace

void MetaReply::Answer(const Request& request, Reply reply) {
  if (!CodeOf(reply).empty()) {
    Done(request, reply, {});
    return;
  }
  Write(TextOf(reply));
}

void MetaReply::Done(const Request& request, Reply reply, const tiering::ItemMeta& item) {
  const std::string_view code = CodeOf(reply);
  if (code.empty()) {
    Answer(request, reply);
    return;
  }
  if (code == "HD" && request.Asks(kAsksQuiet)) return;
  char* const begin = output_->Reserve(kLineBytesMax);
  char* const to = Append(begin, code);
  // Where ma has not counted, it says nothing of an item.
  const bool echoes = request.command->verb == Verb::kMetaArithmetic && code != "HD";
  Finish(begin, echoes ? WriteEcho(request, to) : WriteFlags(request, item, to));
}

void MetaReply::Number(const Request& request, uint64_t value, const tiering::ItemMeta& item) {
  // That an item was made is said all the same.
  if (request.Asks(kAsksQuiet) && !item.created) return;
  char* const begin = output_->Reserve(kLineBytesMax);
  char* to = begin;
  std::array<char, 20> digits;
  const auto length = static_cast<size_t>(AppendNumber(digits.data(), value) - digits.data());
  const bool with_value = request.Asks(kAsksValue);
  to = Append(to, with_value ? "VA " : "HD");
  if (with_value) to = AppendNumber(to, length);
  to = WriteFlagsInTurn(request, item, to);
  if (with_value) to = Append(Append(to, kLineEnd), {digits.data(), length});
  Finish(begin, to);
}

void MetaReply::Refuse(const Request&, std::string_view why) {
  Write("CLIENT_ERROR " + std::string(why) + std::string(kLineEnd));
}

tiering::ValueSink& MetaReply::Value(const Request& request, bool cas_enabled) {
  request_ = &request;
  cas_enabled_ = cas_enabled;
  return *this;
}

void MetaReply::Miss(const Request& request) {
  const bool gets = request.command->verb == Verb::kMetaGet;
  if (gets && request.Asks(kAsksQuiet)) return;
  char* const begin = output_->Reserve(kLineBytesMax);
  char* const to = Append(begin, "EN");
  Finish(begin, gets ? WriteEcho(request, to) : to);
}

char* MetaReply::WriteEcho(const Request& request, char* to) const {
  std::string_view flags = request.flags;
  for (std::string_view flag = TakeToken(&flags); !flag.empty(); flag = TakeToken(&flags)) {
    if (flag[0] == 'k') to = WriteKeyFlag(request, request.Asks(kAsksBinaryKey), to);
    if (flag[0] == 'O') to = WriteFlag(request, flag, {}, to);
  }
  return to;
}

char* MetaReply::WriteKey(const Request& request, bool binary, char* to) const {
  const std::string_view key = request.key.bytes;
  return binary ? EncodeBase64(key, to) : Append(to, key);
}

char* MetaReply::WriteKeyFlag(const Request& request, bool binary, char* to) const {
  to = WriteKey(request, binary, Append(to, " k"));
  return binary ? Append(to, " b") : to;
}

char* MetaReply::WriteFlags(const Request& request, const tiering::ItemMeta& item, char* to) const {
  std::string_view flags = request.flags;
  for (std::string_view flag = TakeToken(&flags); !flag.empty(); flag = TakeToken(&flags)) {
    to = WriteFlag(request, flag, item, to);
  }
  return to;
}

char* MetaReply::WriteFlagsInTurn(const Request& request, const tiering::ItemMeta& found,
                                  char* to) const {
  tiering::ItemMeta item = found;
  std::string_view flags = request.flags;
  for (std::string_view flag = TakeToken(&flags); !flag.empty(); flag = TakeToken(&flags)) {
    if (flag[0] == 'N' && item.created) {
      item.exptime_s = AbsoluteExptime(request.vivify_exptime, clock_);
    }
    if (flag[0] == 'T') item.exptime_s = AbsoluteExptime(request.exptime, clock_);
    to = WriteFlag(request, flag, item, to);
  }
  return to;
}

// What a flag of the request is answered with; most are not.
char* MetaReply::WriteFlag(const Request& request, std::string_view flag,
                           const tiering::ItemMeta& item, char* to) const {
  const Verb verb = request.command->verb;
  const bool gets = verb == Verb::kMetaGet;
  switch (flag[0]) {
    case 'O':
      *to++ = ' ';
      return Append(to, flag);
    case 'k':
      return WriteKeyFlag(request, gets ? NeedsBase64(request, item) : request.Asks(kAsksBinaryKey),
                          to);
    case 'c':
      if (verb == Verb::kMetaDelete) return to;
      return AppendFlag(to, 'c', cas_enabled_ ? item.cas_unique : 0);
    case 't': {
      if (!gets && verb != Verb::kMetaArithmetic) return to;
      to = Append(to, " t");
      return AppendNumber(to, TtlOf(item.exptime_s, clock_.NowS()));
    }
    case 's':
      return gets || verb == Verb::kMetaSet ? AppendFlag(to, 's', item.value_bytes) : to;
    case 'f':
      return gets ? AppendFlag(to, 'f', item.client_flags) : to;
    case 'h':
      return gets ? AppendFlag(to, 'h', item.fetched ? 1 : 0) : to;
    case 'l':
      return gets ? AppendFlag(to, 'l', SecondsSince(item.last_access_s, clock_.NowS())) : to;
    default:
      return to;
  }
}

// mg's C: who has this version of the item already needs its value no more.
bool MetaReply::SendsValue(const tiering::ItemMeta& meta) const {
  if (!request_->Asks(kAsksValue) || request_->command->verb != Verb::kMetaGet) return false;
  return !request_->Asks(kAsksCompare) || !cas_enabled_ || meta.cas_unique != request_->compare_cas;
}

char* MetaReply::WriteHit(const tiering::ItemMeta& meta, char* to) const {
  const bool with_value = SendsValue(meta);
  to = Append(to, with_value ? "VA " : "HD");
  if (with_value) to = AppendNumber(to, meta.value_bytes);
  to = WriteFlagsInTurn(*request_, meta, to);
  if (meta.token_sent) to = Append(to, " Z");
  if (meta.stale) to = Append(to, " X");
  if (meta.won) to = Append(to, " W");
  return to;
}

char* MetaReply::WriteDebug(const tiering::ItemMeta& meta, char* to) const {
  const uint32_t now_s = clock_.NowS();
  to = WriteKey(*request_, NeedsBase64(*request_, meta), Append(to, "ME "));
  to = AppendNumber(Append(to, " exp="), TtlOf(meta.exptime_s, now_s));
  to = AppendNumber(Append(to, " la="), SecondsSince(meta.last_access_s, now_s));
  to = AppendNumber(Append(to, " cas="), cas_enabled_ ? meta.cas_unique : 0);
  to = Append(to, meta.fetched ? " fetch=yes" : " fetch=no");
  to = AppendNumber(Append(to, " cls="), uint32_t{meta.slab_class});
  return AppendNumber(Append(to, " size="), meta.item_bytes);
}

char* MetaReply::Begin(const tiering::ItemMeta& meta) {
  const bool with_value = SendsValue(meta);
  const uint32_t value_bytes = with_value ? meta.value_bytes : 0;
  char* const begin = output_->Reserve(kLineBytesMax + value_bytes + kLineEnd.size());
  const bool debugs = request_->command->verb == Verb::kMetaDebug;
  char* const line_end = debugs ? WriteDebug(meta, begin) : WriteHit(meta, begin);
  if (!with_value) {
    Finish(begin, line_end);
    return nullptr;
  }
  char* const value = Append(line_end, kLineEnd);
  Finish(begin, value + value_bytes);
  return value;
}

void MetaReply::Pinned(const tiering::ItemMeta& meta, storage::ItemRef ref) {
  char* const begin = output_->Reserve(kLineBytesMax);
  Finish(begin, WriteHit(meta, begin));
  if (!SendsValue(meta)) return;
  output_->Pin(std::move(ref), meta.value_bytes);
  Write(kLineEnd);
}

void MetaReply::Finish(char* begin, char* end) {
  end = Append(end, kLineEnd);
  output_->Commit(static_cast<size_t>(end - begin));
}

void MetaReply::Write(std::string_view bytes) {
  if (Log::On(LogLevel::kDebug)) {
    const std::string_view line = bytes.substr(0, bytes.find('\r'));
    Log::Write(LogLevel::kDebug, ">%d %.*s", connection_, static_cast<int>(line.size()),
               line.data());
  }
  Append(output_->Reserve(bytes.size()), bytes);
  output_->Commit(bytes.size());
}

}  // namespace terraced::server
