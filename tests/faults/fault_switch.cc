#include "tests/faults/fault_switch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "storage/base/check.h"

namespace terraced::support {

FaultSwitch::FaultSwitch(const std::string& directory, const std::string& below)
    : path_(directory + "/faults"), below_(below) {
  const int fd = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  TERRACED_CHECK(fd >= 0);
  TERRACED_CHECK(ftruncate(fd, sizeof(FaultControl)) == 0);
  void* const at = mmap(nullptr, sizeof(FaultControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  TERRACED_CHECK(at != MAP_FAILED);
  control_ = new (at) FaultControl();
}

FaultSwitch::~FaultSwitch() {
  munmap(control_, sizeof(FaultControl));
}

bool FaultSwitch::Available() {
#ifdef TERRACED_FAULT_LIBRARY
  return true;
#else
  return false;
#endif
}

std::string FaultSwitch::Shell() const {
#ifdef TERRACED_FAULT_LIBRARY
  return std::string("export ") + kFaultVariable + "='" + path_ + "' " + kFaultDirectoryVariable +
         "='" + below_ + "' LD_PRELOAD='" + TERRACED_FAULT_LIBRARY + "'";
#else
  return "exit 1";
#endif
}

void FaultSwitch::BreakOnce(uint32_t calls, int error, int64_t let_through) {
  Break(kFaultNone, error, let_through);
  control_->break_at_most.store(1);
  control_->calls.store(calls, std::memory_order_release);
}

void FaultSwitch::Break(uint32_t calls, int error, int64_t let_through) {
  control_->error.store(error);
  control_->break_at_most.store(INT64_MAX);
  control_->let_through.store(let_through);
  control_->broken.store(0);
  control_->calls.store(calls, std::memory_order_release);
}

void FaultSwitch::HalveWrites() {
  control_->broken.store(0);
  control_->half_writes.store(1);
}

void FaultSwitch::FailMemory() {
  Break(kFaultMemory, ENOMEM);
}

void FaultSwitch::FailMemoryOnce(int64_t let_through) {
  BreakOnce(kFaultMemory, ENOMEM, let_through);
}

void FaultSwitch::Mend() {
  control_->calls.store(kFaultNone, std::memory_order_release);
  control_->half_writes.store(0);
}

}  // namespace terraced::support
