#include "tests/bench/trace_text.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace terraced::bench {
namespace {

std::vector<TraceOperation> ReadAll(const std::string& text) {
  std::istringstream input(text);
  TraceReader reader(input);
  std::vector<TraceOperation> operations;
  TraceOperation operation;
  for (;;) {
    const Result<bool> more = reader.Next(&operation);
    EXPECT_TRUE(more.ok()) << more.status().message();
    if (!more.ok() || !more.value()) return operations;
    operations.push_back(operation);
  }
}

// What the reader says of the first line that is no operation.
std::string Complaint(const std::string& text) {
  std::istringstream input(text);
  TraceReader reader(input);
  TraceOperation operation;
  for (;;) {
    const Result<bool> more = reader.Next(&operation);
    if (!more.ok()) return std::string(more.status().message());
    if (!more.value()) return "none";
  }
}

TEST(TraceTextTest, ReadsEveryOperationInOrder) {
  const std::vector<TraceOperation> expected = {
      {.verb = TraceVerb::kGet, .key = "user:1", .value_bytes = 100},
      {.verb = TraceVerb::kSet, .key = "user:2", .value_bytes = 0, .ttl_s = 60},
      {.verb = TraceVerb::kDelete, .key = "user:1"},
      {.verb = TraceVerb::kGet, .key = "user:2", .value_bytes = 1'000'000, .ttl_s = 2'592'000}};
  EXPECT_EQ(ReadAll("get user:1 100\nset user:2 0 60\ndelete user:1\nget user:2 1000000 2592000\n"),
            expected);
}

TEST(TraceTextTest, PassesOverCommentsAndEmptyLines) {
  const std::vector<TraceOperation> operations = ReadAll("# a trace\n\nget a 1\n#get b 1\n\n");
  ASSERT_EQ(operations.size(), 1U);
  EXPECT_EQ(operations[0].key, "a");
}

TEST(TraceTextTest, TakesCarriageReturnsAndALastLineWithoutItsEnd) {
  const std::vector<TraceOperation> operations = ReadAll("get a 1\r\n\r\ndelete bc");
  ASSERT_EQ(operations.size(), 2U);
  EXPECT_EQ(operations[0].value_bytes, 1U);
  EXPECT_EQ(operations[1].key, "bc");
}

TEST(TraceTextTest, ReadsWhatItWrites) {
  const std::vector<TraceOperation> operations = {
      {.verb = TraceVerb::kGet, .key = std::string(250, 'k'), .value_bytes = 1'000'000, .ttl_s = 9},
      {.verb = TraceVerb::kSet, .key = "s", .value_bytes = 12},
      {.verb = TraceVerb::kDelete, .key = "d"}};
  std::string text;
  for (const TraceOperation& operation : operations) AppendTraceLine(operation, &text);
  EXPECT_EQ(ReadAll(text), operations);
}

TEST(TraceTextTest, RefusesWhatIsNoOperation) {
  for (const std::string line :
       {"get",           "get a",           "get a b",     "get a -1",
        "get a 1000001", "get a 1 2592001", "get a 1 2 3", "get a 1 ",
        "get  a 1",      " get a 1",        "set a",       "delete",
        "delete a 1",    "touch a 1",       "GET a 1",     "get a\x01 1",
        "get a\x7f 1",   "get a\t1 1",      "get a 1.5",   "get a 99999999999999999999"}) {
    EXPECT_TRUE(Complaint(line + "\n").starts_with("line 1: ")) << line;
  }
  EXPECT_TRUE(Complaint("get " + std::string(251, 'k') + " 1\n").starts_with("line 1: a key"));
}

TEST(TraceTextTest, SaysWhichLineIsWrong) {
  EXPECT_TRUE(Complaint("# one\nget a 1\n\nput a 1\nget b 1\n").starts_with("line 4: "));
}

TEST(TraceTextTest, RefusesALineWithoutEnd) {
  EXPECT_EQ(Complaint("get a 1\n" + std::string(100'000, 'x')),
            "line 2 is too long for an operation");
}

}  // namespace
}  // namespace terraced::bench
