// Watcher: the lines on their way to one client that watches, between the logger thread that writes them and the worker
// that sends them.
// Threads: Offer and OfferSkipped by the logger; Lines() by the worker, who also calls WatchHub::Add and Remove.
// Ownership: shared by the connection and the hub: the logger may still write while the worker closes the connection.
// Sizes: watcher_logbuf_size. What finds no room is counted, and the client told by a line "skipped=<n>".
#pragma once

#include <cstdint>
#include <string_view>

#include "src/watch/log_buffer.h"

namespace terraced::server {

// A worker, to the logger.
class WatcherHost {
 public:
  // One of the host's watchers has lines. Any number of calls at once are one.
  virtual void LinesReady() = 0;

 protected:
  ~WatcherHost() = default;
};

class Watcher {
 public:
  Watcher(uint32_t classes, size_t buffer_bytes, WatcherHost& host)
      : classes_(classes), host_(host), lines_(buffer_bytes) {}

  uint32_t Classes() const { return classes_; }
  WatcherHost& Host() const { return host_; }
  LogBuffer& Lines() { return lines_; }

  // False: no room, counted.
  bool Offer(std::string_view line);
  // Where there is no further line to say it with, and the client reads again.
  void OfferSkipped();
  bool HasManyLines() const { return lines_.UsedBytes() > lines_.Capacity() / 2; }
  bool HasLines() const { return lines_.UsedBytes() > 0; }

 private:
  bool Write(std::string_view lines);  // as one record

  const uint32_t classes_;
  WatcherHost& host_;
  LogBuffer lines_;
  uint64_t skipped_ = 0;  // the logger's: since the last line about it
};

}  // namespace terraced::server
