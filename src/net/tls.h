// Tls: what -Z makes of the TCP sockets: certificates, and sessions over accepted connections. tls_openssl.cc is it;
// tls_absent.cc stands in where the daemon is built without OpenSSL, and refuses.
// Threads: any; a session belongs to its connection's worker. Ownership: sessions borrow the TlsScratch and counters of
// their worker, and keep the certificates that they began with.
// Errors: a Status that names the option and its file. A certificate that cannot be loaded again leaves the old one.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "src/net/address.h"
#include "src/net/client_socket.h"
#include "src/net/worker_counters.h"
#include "src/server_options.h"
#include "storage/base/status.h"

namespace terraced::server {

// Of a worker: small pieces of a reply become one TLS record here.
using TlsScratch = std::vector<char>;

class Tls {
 public:
  // No option is checked before; kUnavailable: this daemon has no TLS.
  static Result<std::unique_ptr<Tls>> Create(const TlsOptions& options);
  virtual ~Tls() = default;

  // A session over an accepted socket. Its handshake takes place while it is read from, and is to be over at
  // `deadline_s`. btls asks for no certificate of the client, mtls requires one.
  virtual std::unique_ptr<Transport> Accept(int fd, ListenTls mode, uint32_t deadline_s,
                                            TlsScratch& scratch, WorkerCounters& counters) = 0;
  // Reads certificates and keys again, for sessions that begin from here on.
  virtual Status Refresh() = 0;
  virtual uint64_t NewSessions() const = 0;  // made for the session cache
};

}  // namespace terraced::server
