#include "src/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <thread>

#include "storage/base/crash_mark.h"
#include "storage/base/log.h"
#include "storage/base/start_thread.h"
#include "storage/flash/flash_directory.h"

namespace terraced::server {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

int64_t MonotonicNs() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// The whole text appears under `path` or nothing does.
Status ReplaceFile(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".tmp";
  const int fd =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return Status::FromErrno("cannot write " + temporary, errno);
  const bool written = WriteAll(fd, text);
  const int error = errno;
  ::close(fd);
  if (written && ::rename(temporary.c_str(), path.c_str()) == 0) return Status();
  Status status = Status::FromErrno("cannot write " + path, written ? errno : error);
  ::unlink(temporary.c_str());
  return status;
}

void PointStdioAtNull(bool stderr_too) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  if (stderr_too) ::dup2(null, STDERR_FILENO);
  if (null > STDERR_FILENO) ::close(null);
}

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) sigaddset(&set, signal);
  return set;
}

volatile pid_t g_starting_child = 0;  // for PassOn

// Whoever ends the command that waits for its daemon does not want the daemon either.
void PassOn(int signal) {
  if (g_starting_child > 0) ::kill(g_starting_child, SIGTERM);
  ::_exit(128 + signal);
}

// In the parent of a daemon: exits with the child's word, or for a signal.
[[noreturn]] void FollowChild(int fd, pid_t child) {
  g_starting_child = child;
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT}) {
    ::signal(signal, &PassOn);
    sigaddset(&set, signal);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  unsigned char code = 0;
  ssize_t got = 0;
  do {
    got = ::read(fd, &code, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 1) std::_Exit(code);
  // The child ended without a word: a crash, or the kernel's doing. Its number may soon be somebody else's.
  g_starting_child = 0;
  int ended = 0;
  ::waitpid(child, &ended, 0);
  if (WIFSIGNALED(ended)) {
    std::fprintf(stderr, "terraced: -d: the daemon was ended by signal %d while starting\n",
                 WTERMSIG(ended));
    std::_Exit(static_cast<int>(ExitCode::kFailure));
  }
  std::_Exit(WIFEXITED(ended) && WEXITSTATUS(ended) != 0 ? WEXITSTATUS(ended)
                                                         : static_cast<int>(ExitCode::kFailure));
}

// The process that an open pid file names; 0: none.
pid_t ProcessIn(int fd) {
  std::array<char, 32> text;
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  pid_t pid = 0;
  if (got > 0) std::from_chars(text.data(), text.data() + got, pid);
  return std::max(pid, 0);
}

// The process that the file names, if it lives and is not this one; else 0.
pid_t LiveProcessIn(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return 0;
  const pid_t pid = ProcessIn(fd);
  ::close(fd);
  if (pid == 0 || pid == ::getpid()) return 0;
  return ::kill(pid, 0) == 0 || errno == EPERM ? pid : 0;
}

}  // namespace

void LimitMallocArenas() {
  ::mallopt(M_ARENA_MAX, static_cast<int>(std::max(2U, std::thread::hardware_concurrency())));
}

void OpenMissingStdio() {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) ::close(fd);
}

// --- Background
// -----------------------------------------------------------------------------------

Background::~Background() {
  if (ready_fd_ >= 0) ::close(ready_fd_);
}

Status Background::Start(const DaemonOptions& options) {
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return Status::FromErrno("-d: cannot make a pipe", errno);
  const pid_t child = ::fork();
  if (child < 0) {
    const int error = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    return Status::FromErrno("-d: cannot fork", error);
  }
  if (child > 0) {
    ::close(ends[1]);
    FollowChild(ends[0], child);
  }
  ::close(ends[0]);
  ready_fd_ = ends[1];
  if (::setsid() < 0) return Status::FromErrno("-d: cannot leave the session", errno);
  // A core file lands in the current directory, so -r stays there; memcached does the same.
  if (!options.core_dumps && ::chdir("/") != 0) return Status::FromErrno("-d: chdir /", errno);
  return Status();
}

void Background::Ready(const DaemonOptions& options) {
  if (ready_fd_ < 0) return;
  if (options.verbosity == 0) PointStdioAtNull(options.log_file.empty());
  Tell(ExitCode::kClean);
}

void Background::Failed(ExitCode code) {
  Tell(code);
}

void Background::Tell(ExitCode code) {
  if (ready_fd_ < 0) return;
  const char byte = static_cast<char>(code);
  static_cast<void>(WriteAll(ready_fd_, std::string_view(&byte, 1)));  // a parent that is gone
  ::close(ready_fd_);
  ready_fd_ = -1;
}

// --- Pid file
// -------------------------------------------------------------------------------------

PidFile::~PidFile() {
  if (fd_ >= 0) ::close(fd_);
}

void PidFile::Write(const std::string& path) {
  const pid_t alive = LiveProcessIn(path);
  if (alive != 0) {
    Log::Write(LogLevel::kNotice, "terraced: -P: %s names process %d, which is alive: replaced",
               path.c_str(), static_cast<int>(alive));
  }
  const Status status = ReplaceFile(path, std::to_string(::getpid()) + "\n");
  if (!status.ok()) {
    Log::Write(LogLevel::kNotice, "terraced: -P: %s", std::string(status.message()).c_str());
    return;
  }
  path_ = path;
  replaced_ = alive;
  fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

void PidFile::Remove() {
  if (NamesThisProcess() && ::unlink(path_.c_str()) != 0 && ::ftruncate(fd_, 0) == 0) {
    Log::Write(LogLevel::kVerbose, "terraced: -P: emptied %s, its folder does not let it go",
               path_.c_str());
  }
  Forget();
}

void PidFile::TakeBack() {
  if (replaced_ == 0 || !NamesThisProcess()) {
    Remove();
    return;
  }
  // Through the descriptor: the user that was become may not replace the file in its folder.
  if (::ftruncate(fd_, 0) == 0) {
    static_cast<void>(WriteAll(fd_, std::to_string(replaced_) + "\n"));
  }
  Forget();
}

// By the descriptor: the folder may be closed to the user that was become. A file that another one took the place
// of has no name any more.
bool PidFile::NamesThisProcess() const {
  struct stat status;
  if (fd_ < 0 || ::fstat(fd_, &status) != 0) return false;
  return status.st_nlink > 0 && ProcessIn(fd_) == ::getpid();
}

void PidFile::Forget() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  replaced_ = 0;
  path_.clear();
}

// --- User
// -----------------------------------------------------------------------------------------

Result<std::optional<Account>> FindAccount(const std::string& user) {
  if (::geteuid() != 0) return std::optional<Account>();
  if (user.empty()) {
    return Status(StatusCode::kInvalidArgument,
                  "-u: can't run as root without it: name a user to become, or '-u root'");
  }
  errno = 0;
  const struct passwd* const found = ::getpwnam(user.c_str());
  if (found == nullptr) {
    return Status(StatusCode::kNotFound,
                  "-u " + user + ": can't find the user to switch to: name one of /etc/passwd");
  }
  return std::optional<Account>(Account{.name = user, .uid = found->pw_uid, .gid = found->pw_gid});
}

Status BecomeAccount(const Account& account) {
  const auto failed = [&account](std::string_view what) {
    return Status::FromErrno("-u " + account.name + ": " + std::string(what), errno);
  };
  if (::initgroups(account.name.c_str(), account.gid) != 0) return failed("cannot set the groups");
  if (::setgid(account.gid) != 0) return failed("cannot set the group");
  if (::setuid(account.uid) != 0) return failed("cannot set the user");
  // Whoever can become root again has not dropped anything.
  if (account.uid != 0 && ::setuid(0) == 0) {
    return Status(StatusCode::kIoError, "-u " + account.name + ": root was not given up");
  }
  return Status();
}

// --- Limits
// ---------------------------------------------------------------------------------------

Status RaiseDescriptorLimit(const Options& options) {
  const uint64_t needed = DescriptorsNeeded(options);
  struct rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return Status::FromErrno("-c: getrlimit", errno);
  if (limit.rlim_cur >= needed) return Status();
  const struct rlimit wanted = {.rlim_cur = needed, .rlim_max = std::max(limit.rlim_max, needed)};
  if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return Status();
  const uint64_t connections = options.server.connections_max;
  std::string asks = "-c " + std::to_string(connections);
  if (!options.cache.flash_path.empty()) {
    asks += ", flash_open_files " + std::to_string(options.cache.flash_open_files_max);
  }
  return Status(StatusCode::kIoError,
                asks + " and what else is open need a limit of " + std::to_string(needed) +
                    " open files, the system grants " + std::to_string(limit.rlim_max) +
                    ": lower them or raise 'ulimit -n'");
}

Status RaiseCoreLimit() {
  struct rlimit limit;
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return Status::FromErrno("-r: getrlimit", errno);
  const struct rlimit unlimited = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  if (::setrlimit(RLIMIT_CORE, &unlimited) != 0) {
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur == 0 || ::setrlimit(RLIMIT_CORE, &limit) != 0) {
      return Status(StatusCode::kIoError,
                    "-r: the system grants no core files: raise 'ulimit -c' or leave -r out");
    }
  }
  return Status();
}

Status AllowCoreFiles() {
  if (::prctl(PR_SET_DUMPABLE, 1) != 0) return Status::FromErrno("-r: prctl", errno);
  return Status();
}

void AllowPrioritiesToReturn() {
  constexpr rlim_t kUpToNice0 = 20;
  struct rlimit limit;
  if (::getrlimit(RLIMIT_NICE, &limit) != 0 || limit.rlim_cur >= kUpToNice0) return;
  limit.rlim_cur = kUpToNice0;
  limit.rlim_max = std::max(limit.rlim_max, kUpToNice0);
  // Where it is not granted, the demoter does not stand back, and the warmer always does.
  static_cast<void>(::setrlimit(RLIMIT_NICE, &limit));
}

void RaiseLockedMemoryLimit() {
  const struct rlimit unlimited = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  if (::setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0) return;
  struct rlimit limit;
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;  // what is not granted shows when memory is locked: a warning
  static_cast<void>(::setrlimit(RLIMIT_MEMLOCK, &limit));
}

Status OpenLogFile(const std::string& path, int* original) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return Status::FromErrno("--log-file: cannot write " + path, errno);
  *original = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  ::dup2(fd, STDERR_FILENO);
  ::close(fd);
  return Status();
}

// --- Flash directory
// ------------------------------------------------------------------------------

Status MakeFlashDirectory(const std::string& path, const std::optional<Account>& owner) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
      return Status::FromErrno("-o flash_path: cannot make " + parent, errno);
    }
  }
  if (::mkdir(path.c_str(), 0700) != 0) {
    // What stands there already is judged by the flash tier, which knows its own directories.
    if (errno == EEXIST) return Status();
    return Status::FromErrno("-o flash_path: cannot make " + path, errno);
  }
  return owner.has_value() ? GiveFile("-o flash_path", path, *owner) : Status();
}

Status GiveFile(const std::string& option, const std::string& path, const Account& owner) {
  if (::lchown(path.c_str(), owner.uid, owner.gid) == 0) return Status();
  return Status::FromErrno(option + ": cannot give " + path + " to " + owner.name, errno);
}

Result<FlashSpace> MeasureFlashSpace(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path standing = path;
  while (!fs::exists(standing, error) && standing.has_relative_path()) {
    standing = standing.parent_path();
  }
  struct statvfs volume;
  if (::statvfs(standing.c_str(), &volume) != 0) {
    return Status::FromErrno("-o flash_path: cannot look at " + standing.string(), errno);
  }
  FlashSpace space;
  space.free_bytes = uint64_t{volume.f_bavail} * volume.f_frsize;
  // Only of a tier: the directory was not judged yet, and may be somebody else's with millions of files.
  if (!fs::exists(path + "/" + storage::kFlashFormatName, error)) return space;
  // A name and a stat for each file, a few per batch; no file is opened.
  fs::recursive_directory_iterator file(path, fs::directory_options::skip_permission_denied, error);
  for (; !error && file != fs::recursive_directory_iterator(); file.increment(error)) {
    struct stat status;
    if (::lstat(file->path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      space.used_bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return space;
}

Result<std::string> AbsolutePath(const std::string& path) {
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return Status::FromErrno("cannot tell where " + path + " is", error.value());
  absolute = absolute.lexically_normal();
  std::string text = absolute.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

// --- Port file
// ------------------------------------------------------------------------------------

Status WritePortFile(const std::string& path, const std::vector<std::string>& addresses) {
  std::string text;
  for (const std::string& address : addresses) {
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos || address.starts_with("unix:")) continue;
    text += address.starts_with("udp") ? "UDP " : "TCP ";
    text += address.find('[') != std::string::npos ? "INET6: " : "INET: ";
    text += address.substr(colon + 1) + "\n";
  }
  if (text.empty()) return Status();
  return ReplaceFile(path, text).WithContext("MEMCACHED_PORT_FILENAME");
}

// --- Signals
// --------------------------------------------------------------------------------------

void BlockSignals() {
  const sigset_t set = HandledSignals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

void MarkCrashes() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) {
    CrashMark::Leave();
    ::raise(signal);  // by its default action, which SA_RESETHAND has put back
  };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) {
    ::sigaction(signal, &action, nullptr);
  }
}

int TakeSignal(int64_t wait_ns) {
  const sigset_t set = HandledSignals();
  const struct timespec wait = {.tv_sec = wait_ns / kNanosecondsPerSecond,
                                .tv_nsec = wait_ns % kNanosecondsPerSecond};
  const int signal = ::sigtimedwait(&set, nullptr, &wait);
  return std::max(signal, 0);
}

HurrySignals::HurrySignals(int64_t same_request_ns)
    : begun_ns_(MonotonicNs()), same_request_ns_(same_request_ns) {
  Result<std::thread> thread = StartThread("signals", [this] { Listen(); });
  // Without it the stop is as clean, but cannot be hurried.
  if (thread.ok()) thread_ = std::move(thread).value();
}

HurrySignals::~HurrySignals() {
  if (!thread_.joinable()) return;
  ended_.store(true);
  // Wakes Listen(), and means nothing else while the daemon stops.
  ::pthread_kill(thread_.native_handle(), SIGHUP);
  thread_.join();
}

void HurrySignals::Listen() {
  while (!ended_.load()) {
    const int signal = TakeSignal(kNanosecondsPerSecond);
    if (signal != SIGTERM && signal != SIGINT) continue;
    if (MonotonicNs() - begun_ns_ >= same_request_ns_) heard_.store(true);
  }
}

int64_t NanosecondsToNextSecond() {
  constexpr int64_t kAfter = 1'000'000;  // so that a timer's rounding does not wake before it
  struct timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return kNanosecondsPerSecond - now.tv_nsec + kAfter;
}

}  // namespace terraced::server
