// TERRACED_CHECK(condition): our own invariants; the process stops with file, line and condition.
// TERRACED_DCHECK: the same where NDEBUG is not set. Never for bytes from the network or from
// flash.
#pragma once

namespace terraced {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line) noexcept;

}  // namespace terraced

#define TERRACED_CHECK(condition)                                                              \
  (__builtin_expect(!(condition), 0) ? ::terraced::CheckFailed(#condition, __FILE__, __LINE__) \
                                     : (void)0)
#ifdef NDEBUG
#define TERRACED_DCHECK(condition) ((void)sizeof(!(condition)))
#else
#define TERRACED_DCHECK(condition) TERRACED_CHECK(condition)
#endif
