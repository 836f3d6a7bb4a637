// The shared index that a killed run left: [control] [place] [patches]. A file of some batches and slots is made once,
// 4,096 bytes of it from `place` on are patched, and it is taken over. Control 1: the place is in the header and the
// words of the partitions; 2: in the batches; 4: the file is cut off at the place. What is accepted can be used: found
// in, removed from, added to and swept, and every slot that stands is of a batch that lives.
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/flash/shared_index.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/scratch_directory.h"

namespace terraced::fuzz {
namespace {

using storage::BatchNumber;
using storage::BatchTable;
using storage::FlashIndex;
using storage::SharedIndex;

constexpr uint64_t kDirectoryId = 0x1111;
constexpr char kName[] = "terraced-0000000000001111.index";
constexpr uint64_t kRun = 0x2222;
constexpr uint64_t kEpoch = 5;
constexpr uint32_t kBatches = 6;
constexpr uint64_t kKeys = 300;
constexpr uint64_t kBytesMax = 8U << 20;
constexpr size_t kWindowBytes = 4096;
// As storage/README.md has it, "Shared index".
constexpr size_t kWordsEnd = 104 + 256 * 8;
constexpr size_t kFileBytesMax = 4U << 20;

uint64_t HashOf(uint64_t i) {
  return (i + 1) * 0x9e3779b97f4a7c15U;
}

std::unique_ptr<SharedIndex> Open(const ScratchDirectory& directory) {
  Result<std::unique_ptr<SharedIndex>> opened = SharedIndex::Open(
      {.directory = directory.Path(), .directory_id = kDirectoryId, .bytes_max = kBytesMax});
  FUZZ_CHECK(opened.ok());
  return std::move(opened).value();
}

// The file before it is patched.
std::string MakeBase(const ScratchDirectory& directory) {
  {
    const std::unique_ptr<SharedIndex> shared = Open(directory);
    FUZZ_CHECK(shared->Clear().ok());
    const auto batches = std::make_unique<BatchTable>(&shared->Batches());
    FlashIndex index(*batches, 1, shared.get());
    for (uint32_t i = 0; i < kBatches; ++i) {
      FUZZ_CHECK(batches->Open({.serial = 1000 + i, .epoch = kEpoch, .record_count = kKeys}));
    }
    for (uint64_t i = 0; i < kKeys; ++i) {
      index.Add(storage::PartitionOf(HashOf(i)), HashOf(i),
                static_cast<BatchNumber>(i % kBatches + 1), false);
    }
    shared->File().BeginRun(kRun);
    shared->File().ConfirmRun();
  }
  Result<std::string> file = storage::ReadSmallFile(directory.Fd(), kName, kFileBytesMax);
  FUZZ_CHECK(file.ok());
  return std::move(file).value();
}

std::string Patched(std::string file, FuzzInput* input) {
  const uint8_t control = input->Byte();
  uint64_t place = input->Take<uint32_t>();
  if ((control & 1U) != 0) {
    place %= kWordsEnd;
  } else if ((control & 2U) != 0) {
    place = kWordsEnd + place % (size_t{512} << 10);
  }
  place %= file.size();
  if ((control & 4U) != 0) file.resize(place);
  std::string window = file.substr(place, kWindowBytes);
  const size_t bytes = window.size();
  ApplyPatches(input, &window);
  window.resize(std::min(window.size(), bytes));
  std::copy(window.begin(), window.end(), file.begin() + static_cast<std::ptrdiff_t>(place));
  return file;
}

void Use(SharedIndex* shared, bool whole) {
  const auto batches = std::make_unique<BatchTable>(&shared->Batches());
  FlashIndex index(*batches, 1, shared);
  uint64_t found = 0;
  for (uint64_t i = 0; i < kKeys; ++i) {
    const storage::Partition partition = storage::PartitionOf(HashOf(i));
    for (const storage::Slot& slot : index.Find(partition, HashOf(i), kEpoch)) {
      FUZZ_CHECK(batches->SerialOf(slot.number) == slot.serial && slot.serial != 0);
    }
    found += index.Find(partition, HashOf(i), kEpoch).Has(1000 + i % kBatches) ? 1 : 0;
    if (i % 2 == 0) {
      index.Remove(partition, HashOf(i), kEpoch);
      FUZZ_CHECK(index.Find(partition, HashOf(i), kEpoch).count == 0);
    }
  }
  FUZZ_CHECK(!whole || found + 10 >= kKeys);  // a bucket may have been full
  const std::vector<BatchNumber> living = batches->Living();
  for (const BatchNumber number : living) batches->Kill(number);
  for (storage::Partition partition = 0; partition < storage::kPartitions; ++partition) {
    uint64_t cursor = 0;
    while (!index.Sweep(partition, &cursor, 1024)) {
    }
  }
  for (const BatchNumber number : living) {
    FUZZ_CHECK(batches->Live(number) == 0);
    batches->Free(number);
  }
}

void RunSharedIndex(std::string_view bytes) {
  static const ScratchDirectory directory;
  static const std::string base = MakeBase(directory);
  FuzzInput input(bytes);
  const bool whole = input.Empty();
  directory.Write(kName, whole ? base : Patched(base, &input));
  const std::unique_ptr<SharedIndex> shared = Open(directory);
  const Status left = shared->CheckLeft(kRun, storage::TimeStamp::Now(), 0);
  FUZZ_CHECK(left.ok() || !whole);
  if (left.ok()) {
    Use(shared.get(), whole);
  } else {
    FUZZ_CHECK(!left.message().empty() && shared->Clear().ok());
  }
}

const FuzzRegistration kRegistration("shared_index", &RunSharedIndex);

}  // namespace
}  // namespace terraced::fuzz
