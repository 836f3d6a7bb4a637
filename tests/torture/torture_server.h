// TortureServer: the directories of a daemon that dies again and again, and the daemon while it lives.
// Threads: one at a time. Ownership: the directories and the process; both go with it.
// Errors: a start that fails is a Status with what the daemon said.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/status.h"
#include "tests/support/daemon.h"
#include "tests/support/process.h"

namespace terraced::torture {

struct ServerOptions {
  std::string binary;
  std::string twin;    // has the hot kill points and the faults; empty: there is none
  std::string mutant;  // a fault for every life, which then is the twin's
  bool arena = false;  // -e: the RAM tier lies in a file that outlives the process
};

class TortureServer {
 public:
  explicit TortureServer(const ServerOptions& options) : options_(options) {}

  // Lives until Wait() or Kill() says it is dead.
  Status Start(bool twin);
  // A start that is to die at its `nth` passing of the point; the exit status, -1 if it lives.
  int StartAndDie(std::string_view point, bool twin);

  support::Daemon& Alive() { return *daemon_; }
  int Port() const { return daemon_->Port(); }
  std::string Stderr() const { return daemon_->Stderr(); }
  // From exec to the first answer.
  uint64_t StartUs() const { return start_us_; }
  uint64_t ExecAtUs() const { return exec_at_us_; }
  void Forget() { daemon_ = nullptr; }

  // While it is dead: as after a reboot (another boot's index, or none), or a directory of its own (`wiped`).
  void LoseIndex(bool of_other_boot);
  void Wipe();

 private:
  support::DaemonSpec Spec(bool twin, const std::string& more) const;
  std::string IndexPath() const;

  const ServerOptions options_;
  const support::TempDirectory directory_;
  const support::TempDirectory shared_{"/dev/shm"};  // memory that outlives a process
  std::unique_ptr<support::Daemon> daemon_;
  uint64_t exec_at_us_ = 0;
  uint64_t start_us_ = 0;
};

}  // namespace terraced::torture
