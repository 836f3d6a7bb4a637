// StaleProxy: stands between clients and a server and now and then answers a get with a value that it saw
// earlier: a cache that resurrects. It proves that the history checker notices.
// Threads: one for accepting, one a connection; all are joined by the destructor.
// Ownership: owns its sockets; borrows nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "storage/base/mutex.h"
#include "storage/base/status.h"
#include "tests/support/client.h"

namespace terraced::support {

class StaleProxy {
 public:
  // Every `stale_every`-th get of a key whose reply it has kept is answered from what it kept; 0: never.
  static Result<std::unique_ptr<StaleProxy>> Start(int server_port, uint64_t stale_every);
  ~StaleProxy();
  int Port() const { return port_; }

 private:
  StaleProxy(int listener, int port, int server_port, uint64_t stale_every);
  void Accept();
  void Serve(Client& client, Client& server);
  Status RelayOne(Client& client, Client& server, const std::string& line);
  // The kept reply to a get of one key, if it is time for one; keeps the first of each key.
  std::string Replay(const std::string& line);
  void Keep(const std::string& line, const std::string& reply);

  const int listener_;
  const int port_;
  const int server_port_;
  const uint64_t stale_every_;
  std::atomic<uint64_t> gets_{0};
  std::thread acceptor_;
  Mutex mutex_;
  std::unordered_map<std::string, std::string> kept_ TERRACED_GUARDED_BY(mutex_);
  std::vector<std::thread> connections_ TERRACED_GUARDED_BY(mutex_);
};

}  // namespace terraced::support
