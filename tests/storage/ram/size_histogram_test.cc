#include "storage/ram/size_histogram.h"

#include <gtest/gtest.h>

namespace terraced::storage {
namespace {

using Counts = std::map<uint64_t, uint64_t>;

TEST(SizeHistogramTest, CountsInStepsOf32Bytes) {
  SizeHistogram sizes;
  EXPECT_FALSE(sizes.IsOn());
  sizes.Note(100, 1, 1);
  EXPECT_EQ(sizes.Counts(), Counts());
  sizes.Enable(1);
  for (const uint64_t bytes : {1U, 32U, 33U, 64U, 65U}) sizes.Note(bytes, 1, 1);
  EXPECT_EQ(sizes.Counts(), (Counts{{32, 2}, {64, 2}, {96, 1}}));
  sizes.Note(64, 1, -1);
  sizes.Note(65, 1, -1);
  EXPECT_EQ(sizes.Counts(), (Counts{{32, 2}, {64, 1}}));
}

TEST(SizeHistogramTest, HasRoomForTheLargest) {
  SizeHistogram sizes;
  sizes.Enable(0);
  for (const uint64_t bytes : {1ULL << 20, (1ULL << 20) + 1, 1ULL << 30}) sizes.Note(bytes, 1, 1);
  EXPECT_EQ(sizes.Counts(), (Counts{{1ULL << 20, 1}, {(1ULL << 20) + 32, 1}, {1ULL << 30, 1}}));
  sizes.Note(1ULL << 30, 1, -1);
  EXPECT_EQ(sizes.Counts().size(), 2U);
}

TEST(SizeHistogramTest, OlderItemsComeAndGoUncounted) {
  SizeHistogram sizes;
  sizes.Enable(10);
  sizes.Note(40, 9, -1);
  sizes.Note(40, 10, 1);
  EXPECT_EQ(sizes.Counts(), (Counts{{64, 1}}));
  sizes.Enable(11);
  EXPECT_EQ(sizes.Counts(), Counts());
  sizes.Note(40, 10, -1);
  EXPECT_EQ(sizes.Counts(), Counts());
  sizes.Disable();
  EXPECT_FALSE(sizes.IsOn());
}

}  // namespace
}  // namespace terraced::storage
