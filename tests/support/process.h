// Process: a child process of a test, with its stderr in a file; TempDirectory: a directory that goes with
// its owner.
// Threads: one at a time; start processes from a thread that outlives them (the child dies with the thread
// that started it, so that a crashed test leaves nothing behind).
// Ownership: the destructor kills and reaps a child that still runs; it touches no other process.
// Errors: Status names what could not be done; exit statuses as a shell gives them (128 + signal).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/status.h"

namespace terraced::support {

class TempDirectory {
 public:
  // Below `base`, by default $TMPDIR, else /tmp; mode 0700. CHECKs that it could be made.
  explicit TempDirectory(const std::string& base = "");
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& Path() const { return path_; }
  std::string Sub(const std::string& name) const { return path_ + "/" + name; }

 private:
  const std::string path_;
};

struct ProcessUsage {
  uint64_t rss_bytes = 0;       // VmRSS
  uint64_t peak_rss_bytes = 0;  // VmHWM
  double cpu_s = 0;             // user and system, all threads
  uint64_t descriptors = 0;     // open ones
  uint64_t sockets = 0;         // of them: listening ones and connections
};

struct ProcessSpec {
  std::vector<std::string> arguments;                            // [0] is the program's path
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::string stderr_path;  // empty: /dev/null; stdout goes there too
  int cpu = -1;             // pinned to this processor; -1: anywhere
};

class Process {
 public:
  static Result<std::unique_ptr<Process>> Start(const ProcessSpec& spec);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t Pid() const { return pid_; }
  bool Running() { return !WaitFor(std::chrono::milliseconds(0)).has_value(); }
  // Does nothing once the child was reaped: its pid may belong to somebody else by then.
  void Signal(int signal);
  // The exit status; nullopt: it still runs after that long.
  std::optional<int> WaitFor(std::chrono::milliseconds patience);
  // Zeros once the child has ended.
  ProcessUsage Usage() const;

 private:
  Process(pid_t pid, int pid_fd) : pid_(pid), pid_fd_(pid_fd) {}
  const pid_t pid_;
  const int pid_fd_;
  std::optional<int> exit_status_;
};

// User and system time of all threads of any process; 0 when there is none of that number.
double ProcessCpuSeconds(pid_t pid);
// The whole file as text; empty when it cannot be read.
std::string ReadTextFile(const std::string& path);
// Bytes of blocks used by every file below the directory.
uint64_t DirectoryDiskBytes(const std::string& path);

}  // namespace terraced::support
