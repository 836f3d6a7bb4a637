#include "storage/base/start_thread.h"

#include <pthread.h>

#include <string>
#include <system_error>
#include <utility>

namespace terraced {

Result<std::thread> StartThread(const char* name, std::function<void()> run) {
  try {
    std::thread thread([run = std::move(run)]() noexcept { run(); });
    pthread_setname_np(thread.native_handle(), name);
    return thread;
  } catch (const std::system_error& error) {
    return Status(StatusCode::kUnavailable, std::string("thread '") + name +
                                                "' cannot be started: " + error.code().message());
  }
}

}  // namespace terraced
