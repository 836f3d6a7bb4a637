#include "storage/flash/hash_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "storage/base/file_io.h"
#include "tests/support/process.h"

namespace terraced::storage {
namespace {

constexpr uint64_t kSerial = 77;
constexpr uint64_t kLast = UINT64_MAX;

class HashListTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<FileDescriptor> opened = OpenDirectory(directory_.Path());
    ASSERT_TRUE(opened.ok());
    fd_ = std::move(opened).value();
  }
  Status Visit(uint64_t first, uint64_t last, std::vector<uint64_t>* found) {
    return VisitHashList(fd_.Get(), kSerial, first, last, [&](std::span<const uint64_t> slice) {
      found->insert(found->end(), slice.begin(), slice.end());
      return true;
    });
  }
  void ExpectLikeReference(const std::vector<uint64_t>& hashes, uint64_t first, uint64_t last) {
    std::vector<uint64_t> expected;
    for (const uint64_t hash : hashes) {
      if (hash >= first && hash <= last) expected.push_back(hash);
    }
    std::vector<uint64_t> found;
    const Status status = Visit(first, last, &found);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(found, expected) << first << " to " << last << " of " << hashes.size();
  }
  std::string PathOf(uint64_t serial) const {
    return directory_.Path() + "/" + HashListName(serial);
  }

  support::TempDirectory directory_;
  FileDescriptor fd_;
};

std::vector<uint64_t> RandomHashes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> hashes(count);
  for (uint64_t& hash : hashes) hash = random();
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

TEST_F(HashListTest, NamesAndSerialsBelongTogether) {
  EXPECT_EQ(HashListName(0xabcU), "0000000000000abc.h");
  EXPECT_EQ(SerialOfHashListName("0000000000000abc.h"), 0xabcU);
  EXPECT_EQ(SerialOfHashListName("ffffffffffffffff.h"), kLast);
  for (const char* const name :
       {"", ".h", "0000000000000abc", "0000000000000ABC.h", "0000000000000abg.h", "abc.h",
        "0000000000000abc.hh", "-000000000000abc.h"}) {
    EXPECT_FALSE(SerialOfHashListName(name).has_value()) << name;
  }
}

TEST_F(HashListTest, SortsLikeTheStandardLibrary) {
  for (const size_t count : {0U, 1U, 5U, 1023U, 1024U, 100'000U}) {
    std::vector<uint64_t> hashes = RandomHashes(count, count);
    std::shuffle(hashes.begin(), hashes.end(), std::mt19937_64(1));
    std::vector<uint64_t> skewed = hashes;  // all in one bucket of the counting pass
    for (uint64_t& hash : skewed) hash >>= 40;
    for (std::vector<uint64_t>* const list : {&hashes, &skewed}) {
      std::vector<uint64_t> expected = *list;
      std::sort(expected.begin(), expected.end());
      SortHashes(*list);
      EXPECT_EQ(*list, expected);
    }
  }
}

TEST_F(HashListTest, RangesAreThoseOfAReference) {
  for (const size_t count :
       {size_t{1}, size_t{2}, kHashesPerBlock, kHashesPerBlock + 1, size_t{40'000}}) {
    const std::vector<uint64_t> hashes = RandomHashes(count, count);
    ASSERT_TRUE(RemoveFile(fd_.Get(), HashListName(kSerial)).ok());
    const Result<uint64_t> bytes = WriteHashList(fd_.Get(), kSerial, hashes);
    ASSERT_TRUE(bytes.ok());
    EXPECT_EQ(bytes.value(), (count + kHashesPerBlock - 1) / kHashesPerBlock * kHashBlockBytes);
    ExpectLikeReference(hashes, 0, kLast);
    ExpectLikeReference(hashes, hashes.front(), hashes.back());
    ExpectLikeReference(hashes, hashes.back(), kLast);
    std::mt19937_64 random(3);
    for (int i = 0; i < 100; ++i) {
      const uint64_t partition = random() >> 56;
      ExpectLikeReference(hashes, partition << 56, (partition << 56) | (kLast >> 8));
      const uint64_t hash = hashes[random() % hashes.size()];
      ExpectLikeReference(hashes, hash, hash);
      ExpectLikeReference(hashes, hash + 1, hash + (random() >> 20));
    }
  }
}

TEST_F(HashListTest, FindsRangesInUnevenAndEqualHashes) {
  std::vector<uint64_t> hashes(3000, 5);  // equal ones over several blocks, all at the low end
  for (uint64_t i = 0; i < 3000; ++i) hashes.push_back(1000 + i);
  hashes.push_back(kLast);
  ASSERT_TRUE(WriteHashList(fd_.Get(), kSerial, hashes).ok());
  for (const auto& [first, last] :
       std::vector<std::pair<uint64_t, uint64_t>>{{0, 4},
                                                  {5, 5},
                                                  {0, 5},
                                                  {6, 999},
                                                  {1500, 1600},
                                                  {2000, kLast},
                                                  {kLast, kLast},
                                                  {1ULL << 63, kLast - 1}}) {
    ExpectLikeReference(hashes, first, last);
  }
}

TEST_F(HashListTest, StopsWhenTheVisitorHasEnough) {
  ASSERT_TRUE(WriteHashList(fd_.Get(), kSerial, RandomHashes(5000, 1)).ok());
  int calls = 0;
  const Status status =
      VisitHashList(fd_.Get(), kSerial, 0, kLast, [&](std::span<const uint64_t> slice) {
        EXPECT_LE(slice.size(), kHashesPerBlock);
        return ++calls < 3;
      });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(calls, 3);
}

TEST_F(HashListTest, CountsWhatIsMissingAsASearchWould) {
  for (const size_t count : {size_t{1}, kHashesPerBlock, kHashesPerBlock + 1, size_t{40'000}}) {
    const std::vector<uint64_t> hashes = RandomHashes(count, count);
    ASSERT_TRUE(WriteHashList(fd_.Get(), count, hashes).ok());
    for (const size_t asked : {size_t{0}, size_t{1}, size_t{7}, size_t{500}, size_t{60'000}}) {
      // Every other one is there, and some are asked for twice; the ends of all hashes too.
      std::mt19937_64 random(asked);
      std::vector<uint64_t> wanted = {0, UINT64_MAX, hashes.front(), hashes.back()};
      for (size_t i = 0; i < asked; ++i) {
        wanted.push_back(i % 2 == 0 ? hashes[random() % count] : random());
      }
      std::sort(wanted.begin(), wanted.end());
      const auto expected = std::count_if(wanted.begin(), wanted.end(), [&](uint64_t hash) {
        return !std::binary_search(hashes.begin(), hashes.end(), hash);
      });
      const Result<uint64_t> missing = CountMissingHashes(fd_.Get(), count, wanted);
      ASSERT_TRUE(missing.ok()) << missing.status().message();
      EXPECT_EQ(missing.value(), static_cast<uint64_t>(expected)) << asked << " of " << count;
    }
  }
}

TEST_F(HashListTest, CountsNothingInADamagedOrMissingList) {
  const std::vector<uint64_t> hashes = RandomHashes(2'000, 4);
  ASSERT_TRUE(WriteHashList(fd_.Get(), kSerial, hashes).ok());
  {
    std::fstream file(PathOf(kSerial), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(kHashBlockBytes) + 100);
    file.put('\x5a');
  }
  EXPECT_EQ(CountMissingHashes(fd_.Get(), kSerial, hashes).status().code(),
            StatusCode::kCorruption);
  EXPECT_EQ(CountMissingHashes(fd_.Get(), kSerial + 1, hashes).status().code(),
            StatusCode::kNotFound);
}

TEST_F(HashListTest, FindsRunsOfWantedHashesInUnevenLists) {
  std::vector<uint64_t> hashes(3 * kHashesPerBlock, 1'000);  // blocks of one hash
  for (uint64_t i = 0; i < 10 * kHashesPerBlock; ++i) hashes.push_back(2'000 + 2 * i);
  ASSERT_TRUE(WriteHashList(fd_.Get(), kSerial, hashes).ok());
  std::vector<uint64_t> wanted;
  for (uint64_t hash = 990; hash < 13'000; ++hash) wanted.push_back(hash);
  const auto there = std::count_if(wanted.begin(), wanted.end(), [&](uint64_t hash) {
    return std::binary_search(hashes.begin(), hashes.end(), hash);
  });
  const Result<uint64_t> missing = CountMissingHashes(fd_.Get(), kSerial, wanted);
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(missing.value(), wanted.size() - static_cast<size_t>(there));
}

TEST_F(HashListTest, AnEmptyRangeHasNothing) {
  ASSERT_TRUE(WriteHashList(fd_.Get(), kSerial, RandomHashes(10, 1)).ok());
  std::vector<uint64_t> found;
  EXPECT_TRUE(Visit(9, 8, &found).ok());
  EXPECT_TRUE(found.empty());
}

TEST_F(HashListTest, RefusesASerialTwiceAndLeavesTheFirst) {
  const std::vector<uint64_t> hashes = RandomHashes(100, 1);
  ASSERT_TRUE(WriteHashList(fd_.Get(), kSerial, hashes).ok());
  EXPECT_FALSE(WriteHashList(fd_.Get(), kSerial, RandomHashes(50, 2)).ok());
  ExpectLikeReference(hashes, 0, kLast);
}

TEST_F(HashListTest, AMissingListIsNotFound) {
  std::vector<uint64_t> found;
  EXPECT_EQ(Visit(0, kLast, &found).code(), StatusCode::kNotFound);
}

TEST_F(HashListTest, DamageIsCorruptionNeverAWrongHash) {
  const std::vector<uint64_t> hashes = RandomHashes(2000, 4);
  ASSERT_TRUE(WriteHashList(fd_.Get(), kSerial, hashes).ok());
  const uint64_t bytes = std::filesystem::file_size(PathOf(kSerial));
  std::mt19937_64 random(5);
  for (int i = 0; i < 300; ++i) {
    const auto at = static_cast<std::streamoff>(random() % bytes);
    std::fstream file(PathOf(kSerial), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const int old = file.get();
    file.seekp(at);
    file.put(static_cast<char>(old ^ (1 << (random() % 8))));
    file.flush();
    std::vector<uint64_t> found;
    EXPECT_EQ(Visit(0, kLast, &found).code(), StatusCode::kCorruption) << at;
    EXPECT_TRUE(std::equal(found.begin(), found.end(), hashes.begin()));
    file.seekp(at);
    file.put(static_cast<char>(old));
  }
  ExpectLikeReference(hashes, 0, kLast);
}

TEST_F(HashListTest, ATruncatedListIsCorruption) {
  ASSERT_TRUE(WriteHashList(fd_.Get(), kSerial, RandomHashes(2000, 4)).ok());
  const uint64_t bytes = std::filesystem::file_size(PathOf(kSerial));
  for (const uint64_t left :
       {bytes - 1, bytes - kHashBlockBytes, uint64_t{kHashBlockBytes}, uint64_t{7}, uint64_t{0}}) {
    std::filesystem::resize_file(PathOf(kSerial), left);
    std::vector<uint64_t> found;
    EXPECT_EQ(Visit(0, kLast, &found).code(), StatusCode::kCorruption) << left;
  }
}

TEST_F(HashListTest, TheListOfAnotherBatchIsCorruption) {
  ASSERT_TRUE(WriteHashList(fd_.Get(), 5, RandomHashes(100, 4)).ok());
  std::filesystem::rename(PathOf(5), PathOf(kSerial));
  std::vector<uint64_t> found;
  EXPECT_EQ(Visit(0, kLast, &found).code(), StatusCode::kCorruption);
}

}  // namespace
}  // namespace terraced::storage
