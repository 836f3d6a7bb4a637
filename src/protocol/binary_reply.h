// BinaryReply: writes answers in memcached's binary protocol: a packet for each, which repeats opcode and opaque of its
// request. Values are copied (or pinned) straight to where they are sent from.
// Threads: one per worker. Ownership: borrows the output that it was last bound to.
// Sizes: without its value a packet has at most kPacketBytesMax, unless it is a statistic.
#pragma once

#include <cstdint>
#include <string_view>

#include "src/protocol/reply_sink.h"

namespace terraced::server {

// Of a response packet. What memcached 1.6.18 sends, and kInternalError, which protocols derived from it have.
enum class BinaryStatus : uint16_t {
  kSuccess = 0x00,
  kNotFound = 0x01,
  kExists = 0x02,
  kTooLarge = 0x03,
  kInvalidArguments = 0x04,
  kNotStored = 0x05,
  kNonNumeric = 0x06,
  kAuthError = 0x20,
  kAuthContinue = 0x21,
  kUnknownCommand = 0x81,
  kNoMemory = 0x82,
  kInternalError = 0x84,
};

class BinaryReply final : public ReplySink, private tiering::ValueSink {
 public:
  // Answers go to `output` from here on; `connection` is the number shown at -vv.
  void Bind(ReplyOutput* output, int connection) {
    output_ = output;
    connection_ = connection;
  }
  // Whose statistics are written from here on.
  void BeginStats(const Request& request) {
    stat_opcode_ = request.opcode;
    stat_opaque_ = request.opaque;
  }

  void Answer(const Request& request, Reply reply) override;
  void Done(const Request& request, Reply reply, const tiering::ItemMeta& item) override;
  void Number(const Request& request, uint64_t value, const tiering::ItemMeta& item) override;
  void Refuse(const Request& request, std::string_view why) override;
  // One packet, as of a statistic that is called `detailed`: nothing else says lines in binary.
  void Say(const Request& request, std::string_view line) override;
  // The request outlives the call of the cache.
  tiering::ValueSink& Value(const Request& request, bool cas_enabled) override;
  void Miss(const Request& request) override;
  void End(const Request&) override {}
  void Stat(std::string_view name, std::string_view value) override;
  // Of the SASL opcodes: what there is, and what the client has to answer.
  void Mechanisms(const Request& request, std::string_view names);
  void Challenge(const Request& request, std::string_view bytes);

 private:
  static constexpr size_t kPacketBytesMax = 24 + 4 + kKeyBytesMax;

  struct Packet {
    uint8_t opcode = 0;
    uint32_t opaque = 0;
    BinaryStatus status = BinaryStatus::kSuccess;
    uint8_t extras_bytes = 0;
    size_t key_bytes = 0;
    size_t value_bytes = 0;
    uint64_t cas_unique = 0;
  };

  char* Begin(const tiering::ItemMeta& meta) override;
  void Pinned(const tiering::ItemMeta& meta, storage::ItemRef ref) override;
  char* WriteHit(const tiering::ItemMeta& meta, char* to) const;
  char* WriteHeader(const Packet& packet, char* to) const;
  void Write(const Packet& packet, std::string_view extras, std::string_view key,
             std::string_view value);

  ReplyOutput* output_ = nullptr;
  int connection_ = -1;
  const Request* request_ = nullptr;
  bool cas_enabled_ = true;
  uint8_t stat_opcode_ = 0;
  uint32_t stat_opaque_ = 0;
};

// What such a reply to the request is on the wire.
BinaryStatus StatusOf(const Request& request, Reply reply);
// The body of a packet with that status; of a success it is empty.
std::string_view TextOf(BinaryStatus status);

}  // namespace terraced::server
