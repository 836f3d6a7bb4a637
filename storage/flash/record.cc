#include "storage/flash/record.h"

#include <lz4.h>

#include <bit>
#include <cstring>

#include "storage/base/check.h"
#include "storage/base/hash.h"

namespace terraced::storage {
namespace {

static_assert(std::endian::native == std::endian::little,
              "records are little endian as they lie in memory");

// The header as it lies on flash. The payload follows: the value, or its LZ4 block under kBitLz4.
struct RecordHeader {
  uint8_t version;
  uint8_t bits;
  uint8_t key_bytes;
  uint8_t reserved;  // 0
  uint32_t crc;      // CRC-32C of serial, key, this header with crc = 0, payload
  uint32_t client_flags;
  uint32_t exptime_s;
  uint32_t last_access_s;
  uint32_t value_bytes;  // before compression
  uint64_t cas_unique;
  // All 64 bits: a client that sends flush_all in a loop passes 2^32 within hours, and a truncated
  // epoch would compare equal to one long gone.
  uint64_t epoch;
};
static_assert(sizeof(RecordHeader) == kRecordHeaderBytes);
static_assert(std::has_unique_object_representations_v<RecordHeader>,
              "no padding reaches the disk");

constexpr uint8_t kBitLz4 = 1U << 0;
constexpr uint8_t kBitFetched = 1U << 1;
constexpr uint8_t kBitStale = 1U << 2;
constexpr uint8_t kBitTokenSent = 1U << 3;
constexpr uint8_t kBitBinaryKey = 1U << 4;
constexpr uint8_t kBitsKnown = kBitLz4 | kBitFetched | kBitStale | kBitTokenSent | kBitBinaryKey;

// An LZ4 block cannot grow by more than 255 times; a header that claims more is not believed, so
// that a forged record cannot make us allocate a gigabyte.
constexpr uint64_t kLz4ExpansionMax = 255;

uint8_t BitsOf(const RecordMeta& meta) {
  uint8_t bits = 0;
  if (meta.fetched) bits |= kBitFetched;
  if (meta.stale) bits |= kBitStale;
  if (meta.token_sent) bits |= kBitTokenSent;
  if (meta.binary_key) bits |= kBitBinaryKey;
  return bits;
}

uint32_t RecordCrc(uint64_t serial, std::string_view key, RecordHeader header,
                   std::string_view payload) {
  header.crc = 0;
  uint32_t crc =
      Crc32c(0, std::string_view(reinterpret_cast<const char*>(&serial), sizeof(serial)));
  crc = Crc32c(crc, key);
  crc = Crc32c(crc, std::string_view(reinterpret_cast<const char*>(&header), sizeof(header)));
  return Crc32c(crc, payload);
}

// A stream of our own, reset before each value: LZ4's calls without one clear a table of 16 KB every time, which
// costs as much as compressing a small value does.
LZ4_stream_t* FreshLz4Stream() {
  struct Stream {
    Stream() { LZ4_initStream(&state, sizeof(state)); }
    LZ4_stream_t state;
  };
  thread_local Stream stream;
  LZ4_resetStream_fast(&stream.state);
  return &stream.state;
}

// Appends the value's LZ4 block to *to if it saves at least an eighth; else leaves *to as it was.
bool AppendCompressed(std::string_view value, std::string* to) {
  if (value.size() < kRecordLz4BytesMin) return false;
  const size_t before = to->size();
  const size_t room = value.size() - value.size() / 8;  // LZ4 stops early where it does not fit
  to->resize(before + room);
  const int compressed =
      LZ4_compress_fast_continue(FreshLz4Stream(), value.data(), to->data() + before,
                                 static_cast<int>(value.size()), static_cast<int>(room), 1);
  to->resize(before + static_cast<size_t>(compressed > 0 ? compressed : 0));
  return compressed > 0;
}

Status Corrupt(const char* what) {
  return Status(StatusCode::kCorruption, std::string("record: ") + what);
}

Status DecodePayload(const RecordHeader& header, std::string_view payload, std::string* value) {
  if ((header.bits & kBitLz4) == 0) {
    if (payload.size() != header.value_bytes)
      return Corrupt("the value has another length than its header says");
    value->assign(payload);
    return Status();
  }
  if (header.value_bytes > payload.size() * kLz4ExpansionMax)
    return Corrupt("the LZ4 block is too short for its value");
  value->resize(header.value_bytes);
  const int got =
      LZ4_decompress_safe(payload.data(), value->data(), static_cast<int>(payload.size()),
                          static_cast<int>(header.value_bytes));
  if (got < 0) return Corrupt("the LZ4 block does not decompress");
  if (static_cast<uint32_t>(got) != header.value_bytes)
    return Corrupt("the LZ4 block has another length than its header says");
  return Status();
}

}  // namespace

void AssignStoredKey(uint64_t serial, std::string_view key, std::string* to) {
  // Big endian, so that RocksDB's bytewise order is the order of serials and a batch is one range.
  const uint64_t prefix = __builtin_bswap64(serial);
  to->assign(reinterpret_cast<const char*>(&prefix), sizeof(prefix));
  to->append(key);
}

std::string StoredKey(uint64_t serial, std::string_view key) {
  std::string stored;
  stored.reserve(kStoredKeyPrefixBytes + key.size());
  AssignStoredKey(serial, key, &stored);
  return stored;
}

uint64_t SerialOfStoredKey(std::string_view stored_key) {
  TERRACED_CHECK(stored_key.size() >= kStoredKeyPrefixBytes);
  uint64_t prefix = 0;
  std::memcpy(&prefix, stored_key.data(), sizeof(prefix));
  return __builtin_bswap64(prefix);
}

void EncodeRecord(uint64_t serial, std::string_view key, const RecordMeta& meta,
                  std::string_view value, std::string* to) {
  TERRACED_CHECK(key.size() <= UINT8_MAX);
  TERRACED_CHECK(value.size() <= kRecordValueBytesMax);
  RecordHeader header = {};
  header.version = kRecordVersion;
  header.bits = BitsOf(meta);
  header.key_bytes = static_cast<uint8_t>(key.size());
  header.client_flags = meta.client_flags;
  header.exptime_s = meta.exptime_s;
  header.last_access_s = meta.last_access_s;
  header.value_bytes = static_cast<uint32_t>(value.size());
  header.cas_unique = meta.cas_unique;
  header.epoch = meta.epoch;

  const size_t begin = to->size();
  to->append(kRecordHeaderBytes, '\0');
  if (AppendCompressed(value, to)) {
    header.bits |= kBitLz4;
  } else {
    to->append(value);
  }
  const std::string_view payload = std::string_view(*to).substr(begin + kRecordHeaderBytes);
  header.crc = RecordCrc(serial, key, header, payload);
  std::memcpy(to->data() + begin, &header, sizeof(header));
}

Result<DecodedRecord> DecodeRecord(uint64_t serial, std::string_view key, std::string_view record) {
  if (record.size() < kRecordHeaderBytes) return Corrupt("shorter than its header");
  RecordHeader header;
  std::memcpy(&header, record.data(), sizeof(header));
  const std::string_view payload = record.substr(kRecordHeaderBytes);
  // The CRC first: what follows are bytes that we have written, or a forger who knows CRC-32C;
  // lengths are checked all the same.
  if (header.crc != RecordCrc(serial, key, header, payload))
    return Corrupt("its CRC does not match");
  if (header.version != kRecordVersion) return Corrupt("of an unknown version");
  if ((header.bits & ~kBitsKnown) != 0 || header.reserved != 0)
    return Corrupt("has bits that nobody has defined");
  if (header.key_bytes != key.size()) return Corrupt("of a key of another length");
  if (header.value_bytes > kRecordValueBytesMax)
    return Corrupt("its value is longer than any can be");
  if (payload.size() > kRecordValueBytesMax)
    return Corrupt("its payload is longer than any can be");

  DecodedRecord decoded;
  TERRACED_RETURN_IF_ERROR(DecodePayload(header, payload, &decoded.value));
  decoded.meta.cas_unique = header.cas_unique;
  decoded.meta.epoch = header.epoch;
  decoded.meta.client_flags = header.client_flags;
  decoded.meta.exptime_s = header.exptime_s;
  decoded.meta.last_access_s = header.last_access_s;
  decoded.meta.fetched = (header.bits & kBitFetched) != 0;
  decoded.meta.stale = (header.bits & kBitStale) != 0;
  decoded.meta.token_sent = (header.bits & kBitTokenSent) != 0;
  decoded.meta.binary_key = (header.bits & kBitBinaryKey) != 0;
  return decoded;
}

}  // namespace terraced::storage
