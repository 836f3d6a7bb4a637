// FaultControl: what the fault library (fault_library.cc, preloaded into the daemon under test) is to break, and how
// often it did. It lies in a file that test and daemon both map, so faults come and go while the daemon runs.
// Threads: any; every word by itself. Ownership: FaultSwitch (fault_switch.h) makes the file.
#pragma once

#include <atomic>
#include <cstdint>

namespace terraced::support {

// The environment variable that names the file.
constexpr char kFaultVariable[] = "TERRACED_TEST_FAULTS";
constexpr char kFaultDirectoryVariable[] = "TERRACED_TEST_FAULTS_BELOW";

// Bits of FaultControl::calls: the families of calls that fail.
enum FaultyCalls : uint32_t {
  kFaultNone = 0,
  kFaultOpen = 1U << 0,         // whatever opens a file
  kFaultOpenToWrite = 1U << 1,  // only where it is opened for writing or made
  kFaultRead = 1U << 2,
  kFaultWrite = 1U << 3,
  kFaultSync = 1U << 4,
  kFaultNames = 1U << 5,    // rename, link, unlink, mkdir
  kFaultReserve = 1U << 6,  // fallocate and its kind, ftruncate
  kFaultThread = 1U << 7,   // pthread_create; wherever the directory is
  kFaultMemory = 1U << 8,   // malloc and its kind, of any thread
};

struct FaultControl {
  std::atomic<uint32_t> calls{kFaultNone};
  std::atomic<int32_t> error{0};  // errno
  std::atomic<uint32_t> half_writes{
      0};  // 1: each write takes half of what it is given, and succeeds
  std::atomic<int64_t> let_through{0};            // so many of these calls succeed first
  std::atomic<int64_t> break_at_most{INT64_MAX};  // so many fail then, and the rest succeeds again
  std::atomic<uint64_t> broken{0};                // calls that failed or were cut short so far
};

}  // namespace terraced::support
