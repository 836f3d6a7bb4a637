#include "storage/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace terraced {

void CheckFailed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "terraced: %s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace terraced
