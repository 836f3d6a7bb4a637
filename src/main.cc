// main: parses the options, builds the daemon bottom-up, waits for a signal, takes it down
// top-down. The order at start is the design's: everything that needs root first (port, limits,
// directory, pid file), then the user is dropped, then threads and RocksDB. The port is bound
// before anything on disk is touched, so that a second daemon fails without harm to the first.
#include <event2/event.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "src/license.h"
#include "src/option_docs.h"
#include "src/options.h"
#include "src/process.h"
#include "src/server.h"
#include "storage/base/clock.h"
#include "storage/base/kill_point.h"
#include "storage/base/log.h"
#include "storage/base/memory_reserve.h"
#include "storage/base/sync_point.h"
#include "tiering/cache.h"

namespace terraced::server {
namespace {

// A step of the start that failed, and how the process ends for it.
struct Failure {
  ExitCode code = ExitCode::kFailure;
  Status status;
};
using Step = std::optional<Failure>;  // nothing: go on

Step Check(ExitCode code, Status status) {
  if (status.ok()) return std::nullopt;
  return Failure{code, std::move(status)};
}

class Daemon {
 public:
  explicit Daemon(CommandLine line)
      : options_(std::move(line.options)), notices_(std::move(line.notices)) {}

  ExitCode Run() {
    for (const auto step : {&Daemon::Resolve, &Daemon::Detach, &Daemon::TakeAsRoot,
                            &Daemon::DropPrivileges, &Daemon::StartLayers}) {
      if (const Step failure = (this->*step)(); failure.has_value()) return Refuse(*failure);
    }
    Started();
    ServeUntilSignal();
    return Stop();
  }

 private:
  Step Resolve();
  Step Detach();
  Step TakeAsRoot();
  Step DropPrivileges();
  void NoteFilesOfRoot() const;
  Step StartLayers();
  void Started();
  void ServeUntilSignal();
  void Reload();
  ExitCode Stop();
  ExitCode Refuse(const Failure& failure);
  bool HasFlash() const { return !options_.cache.flash_path.empty(); }

  Options options_;
  const std::vector<std::string> notices_;
  std::optional<Account> account_;
  Background background_;
  PidFile pid_file_;
  int original_stderr_ = -1;  // where errors of the start are told as well, with a log file
  std::optional<Clock> clock_;
  std::optional<WatchHub> watch_;          // outlives the cache, which tells it what happens
  std::unique_ptr<tiering::Cache> cache_;  // outlives the server, which borrows it
  std::unique_ptr<Server> server_;
};

Step Daemon::Resolve() {
  if (Step failed = Check(ExitCode::kUsage, CheckOptions(&options_))) return failed;
  for (std::string* const path :
       {&options_.cache.flash_path, &options_.cache.flash_index_dir, &options_.cache.memory_file,
        &options_.server.unix_socket, &options_.server.auth_file, &options_.daemon.pid_file,
        &options_.daemon.log_file, &options_.server.tls.chain_cert, &options_.server.tls.key,
        &options_.server.tls.ca_cert}) {
    if (path->empty() || *path == tiering::kNoIndexDirectory) continue;
    Result<std::string> absolute = AbsolutePath(*path);
    if (!absolute.ok()) return Failure{ExitCode::kFailure, absolute.status()};
    *path = std::move(absolute).value();
  }
  Result<std::optional<Account>> account = FindAccount(options_.daemon.user);
  if (!account.ok()) {
    const bool unknown = account.status().code() == StatusCode::kNotFound;
    return Failure{unknown ? ExitCode::kNoUser : ExitCode::kUsage, account.status()};
  }
  account_ = std::move(account).value();
  if (!HasFlash()) return std::nullopt;
  const Result<FlashSpace> space = MeasureFlashSpace(options_.cache.flash_path);
  if (!space.ok()) return Failure{ExitCode::kFailure, space.status()};
  return Check(ExitCode::kFailure, ResolveFlashSize(&options_, space.value()));
}

Step Daemon::Detach() {
  if (options_.daemon.daemonize) {
    if (Step failed = Check(ExitCode::kSystem, background_.Start(options_.daemon))) return failed;
  }
  Log::SetVerbosity(options_.daemon.verbosity);
  if (options_.daemon.log_file.empty()) return std::nullopt;
  return Check(ExitCode::kFailure, OpenLogFile(options_.daemon.log_file, &original_stderr_));
}

Step Daemon::TakeAsRoot() {
  if (options_.daemon.core_dumps) {
    if (Step failed = Check(ExitCode::kSystem, RaiseCoreLimit())) return failed;
  }
  if (options_.daemon.lock_memory) RaiseLockedMemoryLimit();
  AllowPrioritiesToReturn();
  if (Step failed = Check(ExitCode::kSystem, RaiseDescriptorLimit(options_))) return failed;
  std::unique_ptr<Tls> tls;
  if (options_.server.tls_enabled) {
    Result<std::unique_ptr<Tls>> made = Tls::Create(options_.server.tls);
    if (!made.ok()) return Failure{ExitCode::kUsage, made.status()};
    tls = std::move(made).value();
  }
  Result<std::unique_ptr<Server>> server = Server::Bind(options_, std::move(tls));
  if (!server.ok()) return Failure{ExitCode::kSystem, server.status()};
  server_ = std::move(server).value();
  if (account_.has_value() && !options_.server.unix_socket.empty()) {
    const Status given = GiveFile("-s", options_.server.unix_socket, *account_);
    if (!given.ok()) return Failure{ExitCode::kSystem, given};
  }
  if (HasFlash()) {
    const Status made = MakeFlashDirectory(options_.cache.flash_path, account_);
    if (!made.ok()) return Failure{ExitCode::kFailure, made};
  }
  if (!options_.daemon.pid_file.empty()) pid_file_.Write(options_.daemon.pid_file);
  return std::nullopt;
}

Step Daemon::DropPrivileges() {
  if (account_.has_value()) {
    if (Step failed = Check(ExitCode::kSystem, BecomeAccount(*account_))) return failed;
    if (options_.server.tls_enabled) NoteFilesOfRoot();
  }
  if (options_.daemon.core_dumps) {
    if (Step failed = Check(ExitCode::kSystem, AllowCoreFiles())) return failed;
  }
  if (Step failed = Check(ExitCode::kFailure, server_->LoadCredentials())) return failed;
  const char* const port_file = std::getenv("MEMCACHED_PORT_FILENAME");
  if (port_file == nullptr || port_file[0] == '\0') return std::nullopt;
  return Check(ExitCode::kFailure, WritePortFile(port_file, server_->Addresses()));
}

// Certificates are read while it is still root, and again when it is not: said now, not when they have run out.
void Daemon::NoteFilesOfRoot() const {
  const TlsOptions& tls = options_.server.tls;
  const std::array<std::pair<const char*, const std::string*>, 3> files = {
      {{"ssl_chain_cert", &tls.chain_cert}, {"ssl_key", &tls.key}, {"ssl_ca_cert", &tls.ca_cert}}};
  for (const auto& [option, file] : files) {
    if (file->empty() || ::access(file->c_str(), R_OK) == 0) continue;
    Log::Write(LogLevel::kNotice,
               "terraced: %s %s: user %s may not read it, so refresh_certs and SIGHUP will fail",
               option, file->c_str(), account_->name.c_str());
  }
}

Step Daemon::StartLayers() {
  ::umask(077);  // what a cache holds is nobody else's to read
  for (const std::string& notice : notices_) {
    Log::Write(LogLevel::kNotice, "terraced: %s", notice.c_str());
  }
#ifdef TERRACED_MUTANTS
  const auto mutant = std::find(kMutantNames.begin(), kMutantNames.end(), options_.mutant);
  if (mutant != kMutantNames.end()) {
    g_mutant.store(static_cast<Mutant>(mutant - kMutantNames.begin()));
  }
#endif
  if (!options_.kill_at.empty() &&
      (!options_.server.test_commands || !KillPoints::Arm(options_.kill_at))) {
    return Failure{ExitCode::kUsage, Status(StatusCode::kInvalidArgument,
                                            "-o kill_at: no such point, or no test_commands")};
  }
  clock_.emplace();
  watch_.emplace(options_.server.worker_logbuf_bytes);
  Result<std::unique_ptr<tiering::Cache>> cache =
      tiering::Cache::Create(options_.cache, *clock_, *watch_);
  if (!cache.ok()) return Failure{ExitCode::kFailure, cache.status()};
  cache_ = std::move(cache).value();
  if (Step failed = Check(ExitCode::kSystem, server_->Start(*cache_, *clock_, *watch_)))
    return failed;
  for (const std::string& address : server_->Addresses()) {
    Log::Write(LogLevel::kVerbose, "terraced: listening on %s", address.c_str());
  }
  return std::nullopt;
}

void Daemon::Started() {
  background_.Ready(options_.daemon);
  // Whoever waits for the end of the starting command's output must not wait for the daemon's end.
  if (original_stderr_ >= 0) ::close(original_stderr_);
  original_stderr_ = -1;
}

// SIGHUP. What could not be read again stays as it was, which the server has logged.
// Certificates and the file of -Y. The server says by itself what became of the certificates.
void Daemon::Reload() {
  const bool has_tls = server_->RefreshCertificates().code() != StatusCode::kUnavailable;
  const std::string& file = options_.server.auth_file;
  if (!has_tls && file.empty()) {
    Log::Write(LogLevel::kVerbose, "terraced: SIGHUP: there is nothing to read again");
  }
  if (file.empty()) return;
  const Status status = server_->LoadCredentials();
  if (status.ok()) {
    Log::Write(LogLevel::kVerbose, "terraced: SIGHUP: %s was read again", file.c_str());
  } else {
    Log::Write(LogLevel::kNotice, "terraced: SIGHUP: what was read before holds on: %s",
               std::string(status.message()).c_str());
  }
}

// This thread is the clock: it wakes with each second, or for a signal.
void Daemon::ServeUntilSignal() {
  for (;;) {
    const int signal = TakeSignal(NanosecondsToNextSecond());
    clock_->Tick();
    cache_->Tick();
    MemoryReserve::Refill();
    if (signal == SIGHUP) {
      Reload();
    } else if (signal == SIGUSR1) {
      Log::Write(LogLevel::kNotice, "Gracefully stopping");  // as memcached says it
      return;
    } else if (signal != 0) {
      Log::Write(LogLevel::kVerbose, "Signal handled: %s.", ::strsignal(signal));
      return;
    }
  }
}

ExitCode Daemon::Stop() {
  const HurrySignals hurry;
  server_->Stop();
  const Status stopped = cache_->Stop([&hurry] { return hurry.Heard(); });
  if (!stopped.ok()) {
    Log::Write(LogLevel::kNotice, "terraced: the stop was not clean: %s",
               std::string(stopped.message()).c_str());
  }
  server_.reset();
  cache_.reset();
  if (options_.daemon.daemonize) pid_file_.Remove();
  return stopped.ok() ? ExitCode::kClean : ExitCode::kFailure;
}

void LogIfFailed(const Status& status) {
  if (!status.ok()) Log::Write(LogLevel::kNotice, "%s", std::string(status.message()).c_str());
}

ExitCode Daemon::Refuse(const Failure& failure) {
  const std::string line = "terraced: " + std::string(failure.status.message());
  Log::Write(LogLevel::kNotice, "%s", line.c_str());
  if (original_stderr_ >= 0) ::dprintf(original_stderr_, "%s\n", line.c_str());
  server_.reset();
  // It may have begun to change what the last clean stop left.
  if (cache_ != nullptr) LogIfFailed(cache_->Stop([] { return false; }));
  cache_.reset();
  pid_file_.TakeBack();
  background_.Failed(failure.code);
  return failure.code;
}

ExitCode Main(std::span<const char* const> arguments) {
  OpenMissingStdio();
  BlockSignals();
  MarkCrashes();
  MemoryReserve::Install();
  LimitMallocArenas();
  event_set_mem_functions(&MemoryReserve::Allocate, &MemoryReserve::Reallocate, &std::free);
  // Whatever root's own is: -u must get through the flash tier's parents, monitoring reads the pid file.
  ::umask(022);
  Result<CommandLine> line = ParseCommandLine(arguments);
  if (!line.ok()) {
    std::fprintf(stderr, "terraced: %s\n", std::string(line.status().message()).c_str());
    return line.status().code() == StatusCode::kNotFound ? ExitCode::kUsage : ExitCode::kFailure;
  }
  std::string text;
  switch (line.value().action) {
    case StartAction::kServe:
      return Daemon(std::move(line).value()).Run();
    case StartAction::kHelp:
      text = HelpText();
      break;
    case StartAction::kVersion:
      text = "terraced " TERRACED_VERSION "\n";
      break;
    case StartAction::kLicense:
      text = "terraced " TERRACED_VERSION "\n" + std::string(kLicense);
      break;
    case StartAction::kPrintConfig:
      text = ConfigFileText();
      break;
    case StartAction::kPrintManual:
      text = ManualOptionsText();
      break;
  }
  const bool written = std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written ? ExitCode::kClean : ExitCode::kFailure;
}

}  // namespace
}  // namespace terraced::server

int main(int count, char** words) {
  try {
    const size_t given = count > 0 ? static_cast<size_t>(count) - 1 : 0;
    const std::span<const char* const> arguments(words + (count > 0 ? 1 : 0), given);
    return static_cast<int>(terraced::server::Main(arguments));
  } catch (const std::exception& exception) {
    // Ours throws nothing: this is memory that ran out, or a library.
    std::fprintf(stderr, "terraced: stopped by an exception: %s\n", exception.what());
    return static_cast<int>(terraced::server::ExitCode::kFailure);
  }
}
