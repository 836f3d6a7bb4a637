#include "storage/base/start_thread.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <latch>
#include <string>

namespace terraced {
namespace {

TEST(StartThreadTest, RunsUnderItsName) {
  std::array<char, 16> name{};
  std::latch looked(1);  // one that has ended has no name
  Result<std::thread> thread = StartThread("a_name", [&looked] { looked.wait(); });
  ASSERT_TRUE(thread.ok());
  EXPECT_EQ(pthread_getname_np(thread.value().native_handle(), name.data(), name.size()), 0);
  EXPECT_STREQ(name.data(), "a_name");
  looked.count_down();
  thread.value().join();
  bool ran = false;
  Result<std::thread> other = StartThread("other", [&ran] { ran = true; });
  ASSERT_TRUE(other.ok());
  other.value().join();
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace terraced
