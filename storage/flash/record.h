// Record: what flash holds of one item. Self-describing and self-verifying; the key of the RocksDB
// entry is the batch's serial (8 bytes, big endian) and the item's key, and both are covered by the
// record's CRC, so a record is good only where it belongs. Byte by byte in storage/README.md.
// Threads: pure functions. Errors: DecodeRecord answers kCorruption for anything it cannot prove,
// never reads past the input, and trusts no length before it was checked. Sizes: 40 bytes of
// header. LZ4 per value where it saves at least an eighth; values under kRecordLz4BytesMin stay as
// they are (the block is compressed instead, BatchStore).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "storage/base/status.h"

namespace terraced::storage {

constexpr uint32_t kRecordLz4BytesMin = 200;
constexpr uint8_t kRecordVersion = 1;
constexpr size_t kRecordHeaderBytes = 40;
// No value is longer: -I ends at 1 GiB.
constexpr size_t kRecordValueBytesMax = 1ULL << 30;
constexpr size_t kStoredKeyPrefixBytes = sizeof(uint64_t);

struct RecordMeta {
  uint64_t cas_unique = 0;
  uint64_t epoch = 0;  // flush epoch
  uint32_t client_flags = 0;
  uint32_t exptime_s = 0;
  uint32_t last_access_s = 0;
  bool fetched = false;
  bool stale = false;
  bool token_sent = false;
  bool binary_key = false;
};

// "serial + key" as RocksDB sees it.
std::string StoredKey(uint64_t serial, std::string_view key);
// The same into a string that is used again and again.
void AssignStoredKey(uint64_t serial, std::string_view key, std::string* to);
// The serial in front of a stored key of at least kStoredKeyPrefixBytes.
uint64_t SerialOfStoredKey(std::string_view stored_key);

// Appends the encoded record to *to. `value` is the whole value; the key has at most 255 bytes.
void EncodeRecord(uint64_t serial, std::string_view key, const RecordMeta& meta,
                  std::string_view value, std::string* to);

struct DecodedRecord {
  RecordMeta meta;
  std::string value;
};
Result<DecodedRecord> DecodeRecord(uint64_t serial, std::string_view key, std::string_view record);

}  // namespace terraced::storage
