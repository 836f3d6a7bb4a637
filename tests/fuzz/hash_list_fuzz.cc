// The hash list of a batch: [control] [serial 8] [first 8] [last 8] [step 8] [count 2] [patches]. A list of `count`
// hashes, `step` apart, is written and then patched. Control 1: the CRCs of its blocks are mended. As long as nothing
// was patched, a visit and a count must agree with the hashes; whatever was patched, no read may leave the file.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/hash.h"
#include "storage/flash/hash_list.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/scratch_directory.h"

namespace terraced::fuzz {
namespace {

using storage::kHashBlockBytes;

constexpr size_t kHashesMax = storage::kHashesPerBlock * 20;
constexpr size_t kCrcAt = 4;
constexpr size_t kNameBytes = 18;

void MendCrcs(std::string* file) {
  for (size_t at = 0; at + kHashBlockBytes <= file->size(); at += kHashBlockBytes) {
    std::memset(file->data() + at + kCrcAt, 0, sizeof(uint32_t));
    const uint32_t crc = Crc32c(0, std::string_view(*file).substr(at, kHashBlockBytes));
    std::memcpy(file->data() + at + kCrcAt, &crc, sizeof(crc));
  }
}

std::vector<uint64_t> MakeHashes(uint64_t first, uint64_t step, size_t count) {
  std::vector<uint64_t> hashes(count);
  for (uint64_t& hash : hashes) hash = std::exchange(first, first + step);
  storage::SortHashes(hashes);
  FUZZ_CHECK(std::is_sorted(hashes.begin(), hashes.end()));
  return hashes;
}

std::vector<uint64_t> Within(const std::vector<uint64_t>& hashes, uint64_t first, uint64_t last) {
  std::vector<uint64_t> within;
  std::copy_if(hashes.begin(), hashes.end(), std::back_inserter(within),
               [&](uint64_t hash) { return first <= hash && hash <= last; });
  return within;
}

Status Visit(int fd, uint64_t serial, uint64_t first, uint64_t last,
             std::vector<uint64_t>* visited) {
  return storage::VisitHashList(fd, serial, first, last, [&](std::span<const uint64_t> slice) {
    FUZZ_CHECK(!slice.empty() && slice.size() <= storage::kHashesPerBlock);
    visited->insert(visited->end(), slice.begin(), slice.end());
    return visited->size() <= kHashesMax * 2;
  });
}

// Some that the list has and some that it has not.
std::vector<uint64_t> MakeWanted(const std::vector<uint64_t>& hashes, uint64_t first,
                                 uint64_t last) {
  std::vector<uint64_t> wanted = {first, last, first / 2, last / 2 + (1ULL << 63)};
  for (size_t i = 0; i < hashes.size(); i += 1 + i / 2) {
    wanted.push_back(hashes[i]);
    wanted.push_back(hashes[i] + 1);
  }
  std::sort(wanted.begin(), wanted.end());
  return wanted;
}

uint64_t CountMissing(const std::vector<uint64_t>& hashes, const std::vector<uint64_t>& wanted) {
  return static_cast<uint64_t>(
      std::count_if(wanted.begin(), wanted.end(), [&hashes](uint64_t hash) {
        return !std::binary_search(hashes.begin(), hashes.end(), hash);
      }));
}

void CheckName(std::string_view name, uint64_t serial) {
  FUZZ_CHECK(storage::SerialOfHashListName(storage::HashListName(serial)) == serial);
  const std::optional<uint64_t> found = storage::SerialOfHashListName(name);
  FUZZ_CHECK(!found.has_value() || storage::HashListName(*found) == name);
}

void RunHashList(std::string_view bytes) {
  static const ScratchDirectory directory;
  FuzzInput input(bytes);
  const bool mend = (input.Byte() & 1U) != 0;
  const auto serial = input.Take<uint64_t>();
  const auto first = input.Take<uint64_t>();
  const auto last = input.Take<uint64_t>();
  const auto step = input.Take<uint64_t>();
  const std::vector<uint64_t> hashes =
      MakeHashes(first, step, input.Take<uint16_t>() % kHashesMax + 1);
  CheckName(bytes.substr(0, kNameBytes), serial);

  const std::string name = storage::HashListName(serial);
  FUZZ_CHECK(storage::RemoveFile(directory.Fd(), name).ok());
  const Result<uint64_t> written = storage::WriteHashList(directory.Fd(), serial, hashes);
  FUZZ_CHECK(written.ok() && written.value() % kHashBlockBytes == 0);
  const bool whole = input.Empty();
  if (!whole) {
    Result<std::string> file = storage::ReadSmallFile(directory.Fd(), name, kPatchedBytesMax);
    FUZZ_CHECK(file.ok() && file.value().size() == written.value());
    std::string patched = std::move(file).value();
    ApplyPatches(&input, &patched);
    if (mend) MendCrcs(&patched);
    directory.Write(name, patched);
  }

  std::vector<uint64_t> visited;
  const Status status = Visit(directory.Fd(), serial, first, last, &visited);
  const std::vector<uint64_t> wanted = MakeWanted(hashes, first, last);
  const Result<uint64_t> missing = storage::CountMissingHashes(directory.Fd(), serial, wanted);
  FUZZ_CHECK(!missing.ok() || missing.value() <= wanted.size());
  if (whole) {
    FUZZ_CHECK(status.ok() && visited == Within(hashes, first, last));
    FUZZ_CHECK(missing.ok() && missing.value() == CountMissing(hashes, wanted));
  }
  FUZZ_CHECK(storage::RemoveFile(directory.Fd(), name).ok());
}

const FuzzRegistration kRegistration("hash_list", &RunHashList);

}  // namespace
}  // namespace terraced::fuzz
