#include "src/net/reply_queue.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "storage/ram/slab_arena.h"

namespace terraced::server {
namespace {

class ReplyQueueTest : public testing::Test {
 protected:
  ~ReplyQueueTest() override {
    ::close(reader_);
    socket_.Close();
  }

  // The other end is reader_.
  int Connect() {
    int pair[2];
    TERRACED_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    reader_ = pair[0];
    return pair[1];
  }
  void Write(std::string_view bytes) {
    std::memcpy(queue_.Reserve(bytes.size()), bytes.data(), bytes.size());
    queue_.Commit(bytes.size());
  }
  std::string Sent() {
    uint64_t sent = 0;
    EXPECT_NE(queue_.Send(socket_, &sent), ReplyQueue::SendResult::kFailed);
    std::string all(1U << 20, 0);
    const ssize_t got = recv(reader_, all.data(), all.size(), 0);
    all.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return all;
  }

  BufferPool pool_;
  ReplyBudget budget_{64U << 20};
  ReplyAccount account_{budget_};
  ReplyQueue queue_{pool_, account_};
  int reader_ = -1;
  ClientSocket socket_{Connect()};
};

TEST_F(ReplyQueueTest, SendsWhatStandsInFrontOfTheFirstOpenSlot) {
  Write("one ");
  const ReplyQueue::Slot first = queue_.OpenSlot();
  Write("three ");
  const ReplyQueue::Slot second = queue_.OpenSlot();
  Write("five");
  EXPECT_EQ(Sent(), "one ");
  queue_.WriteTo(second);
  Write("four ");
  queue_.CloseSlot(second);
  EXPECT_EQ(Sent(), "");
  queue_.WriteTo(first);
  Write("two ");
  queue_.CloseSlot(first);
  EXPECT_EQ(Sent(), "two three four five");
  EXPECT_TRUE(queue_.Empty());
  EXPECT_EQ(queue_.UnsentBytes(), 0U);
  EXPECT_EQ(pool_.Taken(), 0U);
}

TEST_F(ReplyQueueTest, ASlotTakesMoreThanItsFirstBlock) {
  const ReplyQueue::Slot slot = queue_.OpenSlot();
  Write("behind");
  queue_.WriteTo(slot);
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    Write("0123456789abcdef0123456789abcdef");
    expected += "0123456789abcdef0123456789abcdef";
  }
  queue_.CloseSlot(slot);
  EXPECT_EQ(Sent(), expected + "behind");
}

TEST_F(ReplyQueueTest, ASlotWithoutAnAnswerLeavesNoTrace) {
  const ReplyQueue::Slot slot = queue_.OpenSlot();
  queue_.CloseSlot(slot);
  EXPECT_TRUE(queue_.Empty());
}

TEST_F(ReplyQueueTest, ResumesInTheMiddleOfAPinnedValueAndUnpinsIt) {
  storage::SlabOptions options;
  auto arena = storage::SlabArena::Create(options);
  ASSERT_TRUE(arena.ok());
  storage::ItemAllocator allocator(*arena.value(), options.item_bytes_max);
  storage::SlabClass short_of = 0;
  constexpr uint32_t kBytes = 900'000;
  const storage::Position position = allocator.New("key", 0, kBytes, &short_of);
  ASSERT_NE(position, storage::kNoPosition);
  std::vector<std::span<char>> pieces;
  allocator.ValuePieces(*arena.value()->ItemAt(position), &pieces);
  for (const std::span<char> piece : pieces) std::memset(piece.data(), 'p', piece.size());
  // As if it had been linked, pinned and overwritten: the pin frees it.
  arena.value()->ItemAt(position)->Set(storage::kItemLinked);
  storage::ItemRef ref(allocator, position);
  arena.value()->ItemAt(position)->Clear(storage::kItemLinked);
  allocator.Retire(position);
  Write("head ");
  queue_.Pin(std::move(ref), kBytes);
  Write(" tail");
  EXPECT_EQ(queue_.UnsentBytes(), kBytes + 10);
  std::string all;
  while (!queue_.Empty()) all += Sent();
  all += Sent();
  EXPECT_EQ(all, "head " + std::string(kBytes, 'p') + " tail");
  for (const storage::SlabClassStats& slab : arena.value()->Stats())
    EXPECT_EQ(slab.used_chunks, 0U);
}

TEST_F(ReplyQueueTest, SendsNoMoreThanItMayAndThenTheRest) {
  Write(std::string(1'000, 'a'));
  uint64_t sent = 0;
  EXPECT_EQ(queue_.Send(socket_, &sent, 600), ReplyQueue::SendResult::kBlocked);
  EXPECT_EQ(sent, 600U);
  EXPECT_TRUE(queue_.CanSend());
  EXPECT_EQ(queue_.UnsentBytes(), 400U);
  EXPECT_EQ(queue_.Send(socket_, &sent, 400), ReplyQueue::SendResult::kAll);
  EXPECT_EQ(sent, 1'000U);
}

TEST_F(ReplyQueueTest, SaysWhenThePeerIsGone) {
  ::shutdown(reader_, SHUT_RDWR);
  Write("x");
  uint64_t sent = 0;
  EXPECT_EQ(queue_.Send(socket_, &sent), ReplyQueue::SendResult::kFailed);
}

}  // namespace
}  // namespace terraced::server
