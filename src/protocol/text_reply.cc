#include "src/protocol/text_reply.h"

#include <array>
#include <cstring>
#include <string>

#include "src/commands/command_table.h"
#include "src/protocol/append.h"
#include "storage/base/log.h"

namespace terraced::server {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kValue = "VALUE ";
// "VALUE ", the key, three numbers of at most 10, 10 and 20 digits with their spaces, line end.
constexpr size_t kHeaderBytesMax = 6 + kKeyBytesMax + 3 + 10 + 10 + 20 + 2;

}  // namespace

std::string_view TextOf(Reply reply) {
  static constexpr std::array<std::string_view, static_cast<size_t>(Reply::kCount)> kTexts = {
      "",
      "STORED\r\n",
      "NOT_STORED\r\n",
      "EXISTS\r\n",
      "NOT_FOUND\r\n",
      "DELETED\r\n",
      "TOUCHED\r\n",
      "OK\r\n",
      "RESET\r\n",
      "END\r\n",
      "VERSION 1.6.18\r\n",
      "ERROR\r\n",
      "CLIENT_ERROR bad command line format\r\n",
      "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n",
      "CLIENT_ERROR invalid exptime argument\r\n",
      "CLIENT_ERROR invalid numeric delta argument\r\n",
      "CLIENT_ERROR bad data chunk\r\n",
      "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
      "SERVER_ERROR object too large for cache\r\n",
      "SERVER_ERROR out of memory storing object\r\n",
      "SERVER_ERROR out of memory\r\n",
      "SERVER_ERROR flash read failed\r\n",
      "CLIENT_ERROR flush_all not allowed\r\n",
      "MN\r\n",
      "CLIENT_ERROR invalid numeric delta value\r\n",
      "CLIENT_ERROR invalid numeric initial value\r\n",
      "CLIENT_ERROR options flags are too long\r\n",
      "CLIENT_ERROR options flags too long\r\n",
      "CLIENT_ERROR duplicate flag\r\n",
      "CLIENT_ERROR invalid flag\r\n",
      "CLIENT_ERROR invalid or duplicate flag\r\n",
      "CLIENT_ERROR bad token in command line format\r\n",
      "CLIENT_ERROR opaque token too long\r\n",
      "CLIENT_ERROR error decoding key\r\n",
      "CLIENT_ERROR incorrect length for M token\r\n",
      "CLIENT_ERROR invalid mode for ms M token\r\n",
      "CLIENT_ERROR invalid mode for ma M token\r\n",
      "ERROR: shutdown not enabled\r\n",
      "CLIENT_ERROR invalid shutdown mode\r\n",
      "Error TLS not enabled\r\n",
      "CLIENT_ERROR watch commands not allowed\r\n",
      "ERROR cannot pipeline other commands before watch\r\n",
      "WATCHER_TOO_MANY log watcher limit reached\r\n",
      "WATCHER_FAILED failed to add log watcher\r\n",
      "STORED\r\n",
      "CLIENT_ERROR authentication failure\r\n",
      "CLIENT_ERROR unauthenticated\r\n",
      "CLIENT_ERROR bad authentication token format\r\n",
      "CLIENT_ERROR auth token too long\r\n",
      "CLIENT_ERROR bad command line termination\r\n",
  };
  static_assert(kTexts[static_cast<size_t>(Reply::kVersion)].substr(8, 6) == kProtocolVersion);
  static_assert(!kTexts.back().empty(), "every Reply has its text");
  return kTexts[static_cast<size_t>(reply)];
}

void TextReply::Answer(const Request& request, Reply reply) {
  const std::string_view text = TextOf(reply);
  Show(request, text.substr(0, text.size() - kLineEnd.size()));
  if (!request.noreply) Write(text);
}

void TextReply::Done(const Request& request, Reply reply, const tiering::ItemMeta&) {
  Answer(request, reply);
}

void TextReply::Number(const Request& request, uint64_t value, const tiering::ItemMeta&) {
  std::array<char, 24> text;
  char* end = AppendNumber(text.data(), value);
  Show(request, {text.data(), static_cast<size_t>(end - text.data())});
  if (request.noreply) return;
  end = Append(end, kLineEnd);
  Write({text.data(), static_cast<size_t>(end - text.data())});
}

void TextReply::Say(const Request& request, std::string_view line) {
  Show(request, line);
  if (request.noreply) return;
  Write(line);
  Write(kLineEnd);
}

void TextReply::Refuse(const Request& request, std::string_view why) {
  const std::string line = "CLIENT_ERROR " + std::string(why);
  Show(request, line);
  if (!request.noreply) Write(line + std::string(kLineEnd));
}

tiering::ValueSink& TextReply::Value(const Request& request, bool cas_enabled) {
  key_ = request.key.bytes;
  with_cas_ = request.command->Has(kAnswersCas);
  cas_enabled_ = cas_enabled;
  return *this;
}

void TextReply::End(const Request& request) {
  Answer(request, Reply::kEnd);
}

void TextReply::Stat(std::string_view name, std::string_view value) {
  const std::array<std::string_view, 5> parts = {"STAT ", name, " ", value, kLineEnd};
  size_t bytes = 0;
  for (const std::string_view part : parts) bytes += part.size();
  char* to = output_->Reserve(bytes);
  for (const std::string_view part : parts) to = Append(to, part);
  output_->Commit(bytes);
}

char* TextReply::WriteHeader(const tiering::ItemMeta& meta, char* to) const {
  if (Log::On(LogLevel::kDebug)) {
    Log::Write(LogLevel::kDebug, ">%d sending key %.*s", connection_, static_cast<int>(key_.size()),
               key_.data());
  }
  to = Append(Append(to, kValue), key_);
  *to++ = ' ';
  to = AppendNumber(to, meta.client_flags);
  *to++ = ' ';
  to = AppendNumber(to, meta.value_bytes);
  if (with_cas_) {
    *to++ = ' ';
    to = AppendNumber(to, cas_enabled_ ? meta.cas_unique : 0);
  }
  return Append(to, kLineEnd);
}

char* TextReply::Begin(const tiering::ItemMeta& meta) {
  char* const begin = output_->Reserve(kHeaderBytesMax + meta.value_bytes + kLineEnd.size());
  char* const value = WriteHeader(meta, begin);
  char* const end = Append(value + meta.value_bytes, kLineEnd);
  output_->Commit(static_cast<size_t>(end - begin));
  return value;
}

void TextReply::Pinned(const tiering::ItemMeta& meta, storage::ItemRef ref) {
  char* const begin = output_->Reserve(kHeaderBytesMax);
  output_->Commit(static_cast<size_t>(WriteHeader(meta, begin) - begin));
  output_->Pin(std::move(ref), meta.value_bytes);
  Write(kLineEnd);
}

void TextReply::Write(std::string_view bytes) {
  Append(output_->Reserve(bytes.size()), bytes);
  output_->Commit(bytes.size());
}

void TextReply::Show(const Request& request, std::string_view text) const {
  if (!Log::On(LogLevel::kDebug)) return;
  Log::Write(LogLevel::kDebug, ">%d %s%.*s", connection_, request.noreply ? "NOREPLY " : "",
             static_cast<int>(text.size()), text.data());
}

}  // namespace terraced::server
