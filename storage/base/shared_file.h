// SharedFile: memory in a file, by preference on tmpfs, that outlives a killed process; and what tells whether the next
// one may take it over: by the same owner, after the run that is known to have been the last, in the same boot, after a
// downtime and by a clock that can be trusted. What lies behind the header is the user's business; storage/README.md,
// "Files that outlive a process", has the order of stores that keeps every prefix safe.
// Threads: Beat() by one; Reserve(), Return() and GiveUp() by any; the rest at start-up and stop.
// Ownership: the file is locked as long as the object lives, and stays when it goes, unless Remove() was called.
// Errors: Open() and CheckLeft() say in one line why there is nothing to take over. Reserve() fails where the filesystem
// is full: what was not reserved must not be touched, the kernel would end the process.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "storage/base/file_io.h"
#include "storage/base/flush_mark.h"
#include "storage/base/status.h"

namespace terraced::storage {

// Both clocks of one moment, in seconds.
struct TimeStamp {
  uint32_t wall_s = 0;
  uint32_t boot_s = 0;  // CLOCK_BOOTTIME

  static TimeStamp Now();
};

// Whether data that were left at `last_wall_s` and down for `down_s` seconds may be gone on with now. Not if the wall
// clock has gone back since (what had expired would be there again), nor after more than `max_downtime_s` (0: for ever).
Status CheckDowntime(uint32_t last_wall_s, uint32_t down_s, uint32_t now_wall_s,
                     uint32_t max_downtime_s);

constexpr size_t kBootIdBytes = 40;
using BootId = std::array<char, kBootIdBytes>;

// What every such file begins with; the user's part follows.
struct SharedFileHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t reserved;
  uint64_t owner_id;
  BootId boot_id;
  std::atomic<uint64_t> run_id;       // 0: nothing to take over
  std::atomic<uint64_t> next_run_id;  // of a run that is taking over
  std::atomic<uint64_t> heartbeat;    // wall << 32 | boot, seconds
  FlushMark flush;
};
static_assert(sizeof(SharedFileHeader) == 104);

struct SharedFileFormat {
  const char* what;  // in messages: "shared index"
  uint64_t magic;
  uint32_t version;
  uint64_t header_bytes;  // both parts
};

class SharedFile {
 public:
  // `owner_id`: what the data belong to. `bytes_max`: address space set aside. Opens or makes the file, and locks it;
  // what it holds stays as it is until Clear() or BeginRun().
  static Result<std::unique_ptr<SharedFile>> Open(const std::string& path,
                                                  const SharedFileFormat& format, uint64_t owner_id,
                                                  uint64_t bytes_max);
  ~SharedFile();
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;

  const std::string& Path() const { return path_; }
  char* Memory() const { return memory_; }
  uint64_t MappedBytes() const { return mapped_bytes_; }
  SharedFileHeader& Header() const { return *reinterpret_cast<SharedFileHeader*>(memory_); }
  Result<uint64_t> Bytes() const { return FileBytes(file_.Get(), path_); }

  // Ok: it is what run `run_id` (0: whichever was the last) of this owner left in this boot. The header is reserved
  // then, nothing else.
  Status CheckLeft(uint64_t run_id, const TimeStamp& now, uint32_t max_downtime_s);
  // A header of no run and nothing behind it. Fails where there is no room.
  Status Clear();

  // The owner writes down which run counts between these two, so that the file answers to either.
  void BeginRun(uint64_t run_id);
  void ConfirmRun();
  // That this process is alive, each second.
  void Beat(const TimeStamp& now);
  // The file is worth nothing from now on; said in one line, once.
  void GiveUp(const std::string& why, const std::string& consequence);
  bool GivenUp() const { return given_up_.load(std::memory_order_relaxed); }
  // Of the directory's list; nobody else made a file of that name while this one was locked.
  void Remove();

  // From the filesystem, whole pages around this part, so that touching it cannot fail.
  Status Reserve(uint64_t begin, uint64_t bytes);
  // The whole pages inside this part, back to the filesystem: they are zero from now on. False: it cannot.
  bool Return(uint64_t begin, uint64_t bytes);

 private:
  SharedFile(std::string path, const SharedFileFormat& format, uint64_t owner_id)
      : path_(std::move(path)), format_(format), owner_id_(owner_id) {}
  Status Map(uint64_t bytes_max);
  Status Mismatch(const std::string& what) const;

  const std::string path_;
  const SharedFileFormat format_;
  const uint64_t owner_id_;
  FileDescriptor file_;
  char* memory_ = nullptr;
  uint64_t mapped_bytes_ = 0;
  std::atomic<bool> given_up_{false};
};

}  // namespace terraced::storage
