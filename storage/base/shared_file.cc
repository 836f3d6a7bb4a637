#include "storage/base/shared_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <span>

#include "storage/base/log.h"
#include "storage/base/sync_point.h"

namespace terraced::storage {
namespace {

constexpr uint64_t kPage = 4096;
// Seconds a clock may be behind: the heartbeat is a second old, and clocks are put right by a little all the time.
constexpr uint32_t kClockBackMaxS = 5;

uint64_t RoundUp(uint64_t value) {
  return (value + kPage - 1) / kPage * kPage;
}

Status Untrusted(std::string why) {
  return Status(StatusCode::kCorruption, std::move(why));
}

// All zeroes where the kernel does not say: then nothing is ever taken over.
BootId ReadBootId() {
  BootId id = {};
  const FileDescriptor fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (fd.Get() < 0) return id;
  const Result<size_t> got = ReadAt(fd.Get(), 0, std::span(id).first(kBootIdBytes - 1), "boot_id");
  return got.ok() ? id : BootId{};
}

}  // namespace

TimeStamp TimeStamp::Now() {
  timespec boot = {};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  return {static_cast<uint32_t>(std::time(nullptr)), static_cast<uint32_t>(boot.tv_sec)};
}

Status CheckDowntime(uint32_t last_wall_s, uint32_t down_s, uint32_t now_wall_s,
                     uint32_t max_downtime_s) {
  const uint64_t expected_s = uint64_t{last_wall_s} + down_s;
  if (now_wall_s + uint64_t{kClockBackMaxS} < expected_s) {
    return Untrusted("the clock went back by " + std::to_string(expected_s - now_wall_s) + " s");
  }
  if (max_downtime_s != 0 && down_s > max_downtime_s) {
    return Untrusted("it was down for " + std::to_string(down_s) + " s, and max_downtime is " +
                     std::to_string(max_downtime_s));
  }
  return Status();
}

Result<std::unique_ptr<SharedFile>> SharedFile::Open(const std::string& path,
                                                     const SharedFileFormat& format,
                                                     uint64_t owner_id, uint64_t bytes_max) {
  const size_t slash = path.rfind('/');
  const std::string directory_path = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  std::unique_ptr<SharedFile> file(new SharedFile(path, format, owner_id));
  TERRACED_ASSIGN_OR_RETURN(const FileDescriptor directory, OpenDirectory(directory_path));
  TERRACED_ASSIGN_OR_RETURN(file->file_,
                            OpenOwnFile(directory.Get(), path.substr(slash + 1), O_RDWR | O_CREAT));
  if (::flock(file->file_.Get(), LOCK_EX | LOCK_NB) != 0) {
    return Status(StatusCode::kBusy, "'" + path + "' is in use by another process");
  }
  TERRACED_RETURN_IF_ERROR(file->Map(bytes_max));
  return file;
}

Status SharedFile::Map(uint64_t bytes_max) {
  TERRACED_ASSIGN_OR_RETURN(const uint64_t file_bytes, Bytes());
  mapped_bytes_ = RoundUp(std::max({bytes_max, format_.header_bytes, file_bytes}));
  // Beyond the end of the file too, where it will grow: nothing there is touched before it is reserved.
  void* const at = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_NORESERVE, file_.Get(), /*offset=*/0);
  if (at == MAP_FAILED) return Status::FromErrno("map '" + path_ + "'", errno);
  memory_ = static_cast<char*>(at);
  return Status();
}

SharedFile::~SharedFile() {
  if (memory_ != nullptr) ::munmap(memory_, mapped_bytes_);
}

Status SharedFile::Mismatch(const std::string& what) const {
  return Untrusted(std::string("the ") + format_.what + " " + what);
}

Status SharedFile::CheckLeft(uint64_t run_id, const TimeStamp& now, uint32_t max_downtime_s) {
  TERRACED_ASSIGN_OR_RETURN(const uint64_t file_bytes, Bytes());
  if (file_bytes == 0) return Untrusted(std::string("there is no ") + format_.what);
  if (file_bytes < format_.header_bytes) return Mismatch("was cut off");
  TERRACED_RETURN_IF_ERROR(Reserve(0, format_.header_bytes));  // as it was, but for a hole in it
  const SharedFileHeader& header = Header();
  if (header.magic != format_.magic || header.version != format_.version) {
    return Mismatch("is of another version");
  }
  if (header.owner_id != owner_id_) return Mismatch("is of another directory");
  const BootId boot_id = ReadBootId();
  if (boot_id == BootId{}) return Untrusted("the system does not say which boot this is");
  if (boot_id != header.boot_id) return Untrusted("the system was started again");
  const uint64_t run = header.run_id.load(std::memory_order_relaxed);
  // A new file has no run before the one that begins: it counts once the owner names that.
  const uint64_t next_run = header.next_run_id.load(std::memory_order_relaxed);
  if (run == 0 && next_run == 0) return Mismatch("had been given up");
  if (run_id != 0 && run != run_id && next_run != run_id) {
    return Mismatch("is of another run");
  }
  const uint64_t beat = header.heartbeat.load(std::memory_order_relaxed);
  const auto beat_boot_s = static_cast<uint32_t>(beat);
  return CheckDowntime(static_cast<uint32_t>(beat >> 32),
                       now.boot_s - std::min(beat_boot_s, now.boot_s), now.wall_s, max_downtime_s);
}

Status SharedFile::Clear() {
  if (::ftruncate(file_.Get(), 0) != 0) return Status::FromErrno("empty '" + path_ + "'", errno);
  TERRACED_RETURN_IF_ERROR(Reserve(0, format_.header_bytes));
  SharedFileHeader& header = Header();
  header.version = format_.version;
  header.owner_id = owner_id_;
  header.boot_id = ReadBootId();
  header.magic = format_.magic;
  return Status();
}

void SharedFile::BeginRun(uint64_t run_id) {
  if (GivenUp()) return;
  Beat(TimeStamp::Now());
  Header().next_run_id.store(run_id, std::memory_order_release);
  if (MutantIs(Mutant::kRunNamedTooEarly)) ConfirmRun();
}

void SharedFile::ConfirmRun() {
  if (GivenUp()) return;
  SharedFileHeader& header = Header();
  header.run_id.store(header.next_run_id.load(std::memory_order_relaxed),
                      std::memory_order_release);
}

void SharedFile::Beat(const TimeStamp& now) {
  Header().heartbeat.store(uint64_t{now.wall_s} << 32 | now.boot_s, std::memory_order_relaxed);
}

void SharedFile::GiveUp(const std::string& why, const std::string& consequence) {
  if (given_up_.exchange(true)) return;
  Header().run_id.store(0, std::memory_order_relaxed);
  Header().next_run_id.store(0, std::memory_order_release);
  Log::Write(LogLevel::kNotice, "%s in %s given up: %s; %s", format_.what, path_.c_str(),
             why.c_str(), consequence.c_str());
}

void SharedFile::Remove() {
  static_cast<void>(::unlink(path_.c_str()));
}

Status SharedFile::Reserve(uint64_t begin, uint64_t bytes) {
  const uint64_t first = begin / kPage * kPage;
  const uint64_t end = RoundUp(begin + bytes);
  int error = EINTR;
  while (error == EINTR) {
    error =
        ::posix_fallocate(file_.Get(), static_cast<off_t>(first), static_cast<off_t>(end - first));
  }
  return error == 0 ? Status() : Status::FromErrno("take room for '" + path_ + "'", error);
}

bool SharedFile::Return(uint64_t begin, uint64_t bytes) {
  const uint64_t first = RoundUp(begin);
  const uint64_t end = (begin + bytes) / kPage * kPage;
  if (end <= first) return true;
  return ::fallocate(file_.Get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(first), static_cast<off_t>(end - first)) == 0;
}

}  // namespace terraced::storage
