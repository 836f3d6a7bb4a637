// RudeClient: a connection that keeps to nothing: it sends a part of something and stops, never reads or one byte at a
// time, and goes when it likes. It never blocks, so one thread drives any number of them.
// Threads: one at a time. Ownership: of its socket. Errors: CHECKs that it can connect; whatever happens to it later is
// what it deserves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace terraced::support {

struct RudeShape {
  // 127.0.0.<this>: a client's ports are used up by some ten thousand connections a minute, for each of its addresses.
  uint8_t source = 1;
  int receive_buffer_bytes = 0;  // 0: the kernel's choice
};

class RudeClient {
 public:
  explicit RudeClient(int port, const RudeShape& shape = {});
  ~RudeClient();
  RudeClient(RudeClient&& other) noexcept;
  RudeClient& operator=(RudeClient&& other) noexcept;

  // As much as the kernel takes now; how much that was.
  size_t Push(std::string_view bytes);
  // Reads up to so many bytes if there are any; how many.
  size_t Sip(size_t bytes);
  // The server has closed the connection; drops what it sent before.
  bool IsClosed();
  // Gone; with_reset: without a goodbye.
  void Leave(bool with_reset);

 private:
  int descriptor_;
};

}  // namespace terraced::support
