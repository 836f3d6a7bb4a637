// EventPtr, EventBasePtr: libevent's events and loops, owned. Events go before their loop.
// Threads: a loop and its events are used by one thread only.
#pragma once

#include <memory>

struct event;       // libevent's
struct event_base;  // likewise

namespace terraced::server {

struct EventDeleter {
  void operator()(::event* event) const;
  void operator()(::event_base* base) const;
};
using EventPtr = std::unique_ptr<::event, EventDeleter>;
using EventBasePtr = std::unique_ptr<::event_base, EventDeleter>;
// nullptr: the kernel gives none.
EventBasePtr MakeEventBase();

}  // namespace terraced::server
