// FaultSwitch: breaks calls of a daemon while it runs, through the fault library (fault_library.cc).
// Threads: one at a time. Ownership: maps its file, which lies in a directory of the test.
#pragma once

#include <string>

#include "tests/faults/fault_control.h"

namespace terraced::support {

class FaultSwitch {
 public:
  // Calls on what is below `below` fail once they are turned on. CHECKs that the file could be made.
  FaultSwitch(const std::string& directory, const std::string& below);
  ~FaultSwitch();
  FaultSwitch(const FaultSwitch&) = delete;
  FaultSwitch& operator=(const FaultSwitch&) = delete;

  // False: a build with sanitizers, which bear no library before theirs.
  static bool Available();
  // Shell for TerracedAfter: the daemon starts with the library.
  std::string Shell() const;

  void Break(uint32_t calls, int error, int64_t let_through = 0);
  // The call behind `let_through` others, and no more.
  void BreakOnce(uint32_t calls, int error, int64_t let_through);
  void HalveWrites();
  void FailMemory();
  void FailMemoryOnce(int64_t let_through);
  void Mend();
  uint64_t Broken() const { return control_->broken.load(); }

 private:
  const std::string path_;
  const std::string below_;
  FaultControl* control_;
};

}  // namespace terraced::support
