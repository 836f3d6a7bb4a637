#include "storage/flash/shared_index.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "storage/base/check.h"
#include "storage/base/log.h"
#include "storage/flash/slot_table.h"

namespace terraced::storage {
namespace {

constexpr uint64_t kMagic = 0x5458444943524554;  // "TERCIDXT"
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPage = 4096;
constexpr size_t kBootIdBytes = 40;
using BootId = std::array<char, kBootIdBytes>;
// Seconds a clock may be behind: the heartbeat is a second old, and clocks are put right by a little all the time.
constexpr uint32_t kClockBackMaxS = 5;

// A partition's array in one word: its place in units of a bucket, and its buckets.
constexpr int kCountBits = 27;
static_assert(kSlotBucketsMax < (1U << kCountBits));
uint64_t PackRuling(uint64_t offset, uint32_t count) {
  return (offset / sizeof(SlotBucket)) << kCountBits | count;
}
uint64_t OffsetOf(uint64_t word) {
  return (word >> kCountBits) * sizeof(SlotBucket);
}
uint32_t CountOf(uint64_t word) {
  return static_cast<uint32_t>(word & ((1U << kCountBits) - 1));
}

// All zeroes where the kernel does not say: then nothing is ever taken over.
BootId ReadBootId() {
  BootId id = {};
  const FileDescriptor fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (fd.Get() < 0) return id;
  const Result<size_t> got = ReadAt(fd.Get(), 0, std::span(id).first(kBootIdBytes - 1), "boot_id");
  return got.ok() ? id : BootId{};
}

Status Mismatch(const std::string& what) {
  return Status(StatusCode::kCorruption, what);
}

std::string FileName(uint64_t directory_id) {
  std::array<char, 48> name;
  std::snprintf(name.data(), name.size(), "terraced-%016lx.index", directory_id);
  return name.data();
}

Extent WholePages(const Extent& inside) {
  const uint64_t begin = (inside.begin + kPage - 1) / kPage * kPage;
  const uint64_t end = inside.End() / kPage * kPage;
  return {begin, end > begin ? end - begin : 0};
}

}  // namespace

struct SharedIndex::Header {
  uint64_t magic;
  uint32_t version;
  uint32_t partitions;
  uint64_t directory_id;
  BootId boot_id;
  std::atomic<uint64_t> run_id;       // 0: nothing to take over
  std::atomic<uint64_t> next_run_id;  // of a run that is taking over
  std::atomic<uint64_t> heartbeat;    // wall << 32 | boot, seconds
  FlushMark flush;
  std::array<std::atomic<uint64_t>, kPartitions> ruling;
  BatchArrays batches;
};

TimeStamp TimeStamp::Now() {
  timespec boot = {};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  return {static_cast<uint32_t>(std::time(nullptr)), static_cast<uint32_t>(boot.tv_sec)};
}

Status CheckDowntime(uint32_t last_wall_s, uint32_t down_s, uint32_t now_wall_s,
                     uint32_t max_downtime_s) {
  const uint64_t expected_s = uint64_t{last_wall_s} + down_s;
  if (now_wall_s + uint64_t{kClockBackMaxS} < expected_s) {
    return Mismatch("the clock went back by " + std::to_string(expected_s - now_wall_s) + " s");
  }
  if (max_downtime_s != 0 && down_s > max_downtime_s) {
    return Mismatch("it was down for " + std::to_string(down_s) + " s, and max_downtime is " +
                    std::to_string(max_downtime_s));
  }
  return Status();
}

Result<std::unique_ptr<SharedIndex>> SharedIndex::Open(const SharedIndexOptions& options) {
  const std::string name = FileName(options.directory_id);
  std::unique_ptr<SharedIndex> index(
      new SharedIndex(options.directory + "/" + name, options.directory_id));
  TERRACED_ASSIGN_OR_RETURN(const FileDescriptor directory, OpenDirectory(options.directory));
  TERRACED_ASSIGN_OR_RETURN(index->file_, OpenOwnFile(directory.Get(), name, O_RDWR | O_CREAT));
  if (::flock(index->file_.Get(), LOCK_EX | LOCK_NB) != 0) {
    return Status(StatusCode::kBusy, "'" + index->path_ + "' is in use by another process");
  }
  TERRACED_RETURN_IF_ERROR(index->Map(options.bytes_max));
  return index;
}

Status SharedIndex::Map(uint64_t bytes_max) {
  mapped_bytes_ = (std::max<uint64_t>(bytes_max, 2 * sizeof(Header)) + kPage - 1) / kPage * kPage;
  // Beyond the end of the file too, where it will grow: nothing there is touched before it is reserved.
  void* const at = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_NORESERVE, file_.Get(), /*offset=*/0);
  if (at == MAP_FAILED) return Status::FromErrno("map '" + path_ + "'", errno);
  memory_ = static_cast<char*>(at);
  return Status();
}

SharedIndex::~SharedIndex() {
  if (memory_ != nullptr) ::munmap(memory_, mapped_bytes_);
}

// --- Taking over

Status SharedIndex::CheckLeft(uint64_t run_id, const TimeStamp& now, uint32_t max_downtime_s) {
  TERRACED_RETURN_IF_ERROR(CheckHeader(run_id));
  const uint64_t beat = AsHeader().heartbeat.load(std::memory_order_relaxed);
  const auto beat_wall_s = static_cast<uint32_t>(beat >> 32);
  const auto beat_boot_s = static_cast<uint32_t>(beat);
  TERRACED_RETURN_IF_ERROR(CheckDowntime(
      beat_wall_s, now.boot_s - std::min(beat_boot_s, now.boot_s), now.wall_s, max_downtime_s));
  TERRACED_RETURN_IF_ERROR(BatchTable::Check(AsHeader().batches));
  return TakeRulingExtents();
}

Status SharedIndex::CheckHeader(uint64_t run_id) {
  TERRACED_ASSIGN_OR_RETURN(const uint64_t file_bytes, FileBytes(file_.Get(), path_));
  if (file_bytes == 0) return Mismatch("there is no shared index");
  if (file_bytes < sizeof(Header)) return Mismatch("the shared index was cut off");
  TERRACED_RETURN_IF_ERROR(Reserve({0, sizeof(Header)}));
  const Header& header = AsHeader();
  if (header.magic != kMagic || header.version != kVersion || header.partitions != kPartitions) {
    return Mismatch("the shared index is of another version");
  }
  if (header.directory_id != directory_id_)
    return Mismatch("the shared index is of another directory");
  const BootId boot_id = ReadBootId();
  if (boot_id == BootId{}) return Mismatch("the system does not say which boot this is");
  if (boot_id != header.boot_id) return Mismatch("the system was started again");
  const uint64_t run = header.run_id.load(std::memory_order_relaxed);
  if (run == 0) return Mismatch("the shared index had been given up");
  if (run_id == 0 ||
      (run != run_id && header.next_run_id.load(std::memory_order_relaxed) != run_id)) {
    return Mismatch("the shared index is of another run");
  }
  return Status();
}

Status SharedIndex::TakeRulingExtents() {
  TERRACED_ASSIGN_OR_RETURN(const uint64_t file_bytes, FileBytes(file_.Get(), path_));
  MutexLock lock(mutex_);
  extents_ = std::make_unique<ExtentAllocator>(Extent{0, mapped_bytes_});
  TERRACED_CHECK(extents_->TakeAt({0, sizeof(Header)}));
  uint64_t bytes = 0;
  for (const std::atomic<uint64_t>& ruling : AsHeader().ruling) {
    const uint64_t word = ruling.load(std::memory_order_relaxed);
    const Extent extent{OffsetOf(word), BytesOf(CountOf(word))};
    if (CountOf(word) == 0 || CountOf(word) > kSlotBucketsMax || extent.End() > file_bytes ||
        !extents_->TakeAt(extent)) {
      return Mismatch("the shared index contradicts itself");
    }
    TERRACED_RETURN_IF_ERROR(Reserve(extent));  // as it was, but for a hole in the file
    bytes += extent.length;
  }
  // What a growth left behind that was under way.
  extents_->ForEachFree([this](const Extent& free) { ReturnPages(free); });
  bytes_.store(bytes, std::memory_order_relaxed);
  return Status();
}

Status SharedIndex::Clear() {
  if (::ftruncate(file_.Get(), 0) != 0) return Status::FromErrno("empty '" + path_ + "'", errno);
  TERRACED_RETURN_IF_ERROR(Reserve({0, sizeof(Header)}));
  Header& header = AsHeader();
  header.version = kVersion;
  header.partitions = kPartitions;
  header.directory_id = directory_id_;
  header.boot_id = ReadBootId();
  header.magic = kMagic;
  MutexLock lock(mutex_);
  extents_ = std::make_unique<ExtentAllocator>(Extent{0, mapped_bytes_});
  TERRACED_CHECK(extents_->TakeAt({0, sizeof(Header)}));
  bytes_.store(0, std::memory_order_relaxed);
  return Status();
}

// --- The run

void SharedIndex::BeginRun(uint64_t run_id) {
  if (GivenUp()) return;
  Beat(TimeStamp::Now());
  AsHeader().next_run_id.store(run_id, std::memory_order_release);
}

void SharedIndex::ConfirmRun() {
  if (GivenUp()) return;
  Header& header = AsHeader();
  header.run_id.store(header.next_run_id.load(std::memory_order_relaxed),
                      std::memory_order_release);
}

void SharedIndex::Beat(const TimeStamp& now) {
  AsHeader().heartbeat.store(uint64_t{now.wall_s} << 32 | now.boot_s, std::memory_order_relaxed);
}

void SharedIndex::GiveUp(const std::string& why) {
  if (given_up_.exchange(true)) return;
  AsHeader().run_id.store(0, std::memory_order_relaxed);
  AsHeader().next_run_id.store(0, std::memory_order_release);
  Log::Write(LogLevel::kNotice,
             "flash index in %s given up: %s; after a crash flash will start empty", path_.c_str(),
             why.c_str());
}

void SharedIndex::Remove() {
  // By its name: nobody else made a file of that name while this one was locked.
  static_cast<void>(::unlink(path_.c_str()));
}

BatchArrays& SharedIndex::Batches() {
  return AsHeader().batches;
}

FlushMark& SharedIndex::Flush() {
  return AsHeader().flush;
}

// --- Memory

Status SharedIndex::Reserve(const Extent& extent) {
  const uint64_t begin = extent.begin / kPage * kPage;
  const uint64_t end = (extent.End() + kPage - 1) / kPage * kPage;
  int error = EINTR;
  while (error == EINTR) {
    error =
        ::posix_fallocate(file_.Get(), static_cast<off_t>(begin), static_cast<off_t>(end - begin));
  }
  return error == 0 ? Status() : Status::FromErrno("take room for '" + path_ + "'", error);
}

void SharedIndex::ReturnPages(const Extent& free) {
  const Extent pages = WholePages(free);
  if (pages.length == 0) return;
  if (::fallocate(file_.Get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(pages.begin), static_cast<off_t>(pages.length)) != 0) {
    clears_pages_ = false;
  }
}

SlotBucket* SharedIndex::TakeBytes(uint64_t bytes) {
  TERRACED_CHECK(extents_ != nullptr);
  const bool in_whole_pages = InWholePages(bytes);
  const std::optional<Extent> extent =
      extents_->Take(bytes, in_whole_pages ? kPage : sizeof(SlotBucket));
  if (!extent) return nullptr;
  const Status reserved = Reserve(*extent);
  if (!reserved.ok()) {
    extents_->Give(*extent);
    return nullptr;
  }
  char* const at = memory_ + extent->begin;
  // A page that was somebody else's, or is in part.
  if (!in_whole_pages || !clears_pages_) std::memset(at, 0, bytes);
  return reinterpret_cast<SlotBucket*>(at);
}

SlotBucket* SharedIndex::Allocate(uint32_t buckets) {
  const uint64_t bytes = BytesOf(buckets);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (!GivenUp()) {
    MutexLock lock(mutex_);
    if (SlotBucket* const at = TakeBytes(bytes)) return at;
  }
  GiveUp("no room for another " + std::to_string(bytes) + " bytes");
  return private_memory_.Allocate(buckets);
}

bool SharedIndex::Holds(const SlotBucket* at) const {
  const auto address = reinterpret_cast<uintptr_t>(at);
  const auto begin = reinterpret_cast<uintptr_t>(memory_);
  return address >= begin && address - begin < mapped_bytes_;
}

void SharedIndex::Free(SlotBucket* at, uint32_t buckets) {
  const uint64_t bytes = BytesOf(buckets);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  if (!Holds(at)) return private_memory_.Free(at, buckets);
  MutexLock lock(mutex_);
  const Extent freed{static_cast<uint64_t>(reinterpret_cast<char*>(at) - memory_), bytes};
  ReturnPages(extents_->Give(freed));
}

void SharedIndex::SetRuling(uint32_t partition, const RulingSlots& slots) {
  if (!Holds(slots.buckets)) return;  // given up: nobody will look
  const auto offset = static_cast<uint64_t>(reinterpret_cast<char*>(slots.buckets) - memory_);
  AsHeader().ruling[partition].store(PackRuling(offset, slots.count), std::memory_order_release);
}

RulingSlots SharedIndex::Ruling(uint32_t partition) const {
  const uint64_t word = AsHeader().ruling[partition].load(std::memory_order_relaxed);
  if (CountOf(word) == 0) return {};
  return {reinterpret_cast<SlotBucket*>(memory_ + OffsetOf(word)), CountOf(word)};
}

}  // namespace terraced::storage
