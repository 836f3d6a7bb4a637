#include "storage/flash/record.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace terraced::storage {
namespace {

constexpr uint64_t kSerial = 0x0123456789abcdefU;

RecordMeta SomeMeta() {
  RecordMeta meta;
  meta.cas_unique = 0xfedcba9876543210U;
  meta.epoch = (1ULL << 40) + 7;
  meta.client_flags = 0xdeadbeefU;
  meta.exptime_s = 4'000'000'000U;
  meta.last_access_s = 1'760'000'000U;
  meta.fetched = true;
  meta.token_sent = true;
  return meta;
}

std::string RandomBytes(size_t bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text(bytes, '\0');
  for (char& byte : text) byte = static_cast<char>(random());
  return text;
}

std::string Encoded(std::string_view key, const RecordMeta& meta, std::string_view value) {
  std::string record;
  EncodeRecord(kSerial, key, meta, value, &record);
  return record;
}

TEST(RecordTest, GivesBackEveryFieldExactly) {
  const RecordMeta meta = SomeMeta();
  const std::string record = Encoded("a key", meta, "a value");
  const Result<DecodedRecord> decoded = DecodeRecord(kSerial, "a key", record);
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  EXPECT_EQ(decoded.value().value, "a value");
  EXPECT_EQ(decoded.value().meta.cas_unique, meta.cas_unique);
  EXPECT_EQ(decoded.value().meta.epoch, meta.epoch);
  EXPECT_EQ(decoded.value().meta.client_flags, meta.client_flags);
  EXPECT_EQ(decoded.value().meta.exptime_s, meta.exptime_s);
  EXPECT_EQ(decoded.value().meta.last_access_s, meta.last_access_s);
}

TEST(RecordTest, GivesBackEveryCombinationOfBits) {
  for (unsigned bits = 0; bits < 16; ++bits) {
    RecordMeta meta;
    meta.fetched = (bits & 1U) != 0;
    meta.stale = (bits & 2U) != 0;
    meta.token_sent = (bits & 4U) != 0;
    meta.binary_key = (bits & 8U) != 0;
    const Result<DecodedRecord> decoded =
        DecodeRecord(kSerial, "k", Encoded("k", meta, std::string(500, 'z')));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded.value().meta.fetched, meta.fetched);
    EXPECT_EQ(decoded.value().meta.stale, meta.stale);
    EXPECT_EQ(decoded.value().meta.token_sent, meta.token_sent);
    EXPECT_EQ(decoded.value().meta.binary_key, meta.binary_key);
  }
}

TEST(RecordTest, GivesBackValuesOfEveryKindOfLength) {
  for (const size_t bytes : {0U, 1U, 199U, 200U, 201U, 1000U, 4096U, 70'000U, 3'000'000U}) {
    for (const std::string& value : {std::string(bytes, 'a'), RandomBytes(bytes, bytes + 1)}) {
      const Result<DecodedRecord> decoded =
          DecodeRecord(kSerial, "key", Encoded("key", SomeMeta(), value));
      ASSERT_TRUE(decoded.ok()) << bytes;
      EXPECT_EQ(decoded.value().value, value) << bytes;
    }
  }
}

TEST(RecordTest, AppendsBehindWhatIsThere) {
  std::string buffer = "before";
  EncodeRecord(kSerial, "k", SomeMeta(), std::string(1000, 'x'), &buffer);
  const size_t first = buffer.size();
  EncodeRecord(kSerial, "l", SomeMeta(), "y", &buffer);
  EXPECT_EQ(buffer.substr(0, 6), "before");
  EXPECT_TRUE(DecodeRecord(kSerial, "k", std::string_view(buffer).substr(6, first - 6)).ok());
  EXPECT_TRUE(DecodeRecord(kSerial, "l", std::string_view(buffer).substr(first)).ok());
}

TEST(RecordTest, CompressesOnlyWhereItSavesAnEighth) {
  EXPECT_EQ(Encoded("k", SomeMeta(), std::string(199, 'a')).size(), kRecordHeaderBytes + 199);
  EXPECT_LT(Encoded("k", SomeMeta(), std::string(200, 'a')).size(), kRecordHeaderBytes + 50);
  EXPECT_EQ(Encoded("k", SomeMeta(), RandomBytes(5000, 1)).size(), kRecordHeaderBytes + 5000);
  // A tenth of it compresses: not enough.
  EXPECT_EQ(Encoded("k", SomeMeta(), RandomBytes(4500, 1) + std::string(500, 'a')).size(),
            kRecordHeaderBytes + 5000);
}

TEST(RecordTest, IsGoodOnlyUnderItsSerialAndItsKey) {
  const std::string record = Encoded("key", SomeMeta(), "value");
  EXPECT_FALSE(DecodeRecord(kSerial + 1, "key", record).ok());
  EXPECT_FALSE(DecodeRecord(kSerial, "kez", record).ok());
  EXPECT_FALSE(DecodeRecord(kSerial, "ke", record).ok());
  EXPECT_FALSE(DecodeRecord(kSerial, "key2", record).ok());
}

TEST(RecordTest, RefusesEveryFlippedBit) {
  for (const std::string& value :
       {std::string("short"), std::string(300, 'a'), RandomBytes(300, 9)}) {
    const std::string record = Encoded("key", SomeMeta(), value);
    for (size_t at = 0; at < record.size() * 8; ++at) {
      std::string damaged = record;
      damaged[at / 8] = static_cast<char>(damaged[at / 8] ^ (1 << (at % 8)));
      const Result<DecodedRecord> decoded = DecodeRecord(kSerial, "key", damaged);
      ASSERT_FALSE(decoded.ok()) << "bit " << at;
      ASSERT_EQ(decoded.status().code(), StatusCode::kCorruption);
    }
  }
}

TEST(RecordTest, RefusesEveryTruncationAndAnyTail) {
  const std::string record = Encoded("key", SomeMeta(), std::string(400, 'q'));
  for (size_t bytes = 0; bytes < record.size(); ++bytes) {
    ASSERT_FALSE(DecodeRecord(kSerial, "key", std::string_view(record).substr(0, bytes)).ok())
        << bytes;
  }
  EXPECT_FALSE(DecodeRecord(kSerial, "key", record + "x").ok());
}

TEST(RecordTest, RefusesNoise) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    EXPECT_FALSE(DecodeRecord(kSerial, "key", RandomBytes(random() % 200, random())).ok());
  }
}

TEST(RecordTest, StoredKeysSortBySerialThenKey) {
  EXPECT_LT(StoredKey(1, "z"), StoredKey(2, "a"));
  EXPECT_LT(StoredKey(255, "z"), StoredKey(256, "a"));
  EXPECT_LT(StoredKey(5, "a"), StoredKey(5, "b"));
  EXPECT_EQ(StoredKey(kSerial, "k").size(), 9U);
  EXPECT_EQ(SerialOfStoredKey(StoredKey(kSerial, "k")), kSerial);
}

}  // namespace
}  // namespace terraced::storage
