// Listener: accepts connections and hands each to a worker for life, in turn. It keeps `allow`, and -c: with maxconns_fast
// a client too many gets one line and is closed, without it nobody is accepted until somebody leaves.
// Threads: one of its own; Wake by any thread.
// Ownership: owns the listening sockets; borrows workers and counters, which outlive it.
// Errors: a system without descriptors is said once, and tried again after kBackOff; it never spins.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "src/net/address.h"
#include "src/net/worker.h"
#include "src/net/worker_counters.h"
#include "src/server_options.h"

namespace terraced::server {

class Listener {
 public:
  static Result<std::unique_ptr<Listener>> Create(const ServerOptions& options,
                                                  std::vector<ListeningSocket> sockets,
                                                  ConnectionCounters& counters);
  ~Listener();

  // `adopt` takes the sockets of accepted connections, and where they came in; it is called on the listener's thread.
  Status Start(std::function<void(int, const ListeningSocket&)> adopt);
  // A connection has left: accept again if there were too many.
  void Wake();
  void Stop();  // ends accepting and joins
  // For as long as the listener lives.
  const std::vector<ListeningSocket>& Sockets() const { return sockets_; }

 private:
  Listener(const ServerOptions& options, std::vector<ListeningSocket> sockets,
           ConnectionCounters& counters)
      : options_(options), sockets_(std::move(sockets)), counters_(counters) {}
  Status Open();

  static void OnSocket(int fd, short what, void* listener);
  static void OnWake(int fd, short what, void* listener);
  static void OnBackOffOver(int fd, short what, void* listener);

  void Accept(const ListeningSocket& socket);
  void Take(int fd, const ListeningSocket& socket);
  void BackOff(int error);
  void SetAccepting(bool accepting);
  bool IsFull() const;

  const ServerOptions& options_;
  std::vector<ListeningSocket> sockets_;
  ConnectionCounters& counters_;
  std::function<void(int, const ListeningSocket&)> adopt_;
  int wake_fd_ = -1;
  std::atomic<bool> stopping_{false};
  // The listener's thread only.
  EventBasePtr base_;
  std::vector<EventPtr> events_;
  EventPtr wake_event_;
  EventPtr back_off_timer_;
  bool backing_off_ = false;
  uint64_t said_us_ = 0;  // when a shortage was last logged
  uint64_t disabled_since_us_ = 0;
  std::thread thread_;
};

}  // namespace terraced::server
