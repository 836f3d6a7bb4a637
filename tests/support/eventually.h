// Eventually: until something holds of a server that works in the background, for end-to-end tests: those have no clock
// and no sync point of another process to go by.
// Threads: any. Errors: false when the patience is over.
#pragma once

#include <chrono>
#include <thread>

namespace terraced::support {

template <typename Holds>
bool Eventually(const Holds& holds, std::chrono::seconds patience = std::chrono::seconds(60)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace terraced::support
