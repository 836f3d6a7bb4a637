// ServerOptions: what the network side can be told; DaemonOptions: what the process can be told.
// Plain data with memcached's defaults; the options table (src/options.h) points into them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/net/address_range.h"

namespace terraced::server {

// What a connection may speak: kAuto is decided by its first byte.
enum class BindingProtocol : uint8_t { kAuto, kAscii, kBinary };

// -o ssl_...: what -Z works with.
struct TlsOptions {
  std::string chain_cert;
  std::string key;
  std::string key_format = "PEM";
  std::string ciphers;       // of TLS 1.2 and below; empty: OpenSSL's
  std::string ca_cert;       // who may sign certificates of clients
  uint32_t verify_mode = 0;  // of clients: 0 none, 1 if they have one, 2 and 3 required
  uint32_t min_version = 2;  // TLS 1.x
  uint32_t write_buffer_bytes = 16U << 10;
  uint32_t handshake_timeout_s = 10;
  bool session_cache = false;
  bool kernel_tls = false;
};

struct ServerOptions {
  int tcp_port = 11211;  // -p; 0 = only those of -l, -1 = any free port
  bool tcp_port_given = false;
  int udp_port = 0;  // -U; 0 = off, -1 = any free port. Without -p it is TCP's port as well
  std::vector<std::string>
      listen;                 // -l, as given: host, host:port, [v6]:port, *; empty = any address
  std::string unix_socket;    // -s: the only place to listen then
  uint32_t unix_mask = 0700;  // -a: the permissions of its file
  std::vector<AddressRange> allow;  // whose clients may connect; empty: everybody's
  BindingProtocol binding_protocol = BindingProtocol::kAuto;  // -B
  bool sasl = false;                                          // -S
  std::string auth_file;                                      // -Y
  bool tls_enabled = false;                                   // -Z
  TlsOptions tls;
  bool shutdown_command = false;     // -A
  uint32_t connections_max = 1024;   // -c: connections, not descriptor numbers
  uint32_t backlog = 1024;           // -b
  uint32_t worker_threads = 4;       // -t
  uint32_t requests_per_event = 20;  // -R
  bool cas_enabled = true;           // -C turns it off: gets shows 0, no cas stores
  bool maxconns_fast = true;
  uint32_t idle_timeout_s = 0;
  uint64_t item_bytes_max = 1ULL << 20;   // -I, shown and used to refuse early
  uint32_t pipelined_reads_max = 512;     // flash reads one connection may have under way
  uint64_t reply_bytes_max = 4ULL << 20;  // unsent replies at which a connection stops being read
  uint64_t reply_memory_bytes = 0;        // of all connections; 0: chosen from -m
  bool dump_enabled = true;               // -X turns it off: stats cachedump, lru_crawler metadump
  std::string prefix_delimiter = ":";     // -D, of `stats detail`: its first byte counts
  bool detail_enabled = false;            // -D turns it on
  bool flush_enabled = true;              // -F turns it off
  bool watch_enabled = true;              // -W turns it off
  uint32_t watcher_logbuf_bytes = 256U << 10;  // lines on their way to one watcher
  uint32_t worker_logbuf_bytes = 64U << 10;    // events of one thread on their way to the logger
  bool test_commands = false;  // -o test_commands: `debug ...`; for tests, not in -h

  bool NeedsLogin() const { return sasl || !auth_file.empty(); }
};

struct DaemonOptions {
  bool daemonize = false;    // -d
  bool core_dumps = false;   // -r
  bool lock_memory = false;  // -k
  std::string pid_file;      // -P
  std::string log_file;      // --log-file: stderr is appended to it
  std::string user;          // -u
  std::string config_file;   // --config
  int verbosity = 0;         // -v
};

}  // namespace terraced::server
