// WorkerCounters: what a worker counts about its connections. One writer, any number of readers: relaxed
// loads and stores, no locked instruction. ConnectionCounters: shared by listener and workers.
#pragma once

#include <atomic>
#include <cstdint>

namespace terraced::server {

// A counter that only one thread changes.
class OwnedCounter {
 public:
  void Add(uint64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void Set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct WorkerCounters {
  OwnedCounter bytes_read;
  OwnedCounter bytes_written;
  OwnedCounter conn_yields;
  OwnedCounter idle_kicks;
  OwnedCounter auth_cmds;  // attempts to log in
  OwnedCounter auth_errors;
  OwnedCounter flash_waits;   // commands that waited for flash
  OwnedCounter room_waits;    // store commands that waited for the demoter
  OwnedCounter reply_pauses;  // connections not read because they did not read their replies
  OwnedCounter udp_requests_dropped;
  OwnedCounter udp_replies_dropped;
  OwnedCounter tls_handshake_errors;
  OwnedCounter tls_protocol_errors;
  OwnedCounter read_buf_count;  // gauges
  OwnedCounter read_buf_bytes;
};

struct ConnectionCounters {
  std::atomic<uint64_t> current{0};
  std::atomic<uint64_t> total{0};
  std::atomic<uint64_t> rejected{0};
  std::atomic<uint64_t> rejected_by_address{0};
  std::atomic<uint64_t> listen_disabled{0};
  std::atomic<uint64_t> listen_disabled_us{0};
  std::atomic<bool> accepting{true};
};

}  // namespace terraced::server
