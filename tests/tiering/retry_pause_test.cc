#include "tiering/retry_pause.h"

#include <gtest/gtest.h>

#include <vector>

namespace terraced::tiering {
namespace {

constexpr uint64_t kSecondUs = 1'000'000;

// The pause that lasts from `now_us` on, in seconds.
uint64_t Seconds(const RetryPause& pause, uint64_t now_us) {
  uint64_t seconds = 0;
  while (!pause.IsOver(now_us + seconds * kSecondUs)) ++seconds;
  return seconds;
}

// An outage of so many tries, of which the last succeeds; the pauses before them.
std::vector<uint64_t> Outage(RetryPause* pause, uint64_t* now_us, int tries) {
  std::vector<uint64_t> seconds;
  pause->NoteFailure(*now_us);
  pause->Begin(*now_us);
  for (int i = 0; i < tries; ++i) {
    seconds.push_back(Seconds(*pause, *now_us));
    *now_us += seconds.back() * kSecondUs;
    pause->NoteTry(*now_us);
    if (i + 1 < tries) pause->NoteFailure(*now_us);
  }
  return seconds;
}

TEST(RetryPauseTest, BecomesLongerWithEachTry) {
  RetryPause pause;
  uint64_t now_us = 5 * kSecondUs;
  EXPECT_EQ(Outage(&pause, &now_us, 7), (std::vector<uint64_t>{1, 2, 4, 8, 10, 10, 10}));
}

TEST(RetryPauseTest, IsShortAgainOnlyAfterACleanMinute) {
  RetryPause pause;
  uint64_t now_us = 5 * kSecondUs;
  EXPECT_EQ(Outage(&pause, &now_us, 3), (std::vector<uint64_t>{1, 2, 4}));
  now_us += 30 * kSecondUs;
  EXPECT_EQ(Outage(&pause, &now_us, 1), (std::vector<uint64_t>{8}));
  for (int i = 0; i < 10; ++i) {  // batches that fail now and then, none of which is an outage
    now_us += 30 * kSecondUs;
    pause.NoteFailure(now_us);
  }
  EXPECT_EQ(Outage(&pause, &now_us, 1), (std::vector<uint64_t>{10}));
  now_us += 60 * kSecondUs;
  EXPECT_EQ(Outage(&pause, &now_us, 2), (std::vector<uint64_t>{1, 2}));
}

}  // namespace
}  // namespace terraced::tiering
