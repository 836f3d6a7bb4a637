// The order in which reads come to the readers: by what their askers had before, and for everybody in the end.
#include "tiering/read_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tiering/fill.h"

namespace terraced::tiering {
namespace {

class ReadQueueTest : public testing::Test {
 protected:
  ReadTurn Ask(ReadAsker* asker, const std::string& name) {
    const ReadTurn turn = asker->Next(queue_.Now());
    asker->Took(turn);
    queue_.Push(std::make_shared<Fill>(nullptr, nullptr, Key{name, 1}, storage::SlotList()), turn);
    return turn;
  }
  std::string Pop() { return std::string(queue_.Pop()->KeyBytes()); }
  std::string PopAll() {
    std::string names;
    while (!queue_.Empty()) names += Pop();
    return names;
  }

  ReadQueue queue_;
};

TEST_F(ReadQueueTest, WhatOneAsksForComesInItsOrder) {
  ReadAsker one{.expected_bytes = 500};
  for (const char* const name : {"a", "b", "c", "d"}) Ask(&one, name);
  EXPECT_EQ(queue_.Size(), 4U);
  EXPECT_EQ(PopAll(), "abcd");
}

TEST_F(ReadQueueTest, ThoseWhoAskForTheSameTakeTurnsHoweverMuchOneAsksFor) {
  ReadAsker many{.expected_bytes = 500};
  ReadAsker few{.expected_bytes = 500};
  for (int i = 0; i < 6; ++i) Ask(&many, "m");
  for (int i = 0; i < 3; ++i) Ask(&few, "f");
  EXPECT_EQ(PopAll(), "mfmfmfmmm");
}

TEST_F(ReadQueueTest, OneWhoAsksForLittleDoesNotWaitBehindThoseWhoAskForMuch) {
  std::vector<ReadAsker> large(200, {.expected_bytes = 900'000});
  ReadAsker small{.expected_bytes = 100};
  for (int round = 0; round < 16; ++round) {
    for (ReadAsker& asker : large) Ask(&asker, "l");
  }
  // As long as it has not had as much as each of them.
  for (int i = 0; i < 1'000; ++i) {
    Ask(&small, "s");
    ASSERT_EQ(Pop(), "s") << i;
    ASSERT_EQ(Pop(), "l") << i;
  }
}

TEST_F(ReadQueueTest, NobodyWaitsForEverForThoseWhoAreAlwaysNew) {
  ReadAsker large{.expected_bytes = 900'000};
  Ask(&large, "l");
  int before = 0;
  for (bool read = false; !read && before < 10'000; ++before) {
    ReadAsker one{.expected_bytes = 500};
    ReadAsker other{.expected_bytes = 500};
    Ask(&one, "s");
    Ask(&other, "s");
    read = Pop() == "l" || Pop() == "l";
  }
  EXPECT_GT(before, 10);
  EXPECT_LT(before, 10'000);
}

TEST_F(ReadQueueTest, WhatNobodyWaitedForIsNotHeldAgainstOne) {
  ReadAsker greedy{.expected_bytes = 900'000};
  for (int i = 0; i < 100; ++i) Ask(&greedy, "g");
  PopAll();
  ReadAsker other{.expected_bytes = 900'000};
  Ask(&greedy, "g");
  Ask(&other, "o");
  EXPECT_EQ(PopAll(), "go");
}

TEST_F(ReadQueueTest, WhatIsPutBackIsNextAgain) {
  ReadAsker one{.expected_bytes = 500};
  ReadAsker other{.expected_bytes = 500};
  const ReadTurn turn = Ask(&one, "a");
  Ask(&other, "b");
  std::shared_ptr<Fill> first = queue_.Pop();
  queue_.PutBack(std::move(first), turn);
  EXPECT_EQ(PopAll(), "ab");
}

}  // namespace
}  // namespace terraced::tiering
