// Gives the one target that is linked in to libFuzzer, which has the main function.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FUZZ_CHECK(terraced::fuzz::FuzzTargets().size() == 1);
  terraced::fuzz::FuzzTargets().front().run({reinterpret_cast<const char*>(data), size});
  return 0;
}
