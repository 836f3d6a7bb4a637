// ConnectionListing: what `stats conns` says, on its way: it visits the workers one after the other, each writes down its
// connections on its own thread, and it ends at the worker of the connection that asked. One tour at a time; whoever
// asks meanwhile waits in line.
// Threads: Ask and Next by any worker's thread. A listing itself is read and written only by the worker that it visits.
// Ownership: ListingTours owns the listings and outlives the workers' threads; workers borrow them.
// Sizes: one tour's lines, whatever number of clients ask: -c connections of some hundred bytes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/executor.h"
#include "storage/base/mutex.h"

namespace terraced::server {

class Connection;

struct ConnectionView {
  int fd = -1;
  std::string address;
  std::string listen_address;  // empty: is a listening socket itself
  std::string_view state;
  uint32_t idle_s = 0;
  bool is_udp = false;
};

class ListingTours;

struct ConnectionListing final : Completion {
  ConnectionListing(ListingTours& of, Executor& by, Connection* from)
      : tours(of), home(by), connection(from) {}
  void Run() override;

  ListingTours& tours;
  Executor& home;  // its worker
  Connection*
      connection;  // who asked; the home worker's thread only, which empties it when that has gone
  size_t visited = 0;  // workers
  std::vector<ConnectionView> views;
};

class ListingTours {
 public:
  // A worker, and what adds its connections on its thread.
  struct Stop {
    Executor* worker;
    std::function<void(std::vector<ConnectionView>* views)> describe;
  };
  // In the order of the tour, and what is listed before them. Before the first Ask.
  void Prepare(std::vector<Stop> stops, std::function<std::vector<ConnectionView>()> first);
  // `home` calls `connection` when the tour is over.
  void Ask(Executor& home, Connection& connection);
  // The connection has gone, or nobody may be told any more.
  void Forget(const Connection& connection);

 private:
  friend struct ConnectionListing;
  void Begin(ConnectionListing& listing);
  void Visit(ConnectionListing& listing);
  void Finish(ConnectionListing& listing);

  // Constant since Prepare.
  std::vector<Stop> stops_;
  std::function<std::vector<ConnectionView>()> first_;
  // Guarded.
  Mutex mutex_;
  std::deque<std::unique_ptr<ConnectionListing>> listings_
      TERRACED_GUARDED_BY(mutex_);  // the first is on its tour
};

}  // namespace terraced::server
