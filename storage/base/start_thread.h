// StartThread: a thread of that name, or a Status where the system has no more of them.
// Threads: any. Ownership: the caller joins it.
// Errors: kUnavailable, with the thread's name; std::thread can only throw it, so this is one of the places that catch.
#pragma once

#include <functional>
#include <thread>

#include "storage/base/status.h"

namespace terraced {

// `name`: at most 15 bytes, as the kernel shows it.
Result<std::thread> StartThread(const char* name, std::function<void()> run);

}  // namespace terraced
