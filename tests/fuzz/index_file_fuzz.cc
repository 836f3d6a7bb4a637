// INDEX: [control] [batches] [slots] [patches]. A file of so many batches and slots is written and then patched.
// Control 1: all its CRCs are mended, those in the partitions, those of the partitions and that of the header section.
// What is accepted must agree with itself and, control 2, be the same when it was written and read again: that is left
// to choose because 256 partitions take their time.
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "storage/base/hash.h"
#include "storage/flash/index_file.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/scratch_directory.h"

namespace terraced::fuzz {
namespace {

using storage::BatchNumber;
using storage::BatchTable;
using storage::FlashIndex;
using storage::IndexIdentity;
using storage::kPartitions;

constexpr IndexIdentity kIdentity = {.directory_id = 0x1111, .run_id = 0x2222};
constexpr uint64_t kEpoch = 5;
constexpr uint32_t kBatchesMax = 8;
constexpr char kName[] = "INDEX";
// As storage/README.md has it, "INDEX".
constexpr size_t kHeaderBytesAt = 12;
constexpr size_t kPartitionRowBytes = 24;
constexpr size_t kCrcBytes = sizeof(uint32_t);

struct Loaded {
  BatchTable batches;
  FlashIndex index{batches, 1};
};

std::string ReadBack(const ScratchDirectory& directory) {
  Result<std::string> file =
      storage::ReadSmallFile(directory.Fd(), kName, kPatchedBytesMax + (1U << 20));
  FUZZ_CHECK(file.ok());
  return std::move(file).value();
}

// The file before it is patched.
const std::string& BaseFile(const ScratchDirectory& directory, uint32_t batches, uint32_t slots) {
  static std::array<std::array<std::string, 256>, kBatchesMax> files;
  std::string& file = files[batches][slots];
  if (!file.empty()) return file;
  const auto made = std::make_unique<Loaded>();
  for (uint32_t i = 0; i < batches; ++i) {
    storage::BatchInfo info;
    info.serial = 1000 + i;
    info.epoch = kEpoch;
    info.record_count = slots;
    const std::optional<BatchNumber> number = made->batches.Open(info);
    FUZZ_CHECK(number.has_value());
    for (uint64_t slot = 0; slot < slots; ++slot) {
      const uint64_t hash = slot * 0x9e3779b97f4a7c15U + i;
      made->index.Add(storage::PartitionOf(hash), hash, *number, slot % 3 == 0);
    }
  }
  FUZZ_CHECK(
      storage::WriteIndexFile(directory.Fd(), kName, kIdentity, made->batches, made->index).ok());
  file = ReadBack(directory);
  return file;
}

template <typename Number>
Number At(const std::string& file, size_t at) {
  Number number = 0;
  std::memcpy(&number, file.data() + at, sizeof(number));
  return number;
}

void PutCrc(std::string* file, size_t at, std::string_view covered) {
  const uint32_t crc = Crc32c(0, covered);
  std::memcpy(file->data() + at, &crc, sizeof(crc));
}

void MendCrcs(std::string* file) {
  if (file->size() < kHeaderBytesAt + sizeof(uint32_t)) return;
  const auto header_bytes = At<uint32_t>(*file, kHeaderBytesAt);
  constexpr size_t kRows = kPartitions * kPartitionRowBytes;
  if (header_bytes > file->size() || header_bytes < kRows + kCrcBytes) return;
  for (uint32_t i = 0; i < kPartitions; ++i) {
    const size_t row = header_bytes - kCrcBytes - kRows + i * kPartitionRowBytes;
    const auto offset = At<uint64_t>(*file, row);
    const auto bytes = At<uint64_t>(*file, row + 8);
    // Those that overlap the header section are left alone: it would not be what was patched any more.
    if (offset < header_bytes || offset > file->size() || bytes > file->size() - offset) continue;
    const std::string_view partition = std::string_view(*file).substr(offset, bytes);
    if (bytes >= kCrcBytes) {
      PutCrc(file, offset + bytes - kCrcBytes, partition.substr(0, bytes - kCrcBytes));
    }
    PutCrc(file, row + 16, partition);
  }
  const size_t covered = header_bytes - kCrcBytes;
  PutCrc(file, covered, std::string_view(*file).substr(0, covered));
}

void CheckCounts(const Loaded& loaded) {
  uint64_t previous = storage::kNoSerial;
  int64_t live = 0;
  for (const BatchNumber number : loaded.batches.Living()) {
    FUZZ_CHECK(loaded.batches.SerialOf(number) > previous);
    previous = loaded.batches.SerialOf(number);
    FUZZ_CHECK(loaded.batches.Live(number) >= 0);
    live += loaded.batches.Live(number);
  }
  uint64_t used = 0;
  for (storage::Partition i = 0; i < kPartitions; ++i) used += loaded.index.SlotsUsed(i);
  FUZZ_CHECK(static_cast<uint64_t>(live) == used);
}

void CheckWritesAgain(const ScratchDirectory& directory, const Loaded& loaded) {
  FUZZ_CHECK(
      storage::WriteIndexFile(directory.Fd(), kName, kIdentity, loaded.batches, loaded.index).ok());
  const std::string once = ReadBack(directory);
  const auto again = std::make_unique<Loaded>();
  FUZZ_CHECK(
      storage::ReadIndexFile(directory.Fd(), kName, kIdentity, &again->batches, &again->index)
          .ok());
  FUZZ_CHECK(
      storage::WriteIndexFile(directory.Fd(), kName, kIdentity, again->batches, again->index).ok());
  FUZZ_CHECK(ReadBack(directory) == once);
}

void RunIndexFile(std::string_view bytes) {
  static const ScratchDirectory directory;
  FuzzInput input(bytes);
  const uint8_t control = input.Byte();
  const uint32_t batches = input.Byte() % kBatchesMax;
  const uint32_t slots = input.Byte();
  std::string file = BaseFile(directory, batches, slots);
  const std::string base = file;
  ApplyPatches(&input, &file);
  if ((control & 1U) != 0) MendCrcs(&file);
  directory.Write(kName, file);

  const Result<IndexIdentity> identity = storage::ReadIndexIdentity(directory.Fd(), kName);
  FUZZ_CHECK(identity.ok() || identity.status().code() == StatusCode::kCorruption);
  const auto loaded = std::make_unique<Loaded>();
  const Status status =
      storage::ReadIndexFile(directory.Fd(), kName, kIdentity, &loaded->batches, &loaded->index);
  FUZZ_CHECK(status.ok() || status.code() == StatusCode::kCorruption);
  FUZZ_CHECK(status.ok() || file != base);
  if (!status.ok()) return;
  FUZZ_CHECK(identity.ok() && identity.value().run_id == kIdentity.run_id &&
             identity.value().directory_id == kIdentity.directory_id);
  CheckCounts(*loaded);
  if ((control & 2U) != 0) CheckWritesAgain(directory, *loaded);
}

const FuzzRegistration kRegistration("index_file", &RunIndexFile);

}  // namespace
}  // namespace terraced::fuzz
