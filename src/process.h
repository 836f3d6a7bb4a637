// Process: what the daemon asks of the system around its cache: the background, a user, limits, the
// pid file, signals.
// Threads: everything by the main thread; signals are blocked before any other exists, so that only the main thread
// ever takes one, or HurrySignals in its stead while the daemon stops.
// Ownership: Background and PidFile own their descriptor and their file.
// Errors: one Status that names the option and what would be right; FindAccount's code tells a
// missing -u (kInvalidArgument) from an unknown user (kNotFound).
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "src/options.h"
#include "storage/base/status.h"

namespace terraced::server {

// sysexits.h's numbers, as memcached uses them.
enum class ExitCode : int {
  kClean = 0,
  kFailure = 1,  // a value, a file or a disk that cannot be used
  kUsage = 64,   // options that contradict each other
  kNoUser = 67,
  kSystem = 71,  // the system refuses: port, limits, fork
};

// Where stdin, stdout or stderr is closed, opens /dev/null in its place: the next file to be opened (a socket, the
// flash tier's) would take its number otherwise, and log lines would go there. Before anything is opened.
void OpenMissingStdio();
// What a reader thread takes and a worker frees goes back to the reader's arena: glibc's eight arenas a processor keep
// several times what is in use. Before there are threads.
void LimitMallocArenas();

// -d. The parent waits in Start() until the child calls Ready() or ends, then exits with the
// child's word: 0, or the code the child exited with. SIGTERM and SIGINT end it earlier, and the
// child as soon as that has started. Until then the child's errors go where the parent's would.
class Background {
 public:
  Background() = default;
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background();

  // Returns in the child only.
  Status Start(const DaemonOptions& options);
  // Detaches stdio (unless -v, or stderr is a log file) and lets the parent exit with 0.
  void Ready(const DaemonOptions& options);
  // Passes the exit code on to a waiting parent; without -d nothing.
  void Failed(ExitCode code);

 private:
  void Tell(ExitCode code);
  int ready_fd_ = -1;  // the pipe's end that the parent waits on
};

// -P: written at once and whole (a temporary file, then rename). The file of a daemon that runs is handed back
// where this start fails.
class PidFile {
 public:
  PidFile() = default;
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  ~PidFile();
  // Warns where the file names a live process. A file that cannot be written is a warning too, as
  // in memcached.
  void Write(const std::string& path);
  // Empties the file where the user that was become may not remove it from its folder. A file that names another
  // process by now is left alone.
  void Remove();
  // Of a start that failed: the file names again the live process that it named before; else it is removed.
  void TakeBack();

 private:
  bool NamesThisProcess() const;
  void Forget();

  std::string path_;    // empty: none was written
  int fd_ = -1;         // opened while the process still could
  pid_t replaced_ = 0;  // the live process that the file named before; 0: none
};

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
};
// Whom to become; nothing where nobody need be (not started by root).
Result<std::optional<Account>> FindAccount(const std::string& user);
// Groups, group, user, in this order; dropped for good.
Status BecomeAccount(const Account& account);

// Raises the limit of open files to `needed`; says which options ask for how much when it cannot.
Status RaiseDescriptorLimit(const Options& options);
// -r: the limit, while this is still root; and after BecomeAccount, which would forbid core files.
Status RaiseCoreLimit();
Status AllowCoreFiles();
// So that a thread which stands back behind the workers may come forward again (tiering/thread_priority.h).
void AllowPrioritiesToReturn();
// -k: as far as it is a limit of the process.
void RaiseLockedMemoryLimit();

// --log-file: stderr is appended to it from here on. `*original` keeps the old stderr.
Status OpenLogFile(const std::string& path, int* original);

// The directory of the flash tier with its missing parents; 0700 and `owner`'s when it is made
// here.
Status MakeFlashDirectory(const std::string& path, const std::optional<Account>& owner);
// Free space where `path` is or will be, and what its files take already.
Result<FlashSpace> MeasureFlashSpace(const std::string& path);
// What root has made for `option` belongs to who will use it.
Status GiveFile(const std::string& option, const std::string& path, const Account& owner);
// As the process sees it from here on, wherever it changes to.
Result<std::string> AbsolutePath(const std::string& path);

// $MEMCACHED_PORT_FILENAME: one line per listening socket, "TCP INET: 11211"; without any no file, as in memcached.
Status WritePortFile(const std::string& path, const std::vector<std::string>& addresses);

// A process that dies by a fatal signal (SIGSEGV, SIGABRT and their like) leaves its CrashMark before.
void MarkCrashes();
// Blocks the signals that TakeSignal() answers. Ignores SIGPIPE, and SIGXFSZ: a file that may not grow is an error
// of the disk, which costs demotions and not the service (I6).
void BlockSignals();
// The next of SIGTERM, SIGINT, SIGUSR1, SIGHUP; 0 when none came within `wait_ns`.
int TakeSignal(int64_t wait_ns);
// Listens for a second stop signal while the daemon stops, so that it is known when that came and not only when
// somebody asked. What comes within `same_request_ns` of the construction is the first one said twice: a terminal's
// Ctrl-C that a wrapper passes on as well, or timeout(1), which signals its child and then the whole process group.
class HurrySignals {
 public:
  static constexpr int64_t kSameRequestNs = 1'000'000'000;

  explicit HurrySignals(int64_t same_request_ns = kSameRequestNs);
  HurrySignals(const HurrySignals&) = delete;
  HurrySignals& operator=(const HurrySignals&) = delete;
  ~HurrySignals();
  // Whether a SIGTERM or SIGINT came after that. Any thread.
  bool Heard() const { return heard_.load(); }

 private:
  void Listen();

  const int64_t begun_ns_;
  const int64_t same_request_ns_;
  std::atomic<bool> heard_ = false;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};
// Until just after the wall clock's next second.
int64_t NanosecondsToNextSecond();

}  // namespace terraced::server
