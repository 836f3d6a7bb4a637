// RunningConnection: whose commands the calling thread runs, for events that the cache tells of: it knows no
// connections.
// Threads: one of its own for each.
#pragma once

namespace terraced::server {

class RunningConnection {
 public:
  static void Set(int fd) { fd_ = fd; }
  static int Get() { return fd_; }  // 0: the thread is no worker

 private:
  static constinit inline thread_local int fd_ = 0;
};

}  // namespace terraced::server
