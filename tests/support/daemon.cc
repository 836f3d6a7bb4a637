#include "tests/support/daemon.h"

#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "storage/base/check.h"

namespace terraced::support {
namespace {

constexpr std::chrono::milliseconds kPollEvery{2};
constexpr std::string_view kPortLine = "TCP INET: ";

ProcessSpec SpecOf(const DaemonSpec& spec, const TempDirectory& scratch) {
  ProcessSpec process;
  process.arguments = {spec.binary, "-l", spec.listen, "-p", "-1"};
  // Both servers refuse to run as root unless told so.
  if (geteuid() == 0) {
    process.arguments.insert(process.arguments.end(), {"-u", spec.user});
    const passwd* const account = getpwnam(spec.user.c_str());
    TERRACED_CHECK(account != nullptr);
    // It writes the port file.
    TERRACED_CHECK(chown(scratch.Path().c_str(), account->pw_uid, account->pw_gid) == 0);
  }
  process.arguments.insert(process.arguments.end(), spec.arguments.begin(), spec.arguments.end());
  const auto mentions = [&spec](std::string_view option) {
    return std::any_of(
        spec.arguments.begin(), spec.arguments.end(),
        [&](const std::string& argument) { return argument.find(option) != std::string::npos; });
  };
  if (mentions("flash_path=") && !mentions("flash_index_dir=")) {
    process.arguments.insert(process.arguments.end(), {"-o", "flash_index_dir=" + scratch.Path()});
  }
  process.environment = {{"MEMCACHED_PORT_FILENAME", scratch.Sub("port")}};
  process.stderr_path = scratch.Sub("stderr");
  process.cpu = spec.cpu;
  return process;
}

// The port from the file that the server writes once it listens; 0: not there yet.
int PortFrom(const std::string& path, std::string_view kind, size_t nth) {
  const std::string text = ReadTextFile(path);
  size_t at = text.find(kind);
  for (; nth > 0 && at != std::string::npos; --nth) at = text.find(kind, at + 1);
  if (at == std::string::npos || text.back() != '\n') return 0;
  int port = 0;
  std::from_chars(text.data() + at + kind.size(), text.data() + text.size(), port);
  return port;
}

bool Answers(int port, bool asks_for_login) {
  Result<std::unique_ptr<Client>> client = Client::Connect(port);
  if (client.ok() && asks_for_login) return true;
  return client.ok() && client.value()->Ask("version\r\n").starts_with("VERSION ");
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::Start(const DaemonSpec& spec) {
  auto scratch = std::make_unique<TempDirectory>();
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<Process> process,
                            Process::Start(SpecOf(spec, *scratch)));
  const auto end = std::chrono::steady_clock::now() + spec.patience;
  int port = 0;
  while (port == 0 || !Answers(port, spec.asks_for_login)) {
    // Waiting for the child's end is the pause between two looks at the port file.
    const std::optional<int> ended = process->WaitFor(kPollEvery);
    if (ended.has_value() || std::chrono::steady_clock::now() > end) {
      return Status(StatusCode::kUnavailable,
                    spec.binary +
                        (ended ? " ended with status " + std::to_string(*ended)
                               : std::string(" did not answer in time")) +
                        ": " + ReadTextFile(scratch->Sub("stderr")));
    }
    if (port == 0) port = PortFrom(scratch->Sub("port"), kPortLine, 0);
  }
  return std::unique_ptr<Daemon>(new Daemon(std::move(scratch), std::move(process), port));
}

std::unique_ptr<Client> Daemon::Connect(std::chrono::milliseconds patience) const {
  Result<std::unique_ptr<Client>> client = Client::Connect(port_, patience);
  TERRACED_CHECK(client.ok());
  return std::move(client).value();
}

int Daemon::PortOf(std::string_view kind, size_t nth) const {
  return PortFrom(scratch_->Sub("port"), kind, nth);
}

int Daemon::Stop(int signal, std::chrono::milliseconds patience) {
  process_->Signal(signal);
  const std::optional<int> status = process_->WaitFor(patience);
  if (status.has_value()) return *status;
  (void)Kill();
  return -1;
}

int Daemon::Kill() {
  process_->Signal(SIGKILL);
  return process_->WaitFor(std::chrono::seconds(30)).value_or(-1);
}

FailedStart StartRefused(const DaemonSpec& spec) {
  const TempDirectory scratch;
  FailedStart failed;
  Result<std::unique_ptr<Process>> process = Process::Start(SpecOf(spec, scratch));
  if (!process.ok()) {
    failed.stderr_text = process.status().message();
    return failed;
  }
  failed.exit_status = process.value()->WaitFor(spec.patience).value_or(-1);
  failed.stderr_text = ReadTextFile(scratch.Sub("stderr"));
  return failed;
}

}  // namespace terraced::support
