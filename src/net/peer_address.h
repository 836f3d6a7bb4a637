// PeerAddress: who is at the other end of a connection, remembered for when it has gone.
// Threads: plain data. Errors: what the system does not know is an address "-" of port 0.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>

#include "src/watch/event_line.h"

namespace terraced::server {

class PeerAddress {
 public:
  static PeerAddress Of(int fd);

  std::string Ip() const;  // without the port; of a Unix socket "unix"
  uint16_t Port() const;
  PeerTransport Via() const;

 private:
  sockaddr_in6 address_{};  // also an IPv4 address: it is smaller
};

}  // namespace terraced::server
