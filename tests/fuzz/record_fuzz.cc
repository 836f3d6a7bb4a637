// The flash record: [control] [serial 8] [key length] [key] [record]. Control 1: the record's CRC is mended, so that
// what stands behind it is reached. What is accepted must be within its limits, encode to the same record again, and
// be refused under another serial, under another key and with any of its bits changed.
#include <cstring>
#include <string>

#include "storage/base/hash.h"
#include "storage/flash/record.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"

namespace terraced::fuzz {
namespace {

using storage::DecodedRecord;
using storage::DecodeRecord;
using storage::RecordMeta;

// As storage/README.md has it, "Record".
constexpr size_t kBitsAt = 1;
constexpr size_t kKeyBytesAt = 2;
constexpr size_t kCrcAt = 4;
constexpr size_t kValueBytesAt = 20;
constexpr uint8_t kBitLz4 = 1;

std::string_view BytesOf(const uint64_t& number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

void MendCrc(uint64_t serial, std::string_view key, std::string* record) {
  if (record->size() < storage::kRecordHeaderBytes) return;
  std::memset(record->data() + kCrcAt, 0, sizeof(uint32_t));
  const uint32_t crc = Crc32c(Crc32c(Crc32c(0, BytesOf(serial)), key), *record);
  std::memcpy(record->data() + kCrcAt, &crc, sizeof(crc));
}

bool Same(const RecordMeta& left, const RecordMeta& right) {
  return left.cas_unique == right.cas_unique && left.epoch == right.epoch &&
         left.client_flags == right.client_flags && left.exptime_s == right.exptime_s &&
         left.last_access_s == right.last_access_s && left.fetched == right.fetched &&
         left.stale == right.stale && left.token_sent == right.token_sent &&
         left.binary_key == right.binary_key;
}

void CheckLimits(std::string_view key, std::string_view record, const DecodedRecord& decoded) {
  uint32_t value_bytes = 0;
  std::memcpy(&value_bytes, record.data() + kValueBytesAt, sizeof(value_bytes));
  FUZZ_CHECK(decoded.value.size() == value_bytes);
  FUZZ_CHECK(decoded.value.size() <= storage::kRecordValueBytesMax);
  FUZZ_CHECK(static_cast<uint8_t>(record[kKeyBytesAt]) == key.size());
}

void CheckEncodesAgain(uint64_t serial, std::string_view key, std::string_view record,
                       const DecodedRecord& decoded) {
  std::string again;
  storage::EncodeRecord(serial, key, decoded.meta, decoded.value, &again);
  // Compressed, or not compressed though it could be, it may look different and must mean the same.
  const bool plain = (record[kBitsAt] & kBitLz4) == 0 && (again[kBitsAt] & kBitLz4) == 0;
  FUZZ_CHECK(!plain || again == record);
  const Result<DecodedRecord> twice = DecodeRecord(serial, key, again);
  FUZZ_CHECK(twice.ok());
  FUZZ_CHECK(twice.value().value == decoded.value);
  FUZZ_CHECK(Same(twice.value().meta, decoded.meta));
}

// A CRC finds every change of a single bit.
void CheckBelongs(uint64_t serial, std::string_view key, std::string_view record, uint32_t bit) {
  FUZZ_CHECK(!DecodeRecord(serial ^ (1ULL << (bit % 64)), key, record).ok());
  const auto mask = static_cast<char>(1U << (bit % 8));
  if (!key.empty()) {
    std::string other(key);
    other[(bit / 8) % other.size()] ^= mask;
    FUZZ_CHECK(!DecodeRecord(serial, other, record).ok());
  }
  std::string changed(record);
  changed[(bit / 8) % changed.size()] ^= mask;
  FUZZ_CHECK(!DecodeRecord(serial, key, changed).ok());
}

void RunRecord(std::string_view bytes) {
  FuzzInput input(bytes);
  const bool mend = (input.Byte() & 1U) != 0;
  const auto serial = input.Take<uint64_t>();
  const std::string_view key = input.Take(input.Byte());
  std::string record(input.Rest());
  if (mend) MendCrc(serial, key, &record);

  const Result<DecodedRecord> decoded = DecodeRecord(serial, key, record);
  if (!decoded.ok()) {
    FUZZ_CHECK(decoded.status().code() == StatusCode::kCorruption);
    return;
  }
  CheckLimits(key, record, decoded.value());
  CheckEncodesAgain(serial, key, record, decoded.value());
  CheckBelongs(serial, key, record, static_cast<uint32_t>(decoded.value().meta.cas_unique));
  const std::string stored = storage::StoredKey(serial, key);
  FUZZ_CHECK(storage::SerialOfStoredKey(stored) == serial);
  FUZZ_CHECK(std::string_view(stored).substr(storage::kStoredKeyPrefixBytes) == key);
}

const FuzzRegistration kRegistration("record", &RunRecord);

}  // namespace
}  // namespace terraced::fuzz
