// Packets of memcached's binary protocol, for tests: requests are built, also wrong ones, and replies taken apart.
// Threads: pure functions. Ownership: all by value. Errors: bytes that are no reply become a text in angle brackets.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace terraced::support {

constexpr size_t kBinaryHeader = 24;

enum BinaryOpcode : uint8_t {
  kGetOp = 0x00,
  kSetOp = 0x01,
  kAddOp = 0x02,
  kReplaceOp = 0x03,
  kDeleteOp = 0x04,
  kIncrementOp = 0x05,
  kDecrementOp = 0x06,
  kQuitOp = 0x07,
  kFlushOp = 0x08,
  kGetQOp = 0x09,
  kNoopOp = 0x0a,
  kVersionOp = 0x0b,
  kGetKOp = 0x0c,
  kGetKQOp = 0x0d,
  kAppendOp = 0x0e,
  kPrependOp = 0x0f,
  kStatOp = 0x10,
  kSetQOp = 0x11,
  kAddQOp = 0x12,
  kReplaceQOp = 0x13,
  kDeleteQOp = 0x14,
  kIncrementQOp = 0x15,
  kDecrementQOp = 0x16,
  kQuitQOp = 0x17,
  kFlushQOp = 0x18,
  kAppendQOp = 0x19,
  kPrependQOp = 0x1a,
  kVerbosityOp = 0x1b,
  kTouchOp = 0x1c,
  kGatOp = 0x1d,
  kGatQOp = 0x1e,
  kSaslListOp = 0x20,
  kSaslAuthOp = 0x21,
  kSaslStepOp = 0x22,
  kGatKOp = 0x23,
  kGatKQOp = 0x24,
};

// In network order.
inline std::string BigEndian(uint64_t number, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) {
    text[bytes - 1 - i] = static_cast<char>(static_cast<uint8_t>(number >> (8 * i)));
  }
  return text;
}

inline uint64_t NumberIn(std::string_view bytes) {
  uint64_t number = 0;
  for (const char byte : bytes) number = number << 8U | static_cast<uint8_t>(byte);
  return number;
}

struct BinaryRequest {
  uint8_t opcode = 0;
  std::string key = {};
  std::string extras = {};
  std::string value = {};
  uint64_t cas = 0;
  uint32_t opaque = 0x0badcafe;
  uint8_t magic = 0x80;
  // What the header says of them, where that is not so.
  std::optional<uint16_t> key_bytes = {};
  std::optional<uint8_t> extras_bytes = {};
  std::optional<uint32_t> body_bytes = {};

  std::string Bytes() const {
    const size_t body = extras.size() + key.size() + value.size();
    return BigEndian(magic, 1) + BigEndian(opcode, 1) +
           BigEndian(key_bytes.value_or(static_cast<uint16_t>(key.size())), 2) +
           BigEndian(extras_bytes.value_or(static_cast<uint8_t>(extras.size())), 1) +
           std::string(3, '\0') +  // data type, vbucket
           BigEndian(body_bytes.value_or(static_cast<uint32_t>(body)), 4) + BigEndian(opaque, 4) +
           BigEndian(cas, 8) + extras + key + value;
  }
};

inline std::string StoreExtras(uint32_t flags = 5, uint32_t exptime = 0) {
  return BigEndian(flags, 4) + BigEndian(exptime, 4);
}
inline std::string CountExtras(uint64_t delta, uint64_t initial, uint32_t exptime) {
  return BigEndian(delta, 8) + BigEndian(initial, 8) + BigEndian(exptime, 4);
}
constexpr uint32_t kDoNotMake = 0xffffffff;  // exptime of incr and decr

// The extras that the opcode takes, with numbers that do no harm.
inline std::string UsualExtras(uint8_t opcode) {
  switch (opcode) {
    case kSetOp:
    case kAddOp:
    case kReplaceOp:
    case kSetQOp:
    case kAddQOp:
    case kReplaceQOp:
      return StoreExtras();
    case kIncrementOp:
    case kDecrementOp:
    case kIncrementQOp:
    case kDecrementQOp:
      return CountExtras(3, 10, 0);
    case kTouchOp:
    case kGatOp:
    case kGatQOp:
    case kGatKOp:
    case kGatKQOp:
    case kVerbosityOp:
      return BigEndian(0, 4);
    default:
      return {};
  }
}

inline std::string Packet(uint8_t opcode, const std::string& key = "",
                          const std::string& value = "", uint64_t cas = 0) {
  return BinaryRequest{
      .opcode = opcode, .key = key, .extras = UsualExtras(opcode), .value = value, .cas = cas}
      .Bytes();
}

struct BinaryResponse {
  uint8_t opcode = 0;
  uint16_t status = 0;
  uint32_t opaque = 0;
  uint64_t cas = 0;
  std::string extras;
  std::string key;
  std::string value;

  // One line. The CAS unique only as zero or not: each server has its own.
  std::string Describe() const {
    char head[80];
    std::snprintf(head, sizeof head, "op=%02x status=%x opaque=%x cas=%d", unsigned{opcode},
                  unsigned{status}, unsigned{opaque}, cas != 0 ? 1 : 0);
    std::string text = head;
    if (!extras.empty()) text += " flags=" + std::to_string(NumberIn(extras));
    if (!key.empty()) text += " key=" + key;
    return text + " value=" + value;
  }
};

// How long the first reply is; 0: it is not all there.
inline size_t ResponseBytes(std::string_view bytes) {
  if (bytes.size() < kBinaryHeader) return 0;
  const size_t all = kBinaryHeader + NumberIn(bytes.substr(8, 4));
  return bytes.size() < all ? 0 : all;
}

inline BinaryResponse ParseResponse(std::string_view bytes) {
  BinaryResponse response;
  response.opcode = static_cast<uint8_t>(bytes[1]);
  response.status = static_cast<uint16_t>(NumberIn(bytes.substr(6, 2)));
  response.opaque = static_cast<uint32_t>(NumberIn(bytes.substr(12, 4)));
  response.cas = NumberIn(bytes.substr(16, 8));
  const size_t key_bytes = NumberIn(bytes.substr(2, 2));
  const size_t extras_bytes = NumberIn(bytes.substr(4, 1));
  const std::string_view body = bytes.substr(kBinaryHeader);
  response.extras = body.substr(0, extras_bytes);
  response.key = body.substr(extras_bytes, key_bytes);
  response.value = body.substr(extras_bytes + key_bytes);
  return response;
}

inline std::vector<BinaryResponse> ParseResponses(std::string_view bytes) {
  std::vector<BinaryResponse> responses;
  for (size_t size = ResponseBytes(bytes); size > 0; size = ResponseBytes(bytes)) {
    responses.push_back(ParseResponse(bytes.substr(0, size)));
    bytes.remove_prefix(size);
  }
  return responses;
}

// A line for each reply; what is none is shown as it is.
inline std::string DescribeResponses(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t size = bytes[0] == '\x81' ? ResponseBytes(bytes) : 0;
    if (size == 0) return text + "<" + std::string(bytes) + ">\n";
    text += ParseResponse(bytes.substr(0, size)).Describe() + "\n";
    bytes.remove_prefix(size);
  }
  return text;
}

}  // namespace terraced::support
