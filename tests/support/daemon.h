// Daemon: a server under test (terraced or the reference memcached) on a free loopback port.
// Threads: one at a time. Ownership: kills its process when it goes; the directories belong to the test.
// Errors: Start's Status carries the exit status and what the server said on stderr.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"
#include "tests/support/client.h"
#include "tests/support/process.h"

namespace terraced::support {

struct DaemonSpec {
  std::string binary;
  std::vector<std::string> arguments;  // beside -l, -p and, for root, -u
  std::string listen = "127.0.0.1";    // where plain text is spoken
  std::string user = "root";           // of a test that runs as root
  int cpu = -1;
  bool asks_for_login = false;                 // -S, -Y: whoever can connect has found it
  std::chrono::milliseconds patience{60'000};  // until it answers
};

class Daemon {
 public:
  // Returns once it accepts connections. The port is the server's choice (-p -1), so tests that run at the
  // same time cannot take it from each other.
  static Result<std::unique_ptr<Daemon>> Start(const DaemonSpec& spec);

  int Port() const { return port_; }
  // Of the nth line that begins so in the file of ports: "TCP INET: " is how memcached names them. 0: none.
  int PortOf(std::string_view kind, size_t nth = 0) const;
  pid_t Pid() const { return process_->Pid(); }
  // CHECKs that it can connect.
  std::unique_ptr<Client> Connect(std::chrono::milliseconds patience = Client::kPatience) const;
  bool Running() { return process_->Running(); }
  std::optional<int> WaitFor(std::chrono::milliseconds patience) {
    return process_->WaitFor(patience);
  }
  void Signal(int signal) { process_->Signal(signal); }
  // The exit status; -1: it did not end in time (it is then killed).
  int Stop(int signal, std::chrono::milliseconds patience = std::chrono::seconds(90));
  int Kill();
  ProcessUsage Usage() const { return process_->Usage(); }
  std::string Stderr() const { return ReadTextFile(scratch_->Sub("stderr")); }

 private:
  Daemon(std::unique_ptr<TempDirectory> scratch, std::unique_ptr<Process> process, int port)
      : scratch_(std::move(scratch)), process_(std::move(process)), port_(port) {}
  const std::unique_ptr<TempDirectory> scratch_;
  const std::unique_ptr<Process> process_;
  const int port_;
};

// A start that is expected to fail: what it said and how it ended.
struct FailedStart {
  int exit_status = -1;  // -1: it did start, or did not end in time
  std::string stderr_text;
};
FailedStart StartRefused(const DaemonSpec& spec);

}  // namespace terraced::support
