#include "src/net/connection_listing.h"

#include <algorithm>
#include <utility>

#include "src/net/connection.h"

namespace terraced::server {

void ConnectionListing::Run() {
  tours.Visit(*this);
}

void ListingTours::Prepare(std::vector<Stop> stops,
                           std::function<std::vector<ConnectionView>()> first) {
  stops_ = std::move(stops);
  first_ = std::move(first);
}

void ListingTours::Ask(Executor& home, Connection& connection) {
  auto listing = std::make_unique<ConnectionListing>(*this, home, &connection);
  ConnectionListing* begins = nullptr;
  {
    const MutexLock lock(mutex_);
    if (listings_.empty()) begins = listing.get();
    listings_.push_back(std::move(listing));
  }
  if (begins != nullptr) Begin(*begins);
}

// The lock is for the list alone: `connection` is the asking worker's, which calls this.
void ListingTours::Forget(const Connection& connection) {
  const MutexLock lock(mutex_);
  for (const std::unique_ptr<ConnectionListing>& listing : listings_) {
    if (listing->connection == &connection) listing->connection = nullptr;
  }
}

void ListingTours::Begin(ConnectionListing& listing) {
  listing.views = first_();
  stops_.front().worker->Post(&listing);
}

// On the thread of the worker that it has come to: one of the tour, or its home at the end.
void ListingTours::Visit(ConnectionListing& listing) {
  if (listing.visited == stops_.size()) {
    Finish(listing);
    return;
  }
  stops_[listing.visited].describe(&listing.views);
  ++listing.visited;
  Executor& next =
      listing.visited == stops_.size() ? listing.home : *stops_[listing.visited].worker;
  next.Post(&listing);
}

void ListingTours::Finish(ConnectionListing& listing) {
  std::unique_ptr<ConnectionListing> done;
  ConnectionListing* begins = nullptr;
  {
    const MutexLock lock(mutex_);
    done = std::move(listings_.front());
    listings_.pop_front();
    if (!listings_.empty()) begins = listings_.front().get();
  }
  TERRACED_CHECK(done.get() == &listing);
  if (begins != nullptr) Begin(*begins);
  std::sort(listing.views.begin(), listing.views.end(),
            [](const ConnectionView& a, const ConnectionView& b) { return a.fd < b.fd; });
  if (listing.connection != nullptr) listing.connection->ConnectionsListed(listing.views);
}

}  // namespace terraced::server
