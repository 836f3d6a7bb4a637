#include "storage/base/crash_mark.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

namespace terraced {
namespace {

TEST(CrashMarkTest, LeavesALineInTheFileItWasGivenLast) {
  CrashMark::Leave();  // no file: nothing happens
  std::array<int, 2> ends = {};
  ASSERT_EQ(pipe(ends.data()), 0);
  CrashMark::SetFile(ends[1]);
  CrashMark::Leave();
  CrashMark::SetFile(-1);
  CrashMark::Leave();
  close(ends[1]);
  std::string text(64, '\0');
  const ssize_t got = read(ends[0], text.data(), text.size());
  close(ends[0]);
  ASSERT_GE(got, 0);
  EXPECT_EQ(text.substr(0, static_cast<size_t>(got)), "crashed\n");
}

}  // namespace
}  // namespace terraced
