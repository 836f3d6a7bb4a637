// Server: listener and workers over one cache. Bind takes every address before anything else starts, so that a taken
// port is an error line and not a half-started daemon.
// Threads: Bind, LoadCredentials, Start and Stop by the main thread; the rest is inside.
// Ownership: borrows cache, options and the hub (which should be the cache's sink), which must outlive it.
// Errors: Bind's Status names the address and, where it can be found, who holds the port.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/net/tls.h"
#include "src/server_options.h"
#include "src/watch/watch_hub.h"
#include "storage/base/clock.h"
#include "storage/base/status.h"
#include "tiering/cache.h"

namespace terraced::server {

struct Options;  // src/options.h: for `stats settings`

class Server {
 public:
  // Binds. Nothing is accepted yet, but connections queue in the backlog from here on. `tls` serves the sockets that
  // are not notls:; none is plain text for all.
  static Result<std::unique_ptr<Server>> Bind(const Options& options,
                                              std::unique_ptr<Tls> tls = nullptr);
  virtual ~Server() = default;

  // What -S and -Y need, as the user that the daemon runs as: before Start, and again when the file of -Y is to be read
  // anew. Errors: one line that names the option; a file that was read before holds on.
  virtual Status LoadCredentials() = 0;
  // Starts listener and workers over the cache.
  virtual Status Start(tiering::Cache& cache, Clock& clock, WatchHub& watch = UnusedWatchHub()) = 0;
  // Stops accepting, ends every connection, joins every thread. No command runs after it returned.
  virtual void Stop() = 0;
  // Any thread. Errors: kUnavailable: there is no TLS; else the old certificates stay.
  virtual Status RefreshCertificates() = 0;
  // "127.0.0.1:11211", one per listening socket, with the port really bound.
  virtual std::vector<std::string> Addresses() const = 0;
};

}  // namespace terraced::server
