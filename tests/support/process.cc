#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "storage/base/check.h"

namespace terraced::support {
namespace {

std::string MakeTempDirectory(const std::string& base) {
  const char* const wished = getenv("TMPDIR");
  const std::string usual = wished != nullptr && *wished != '\0' ? wished : "/tmp";
  std::string path = (base.empty() ? usual : base) + "/terraced-test-XXXXXX";
  TERRACED_CHECK(mkdtemp(path.data()) != nullptr);
  return path;
}

// Everything the child needs, made before fork: after it only async-signal-safe calls are allowed.
struct Prepared {
  std::vector<char*> arguments;
  std::vector<std::string> environment_text;
  std::vector<char*> environment;
  std::string stderr_path;
  cpu_set_t cpus;
  bool pinned = false;
};

void Prepare(const ProcessSpec& spec, Prepared* prepared) {
  for (const std::string& argument : spec.arguments) {
    prepared->arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  prepared->arguments.push_back(nullptr);
  for (const auto& [name, value] : spec.environment) {
    prepared->environment_text.push_back(name + "=" + value);
  }
  for (std::string& text : prepared->environment_text) prepared->environment.push_back(text.data());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    prepared->environment.push_back(*variable);
  }
  prepared->environment.push_back(nullptr);
  prepared->stderr_path = spec.stderr_path.empty() ? "/dev/null" : spec.stderr_path;
  prepared->pinned = spec.cpu >= 0;
  CPU_ZERO(&prepared->cpus);
  if (prepared->pinned) CPU_SET(static_cast<size_t>(spec.cpu), &prepared->cpus);
}

[[noreturn]] void RunChild(const Prepared& prepared, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(125);  // the parent died before the line above took effect
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(prepared.stderr_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (in < 0 || out < 0) _exit(125);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);
  if (prepared.pinned && sched_setaffinity(0, sizeof(prepared.cpus), &prepared.cpus) != 0)
    _exit(125);
  execve(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
  _exit(126);
}

uint64_t StatusLineBytes(const std::string& status, const std::string& name) {
  const size_t at = status.find("\n" + name + ":");
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + at + name.size() + 2, nullptr, 10) << 10;
}

}  // namespace

TempDirectory::TempDirectory(const std::string& base) : path_(MakeTempDirectory(base)) {}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Result<std::unique_ptr<Process>> Process::Start(const ProcessSpec& spec) {
  if (spec.arguments.empty() || access(spec.arguments[0].c_str(), X_OK) != 0) {
    return Status(StatusCode::kNotFound,
                  "no program to run at '" +
                      (spec.arguments.empty() ? std::string() : spec.arguments[0]) + "'");
  }
  Prepared prepared;
  Prepare(spec, &prepared);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return Status::FromErrno("fork", errno);
  if (pid == 0) RunChild(prepared, parent);
  const int pid_fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pid_fd < 0) {
    const int error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return Status::FromErrno("pidfd_open", error);
  }
  fcntl(pid_fd, F_SETFD, FD_CLOEXEC);
  return std::unique_ptr<Process>(new Process(pid, pid_fd));
}

Process::~Process() {
  if (!exit_status_.has_value()) {
    Signal(SIGKILL);
    (void)WaitFor(std::chrono::seconds(30));
  }
  close(pid_fd_);
}

void Process::Signal(int signal) {
  if (exit_status_.has_value()) return;
  kill(pid_, signal);
}

std::optional<int> Process::WaitFor(std::chrono::milliseconds patience) {
  if (exit_status_.has_value()) return exit_status_;
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd ended = {.fd = pid_fd_, .events = POLLIN, .revents = 0};
    const int ready = poll(&ended, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    break;
  }
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return std::nullopt;
  exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_status_;
}

ProcessUsage Process::Usage() const {
  ProcessUsage usage;
  if (exit_status_.has_value()) return usage;
  const std::string base = "/proc/" + std::to_string(pid_);
  const std::string status = ReadTextFile(base + "/status");
  usage.rss_bytes = StatusLineBytes(status, "VmRSS");
  usage.peak_rss_bytes = StatusLineBytes(status, "VmHWM");
  usage.cpu_s = ProcessCpuSeconds(pid_);
  std::error_code error;
  std::filesystem::directory_iterator at(base + "/fd", error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    ++usage.descriptors;
    std::error_code closed_meanwhile;
    const std::string target = std::filesystem::read_symlink(at->path(), closed_meanwhile).string();
    usage.sockets += target.starts_with("socket:") ? 1 : 0;
  }
  return usage;
}

double ProcessCpuSeconds(pid_t pid) {
  const std::string stat = ReadTextFile("/proc/" + std::to_string(pid) + "/stat");
  // Fields count from behind the program's name, which may hold blanks: utime is the 12th from there.
  const size_t behind_name = stat.rfind(')');
  if (behind_name == std::string::npos) return 0;
  std::istringstream fields(stat.substr(behind_name + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user_ticks = 0;
  double system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  return (user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::string ReadTextFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

uint64_t DirectoryDiskBytes(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(path, error);
  while (!error && at != std::filesystem::recursive_directory_iterator()) {
    struct stat info = {};
    // A file may be dropped between being listed and being asked for: it then counts as nothing.
    if (lstat(at->path().c_str(), &info) == 0) bytes += static_cast<uint64_t>(info.st_blocks) * 512;
    at.increment(error);
  }
  return bytes;
}

}  // namespace terraced::support
