// HOT: [control] [keys] [length] [patches]. A list of so many keys is written and then patched. Control 1: the CRCs of
// header and blocks are mended. As long as nothing was patched, it must read as it was written; whatever was patched,
// reading must end, and every key must be one.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "storage/base/hash.h"
#include "storage/flash/hot_list.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/scratch_directory.h"

namespace terraced::fuzz {
namespace {

using storage::HotKey;
using storage::HotListReader;
using storage::HotListWriter;

constexpr storage::IndexIdentity kIdentity = {.directory_id = 0x1111, .run_id = 0x2222};
constexpr char kName[] = "HOT";
// As storage/README.md has it, "HOT".
constexpr size_t kHeaderBytes = 56;
constexpr size_t kHeaderCrcAt = 52;
constexpr size_t kBlockHeaderBytes = 8;
constexpr uint32_t kSegments = 4;

std::string KeyOf(uint32_t i, size_t length) {
  std::string key(length, static_cast<char>(i));
  std::memcpy(key.data(), &i, std::min(length, sizeof(i)));
  return key;
}

uint32_t Load32(const std::string& bytes, size_t at) {
  uint32_t number = 0;
  std::memcpy(&number, bytes.data() + at, sizeof(number));
  return number;
}

void MendCrcs(std::string* file) {
  if (file->size() < kHeaderBytes) return;
  const uint32_t header = Crc32c(0, std::string_view(*file).substr(0, kHeaderCrcAt));
  std::memcpy(file->data() + kHeaderCrcAt, &header, sizeof(header));
  size_t at = kHeaderBytes;
  while (at + kBlockHeaderBytes <= file->size()) {
    const uint32_t crc =
        Crc32c(0, std::string_view(*file).substr(at + kBlockHeaderBytes, Load32(*file, at)));
    std::memcpy(file->data() + at + sizeof(uint32_t), &crc, sizeof(crc));
    at += kBlockHeaderBytes + Load32(*file, at);
  }
}

void WriteList(const ScratchDirectory& directory, uint32_t keys, size_t length) {
  Result<std::unique_ptr<HotListWriter>> writer = HotListWriter::Create(directory.Fd(), kName);
  FUZZ_CHECK(writer.ok());
  for (uint32_t i = 0; i < keys; ++i) {
    const std::string key = KeyOf(i, length);
    const auto segment = static_cast<uint8_t>(i * kSegments / keys);
    FUZZ_CHECK(writer.value()->Add({.segment = segment, .key = key}).ok());
  }
  FUZZ_CHECK(writer.value()->Finish(kIdentity).ok());
}

void ReadList(const ScratchDirectory& directory, bool whole, uint32_t keys, size_t length) {
  const Result<std::unique_ptr<HotListReader>> reader =
      HotListReader::Open(directory.Fd(), kName, kIdentity);
  FUZZ_CHECK(reader.ok() || !whole);
  if (!reader.ok()) return;
  uint32_t seen = 0;
  HotKey key;
  while (true) {
    const Result<bool> next = reader.value()->Next(&key);
    FUZZ_CHECK(next.ok() || !whole);
    if (!next.ok()) {
      // From there on there is nothing.
      const Result<bool> after = reader.value()->Next(&key);
      FUZZ_CHECK(after.ok() && !after.value());
      return;
    }
    if (!next.value()) break;
    FUZZ_CHECK(!key.key.empty() && key.key.size() <= 255);
    FUZZ_CHECK(!whole ||
               (key.key == KeyOf(seen, length) && key.segment == seen * kSegments / keys));
    FUZZ_CHECK(++seen <= kPatchedBytesMax);
  }
  FUZZ_CHECK(!whole || seen == keys);
}

void RunHotList(std::string_view bytes) {
  static const ScratchDirectory directory;
  FuzzInput input(bytes);
  const bool mend = (input.Byte() & 1U) != 0;
  const uint32_t keys = input.Take<uint16_t>() % 2'000;
  const size_t length = input.Byte() % 255 + 1;
  WriteList(directory, keys, length);
  const bool whole = input.Empty();
  if (!whole) {
    Result<std::string> file = storage::ReadSmallFile(directory.Fd(), kName, size_t{1} << 20);
    FUZZ_CHECK(file.ok());
    std::string patched = std::move(file).value();
    ApplyPatches(&input, &patched);
    if (mend) MendCrcs(&patched);
    directory.Write(kName, patched);
  }
  ReadList(directory, whole, keys, length);
}

const FuzzRegistration kRegistration("hot_list", &RunHotList);

}  // namespace
}  // namespace terraced::fuzz
