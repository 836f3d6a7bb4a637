#include "storage/base/memory_reserve.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace terraced {
namespace {

TEST(MemoryReserveTest, OneShortageIsBorneAndTheNextEndsTheProcess) {
  EXPECT_EXIT(
      {
        MemoryReserve::Install();
        MemoryReserve::Spend();
        if (MemoryReserve::Shortages() != 1) std::exit(1);
        MemoryReserve::Refill();
        MemoryReserve::Spend();
        if (MemoryReserve::Shortages() != 2) std::exit(2);
        MemoryReserve::Spend();
        std::exit(0);
      },
      testing::ExitedWithCode(MemoryReserve::kExitStatus),
      "memory is short: the reserve of 4 MB was opened\nout of memory: ending at once");
}

TEST(MemoryReserveTest, GivesWhatLibrariesAskFor) {
  char* at = static_cast<char*>(MemoryReserve::Allocate(10));
  ASSERT_NE(at, nullptr);
  at[9] = 'x';
  at = static_cast<char*>(MemoryReserve::Reallocate(at, 100'000));
  EXPECT_EQ(at[9], 'x');
  std::free(at);
  std::free(MemoryReserve::Allocate(0));
}

}  // namespace
}  // namespace terraced
