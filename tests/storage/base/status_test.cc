#include "storage/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

namespace terraced {
namespace {

Result<int> Half(int number) {
  if (number % 2 != 0) return Status(StatusCode::kInvalidArgument, "odd");
  return number / 2;
}

Status QuarterInto(int number, int* quarter) {
  TERRACED_ASSIGN_OR_RETURN(const int half, Half(number));
  TERRACED_ASSIGN_OR_RETURN(*quarter, Half(half));
  return Status();
}

Status CheckEven(int number) {
  TERRACED_RETURN_IF_ERROR(Half(number).status());
  return Status();
}

TEST(StatusTest, IsOkWithoutACode) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_EQ(status.message(), "ok");
  EXPECT_TRUE(Status(StatusCode::kOk, "ignored").ok());
}

TEST(StatusTest, CopiesAreIndependent) {
  Status first(StatusCode::kBusy, "held");
  const Status second = first;
  first = Status();
  EXPECT_TRUE(first.ok());
  EXPECT_EQ(second.code(), StatusCode::kBusy);
  EXPECT_EQ(second.message(), "held");
  first = second;
  EXPECT_EQ(first.message(), "held");
}

TEST(StatusTest, ContextStandsInFrontAndKeepsTheCode) {
  const Status inner(StatusCode::kCorruption, "bad magic");
  const Status outer = inner.WithContext("reading STATE");
  EXPECT_EQ(outer.code(), StatusCode::kCorruption);
  EXPECT_EQ(outer.message(), "reading STATE: bad magic");
  EXPECT_TRUE(Status().WithContext("anything").ok());
}

TEST(StatusTest, TellsAFullDiskFromOtherErrors) {
  EXPECT_EQ(Status::FromErrno("write", ENOSPC).code(), StatusCode::kNoSpace);
  EXPECT_EQ(Status::FromErrno("write", EDQUOT).code(), StatusCode::kNoSpace);
  const Status status = Status::FromErrno("write", EIO);
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_EQ(status.message().substr(0, 7), "write: ");
  EXPECT_GT(status.message().size(), 7U);
}

TEST(StatusTest, MacrosHandOnValuesAndErrors) {
  int quarter = 0;
  EXPECT_TRUE(QuarterInto(12, &quarter).ok());
  EXPECT_EQ(quarter, 3);
  EXPECT_EQ(QuarterInto(6, &quarter).message(), "odd");
  EXPECT_EQ(QuarterInto(7, &quarter).message(), "odd");
  EXPECT_TRUE(CheckEven(4).ok());
  EXPECT_FALSE(CheckEven(5).ok());
}

TEST(StatusTest, ResultMovesItsValueOut) {
  Result<std::unique_ptr<std::string>> result(std::make_unique<std::string>("value"));
  ASSERT_TRUE(result.ok());
  const std::unique_ptr<std::string> value = std::move(result).value();
  EXPECT_EQ(*value, "value");
}

TEST(StatusDeathTest, ResultCannotHoldOkWithoutAValue) {
  EXPECT_DEATH(static_cast<void>(Result<int>(Status())), "check failed");
}

}  // namespace
}  // namespace terraced
