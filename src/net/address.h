// Address: where the daemon listens. -l as memcached reads it, and the sockets that come of it.
// Threads: used by the main thread before others exist. Ownership: a ListeningSocket owns its descriptor.
// Errors: a Status that names the address and the reason and, for a port that is taken, by whom.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/server_options.h"
#include "storage/base/status.h"

namespace terraced::server {

struct ListenAddress {
  std::string host;  // empty: every address of the machine
  int port = 0;      // -1: any free one
};

// One of the pieces of -l: host, host:port, [v6], [v6]:port, v6 without brackets, *, *:port.
Result<ListenAddress> ParseListenAddress(std::string_view text, int port);
// All of -l (each may be a list separated by commas or semicolons); none given is every address.
Result<std::vector<ListenAddress>> ListenAddresses(const ServerOptions& options);

class ListeningSocket {
 public:
  ListeningSocket(int fd, bool is_ipv6) : fd_(fd), is_ipv6_(is_ipv6) {}
  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&& other) noexcept;
  ~ListeningSocket();

  int Fd() const { return fd_; }
  const std::string& Name() const { return name_; }  // "127.0.0.1:11211", "[::1]:11211"
  void SetName(std::string name) { name_ = std::move(name); }
  bool IsIpv6() const { return is_ipv6_; }

 private:
  int fd_;
  std::string name_;
  bool is_ipv6_;
};

// Binds and listens on all of them; with port 0 (-p 0) there is none.
Result<std::vector<ListeningSocket>> BindAll(const ServerOptions& options);

// "memcached (pid 123)" for whoever listens on that TCP port, as far as /proc shows it to us; else empty.
std::string HolderOfPort(uint16_t port);

}  // namespace terraced::server
