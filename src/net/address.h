// Address: where the daemon listens. -l as memcached reads it, and the sockets that come of it.
// Threads: used by the main thread before others exist. Ownership: a ListeningSocket owns its descriptor.
// Errors: a Status that names the address and the reason and, for a port that is taken, by whom.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/server_options.h"
#include "storage/base/status.h"

namespace terraced::server {

// notls:, btls: and mtls: in front of an address of -l; without one of them -Z decides.
enum class ListenTls : uint8_t { kAsConfigured, kOff, kBasic, kMutual };

// What stands in front of an address of -l.
struct ListenTraits {
  ListenTls tls = ListenTls::kAsConfigured;
  std::optional<BindingProtocol> protocol;  // of its own, else -B's
  std::string tag;                          // tag[...]: taken for memcached's sake
};

struct ListenAddress {
  std::string host;  // empty: every address of the machine
  int port = 0;      // -1: any free one
  ListenTraits traits;
};

// One of the pieces of -l: host, host:port, [v6], [v6]:port, v6 without brackets, *, *:port; in front of it, in this
// order, notls: (or btls:, mtls:), proto[ascii]: (or binary, negotiating), tag[name]: (or tag_name_:).
Result<ListenAddress> ParseListenAddress(std::string_view text, int port);
// All of -l (each may be a list separated by commas or semicolons); none given is every address.
Result<std::vector<ListenAddress>> ListenAddresses(const ServerOptions& options);

enum class SocketFamily : uint8_t { kIpv4, kIpv6, kUnix };

// The file of a Unix socket; removed with its owner unless another stands there by then.
class SocketFile {
 public:
  // Of the file that stands there now.
  explicit SocketFile(std::string path);
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile();

 private:
  const std::string path_;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;  // 0: none
};

class ListeningSocket {
 public:
  ListeningSocket(int fd, SocketFamily family, ListenTraits traits)
      : fd_(fd), family_(family), traits_(std::move(traits)) {}
  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&& other) noexcept;
  ~ListeningSocket();

  int Fd() const { return fd_; }
  const std::string& Name() const {
    return name_;
  }  // "127.0.0.1:11211", "[::1]:11211", "udp:127.0.0.1:11211", "udp6:[::1]:11211", "unix:/run/socket"
  void SetName(std::string name) { name_ = std::move(name); }
  void Keep(std::unique_ptr<SocketFile> file) { file_ = std::move(file); }
  SocketFamily Family() const { return family_; }
  const ListenTraits& Traits() const { return traits_; }
  BindingProtocol Protocol(const ServerOptions& options) const {
    return traits_.protocol.value_or(options.binding_protocol);
  }

 private:
  int fd_;
  SocketFamily family_;
  ListenTraits traits_;
  std::string name_;
  std::unique_ptr<SocketFile> file_;
};

// Binds and listens on all of them; with port 0 (-p 0) there is none. With -s only on that path.
Result<std::vector<ListeningSocket>> BindAll(const ServerOptions& options);
// The UDP sockets of -U, on the same addresses; of those of -l that name a port, on that one. With -s none.
Result<std::vector<ListeningSocket>> BindUdp(const ServerOptions& options);
// An old socket at the path is removed first; anything else there stays, and is an error.
Result<ListeningSocket> BindUnix(const ServerOptions& options);

// As `stats conns` names addresses: "tcp:127.0.0.1:11211", "tcp6:[::1]:11211", "unix:/run/socket".
std::string StatsName(const ListeningSocket& socket);
// The other end of an accepted socket; without a name (most of a Unix socket's have none) the listening socket's.
std::string PeerStatsName(int fd, const ListeningSocket* listening);

// "memcached (pid 123)" for whoever listens on that TCP port, as far as /proc shows it to us; else empty.
std::string HolderOfPort(uint16_t port);

}  // namespace terraced::server
