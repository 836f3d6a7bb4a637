#include "src/net/client_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/src/connection_rig.h"

namespace terraced::server {
namespace {

using testing::ElementsAre;

// What a test finds out about a transport, and tells it.
struct Wire {
  std::string input;  // has been taken off the socket, and is read in pieces
  size_t piece_bytes = 4;
  bool ends = false;     // behind the input
  bool is_full = false;  // what a read has to send first cannot be sent
  bool takes_more = false;
  std::string output;
  std::vector<std::string> calls;
};

class HeldTransport final : public Transport {
 public:
  explicit HeldTransport(Wire& wire) : wire_(wire) {}
  ssize_t Read(std::span<const iovec> pieces) override {
    wants_write_ = wire_.is_full;
    if (wants_write_ || (wire_.input.empty() && !wire_.ends)) {
      errno = EAGAIN;
      return -1;
    }
    const size_t bytes = std::min({wire_.input.size(), pieces[0].iov_len, wire_.piece_bytes});
    if (bytes > 0) std::memcpy(pieces[0].iov_base, wire_.input.data(), bytes);
    if (bytes == 0) wire_.ends = false;
    wire_.input.erase(0, bytes);
    return static_cast<ssize_t>(bytes);
  }
  ssize_t Write(std::span<const iovec> pieces) override {
    size_t bytes = 0;
    for (const iovec& piece : pieces) {
      wire_.output.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
      bytes += piece.iov_len;
    }
    return static_cast<ssize_t>(bytes);
  }
  bool HasBuffered() const override {
    return !wants_write_ && (!wire_.input.empty() || wire_.ends);
  }
  bool TakesMore() const override { return wire_.takes_more; }
  bool ReadWantsWrite() const override { return wants_write_; }
  void Finish() override { wire_.calls.push_back("finish"); }
  void Close(int fd) override {
    wire_.calls.push_back("close");
    ::close(fd);
  }

 private:
  Wire& wire_;
  bool wants_write_ = false;
};

class ClientSocketTest : public ConnectionRig {
 protected:
  ClientSocketTest() {
    int pair[2];
    TERRACED_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    client_ = pair[0];
    connection_ =
        std::make_unique<Connection>(host_, pair[1], std::make_unique<HeldTransport>(wire_));
  }
  // Before the wire goes, which it writes to.
  ~ClientSocketTest() override { std::exchange(connection_, nullptr)->Close(); }

  // One event of the socket, and all the turns that follow by themselves. Their number.
  int Wake() {
    int turns = 0;
    connection_->OnReadable();
    for (; !host_.closed && std::exchange(host_.run_soon, false); ++turns) connection_->Run();
    return turns;
  }

  Wire wire_;
};

TEST_F(ClientSocketTest, WhatTheTransportHoldsIsReadWithoutAnotherEvent) {
  wire_.input = Set("k", std::string(1'000, 'v')) + "get k\r\nversion\r\n";
  EXPECT_GT(Wake(), 1);
  EXPECT_EQ(wire_.output,
            "STORED\r\n" + Value("k", std::string(1'000, 'v')) + "END\r\nVERSION 1.6.18\r\n");
  EXPECT_TRUE(wire_.calls.empty());
}

TEST_F(ClientSocketTest, ARefusedValueThatTheTransportHoldsIsSwallowed) {
  wire_.piece_bytes = 10'000;
  wire_.input = "set k 0 0 2000000\r\n" + std::string(2'000'000, 'v') + "\r\nversion\r\n";
  Wake();
  EXPECT_EQ(wire_.output, "SERVER_ERROR object too large for cache\r\nVERSION 1.6.18\r\n");
}

TEST_F(ClientSocketTest, AnEndThatTheTransportHoldsFinishesItAndClosesIt) {
  wire_.input = "version\r\nget";
  wire_.ends = true;
  Wake();
  EXPECT_EQ(wire_.output, "VERSION 1.6.18\r\n");
  EXPECT_TRUE(host_.closed);
  EXPECT_THAT(wire_.calls, ElementsAre("finish", "close"));
}

TEST_F(ClientSocketTest, AnAbortIsNotAFinish) {
  connection_->Close();
  EXPECT_THAT(wire_.calls, ElementsAre("close"));
}

TEST_F(ClientSocketTest, AHeldEndComesAfterTheAnswersThatWaitForFlash) {
  wire_.input = Set("cold", "c");
  Wake();
  host_.cache.PutOnFlash("cold");
  wire_.output.clear();
  wire_.input = "get cold\r\n";
  wire_.ends = true;
  Wake();
  EXPECT_EQ(wire_.output, "");
  EXPECT_FALSE(host_.closed);
  host_.Answer(0);
  EXPECT_EQ(wire_.output, Value("cold", "c") + "END\r\n");
  EXPECT_THAT(wire_.calls, ElementsAre("finish", "close"));
}

TEST_F(ClientSocketTest, AReadThatWaitsForTheSocketToBeWritableGoesOnThen) {
  wire_.input = "version\r\n";
  wire_.is_full = true;
  EXPECT_EQ(Wake(), 0);
  EXPECT_FALSE(host_.reads);
  EXPECT_TRUE(host_.writes);
  wire_.is_full = false;
  connection_->OnWritable();
  while (std::exchange(host_.run_soon, false)) connection_->Run();
  EXPECT_EQ(wire_.output, "VERSION 1.6.18\r\n");
  EXPECT_TRUE(host_.reads);
  EXPECT_FALSE(host_.writes);
}

TEST_F(ClientSocketTest, ATransportThatAlwaysTakesMoreNeedsNoEventForALongReply) {
  wire_.takes_more = true;
  wire_.input = Set("k", std::string(100'000, 'v'));
  Wake();
  wire_.output.clear();
  for (int i = 0; i < 10; ++i) wire_.input += "get k\r\n";
  Wake();
  EXPECT_EQ(wire_.output.size(), 10 * (Value("k", std::string(100'000, 'v')).size() + 5));
}

TEST_F(ClientSocketTest, APausedConnectionLeavesInTheTransportWhatItHolds) {
  wire_.input = Set("cold", "c");
  Wake();
  host_.cache.PutOnFlash("cold");
  wire_.output.clear();
  wire_.input = "delete cold\r\n" + Set("k", std::string(100'000, 'v'));
  Wake();
  EXPECT_GT(wire_.input.size(), 90'000U);
  EXPECT_FALSE(host_.reads);
  host_.Answer(0);
  while (std::exchange(host_.run_soon, false)) connection_->Run();
  EXPECT_EQ(wire_.output, "DELETED\r\nSTORED\r\n");
  EXPECT_EQ(wire_.input, "");
}

}  // namespace
}  // namespace terraced::server
