#include "storage/flash/slot_table.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "storage/base/check.h"

namespace terraced::storage {

namespace {

// Below, whole pages for each of 256 tables would be a large share of a small tier's index.
constexpr size_t kMappedFrom = size_t{16} << 10;

size_t BytesOf(uint32_t buckets) {
  static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t bytes = size_t{buckets} * sizeof(SlotBucket);
  return bytes < kMappedFrom ? bytes : (bytes + page - 1) / page * page;
}

// Zeroes: every slot is empty.
void* Allocate(size_t bytes) {
  if (bytes < kMappedFrom) {
    void* allocated = std::aligned_alloc(alignof(SlotBucket), bytes);
    TERRACED_CHECK(allocated != nullptr);
    return std::memset(allocated, 0, bytes);
  }
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      /*fd=*/-1, /*offset=*/0);
  TERRACED_CHECK(mapped != MAP_FAILED);
  return mapped;
}

void Free(void* buckets, size_t bytes) {
  if (bytes < kMappedFrom) {
    std::free(buckets);
  } else {
    munmap(buckets, bytes);
  }
}

}  // namespace

SlotTable::SlotTable(uint32_t buckets, std::atomic<uint64_t>* memory_bytes)
    : memory_bytes_(memory_bytes), count_(buckets) {
  TERRACED_CHECK(buckets > 0 && buckets <= kSlotBucketsMax);
  buckets_ = static_cast<SlotBucket*>(Allocate(BytesOf(count_)));
  memory_bytes_->fetch_add(BytesOf(count_), std::memory_order_relaxed);
}

SlotTable& SlotTable::operator=(SlotTable&& other) noexcept {
  std::swap(buckets_, other.buckets_);
  std::swap(memory_bytes_, other.memory_bytes_);
  std::swap(used_, other.used_);
  std::swap(count_, other.count_);
  return *this;
}

// A hundred million slots are some half a gigabyte that a start waits for: no branch for each of them.
bool SlotTable::Fill(std::string_view words, std::span<int64_t> numbers) {
  TERRACED_CHECK(words.size() == uint64_t{count_} * sizeof(SlotBucket));
  TERRACED_CHECK(numbers.size() > kSlotNumberMask);
  const int64_t empty_before = numbers[kNoBatch];
  uint64_t unnumbered = 0;
  for (uint64_t i = 0; i < SlotsTotal(); ++i) {
    uint32_t word;
    std::memcpy(&word, words.data() + i * sizeof(word), sizeof(word));
    buckets_[i / kSlotsPerBucket].words[i % kSlotsPerBucket].store(word, std::memory_order_relaxed);
    ++numbers[SlotNumber(word)];
    unnumbered += word != 0 && SlotNumber(word) == kNoBatch ? 1U : 0U;
  }
  used_ = SlotsTotal() - static_cast<uint64_t>(numbers[kNoBatch] - empty_before);
  return unnumbered == 0;
}

SlotTable::~SlotTable() {
  if (buckets_ == nullptr) return;
  Free(buckets_, BytesOf(count_));
  memory_bytes_->fetch_sub(BytesOf(count_), std::memory_order_relaxed);
}

}  // namespace terraced::storage
