// ConnectionRig: a Connection of a HandHost on one end of a socket pair and a test on the other: nothing happens unless
// the test says so.
// Threads: one. Ownership: the rig owns both ends. Nothing here sleeps.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/src/hand_host.h"

namespace terraced::server {

class ConnectionRig : public testing::Test {
 protected:
  ConnectionRig() { host_.options.test_commands = true; }
  ~ConnectionRig() override {
    if (connection_ != nullptr) connection_->Close();
    if (client_ >= 0) ::close(client_);
  }

  void Open() {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    client_ = pair[0];
    connection_ = std::make_unique<Connection>(host_, pair[1]);
  }

  // As the event loop does, until the connection has nothing more to do.
  void Pump() {
    for (int round = 0; round < 100'000 && !host_.closed; ++round) {
      if (std::exchange(host_.run_soon, false)) {
        connection_->Run();
        continue;
      }
      char byte = 0;
      const ssize_t waiting = recv(connection_->Fd(), &byte, 1, MSG_PEEK);
      const bool has_input = waiting >= 0;
      if (!host_.reads || !has_input) return;
      connection_->OnReadable();
    }
  }

  void Send(std::string_view bytes) {
    if (client_ < 0) Open();
    while (!bytes.empty()) {
      const ssize_t sent = send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
      Pump();
      if (host_.closed) return;
    }
  }

  std::string Receive() {
    std::string all;
    while (true) {
      const ssize_t got = recv(client_, received_.data(), received_.size(), 0);
      if (got <= 0) return all;
      all.append(received_.data(), static_cast<size_t>(got));
      if (host_.writes && !host_.closed) connection_->OnWritable();
    }
  }

  std::string Ask(std::string_view bytes) {
    Send(bytes);
    return Receive();
  }

  // Stored, answered, and away from RAM.
  void StoreOnFlash(const std::string& key, const std::string& value) {
    Send("set " + key + " 0 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n");
    Receive();
    host_.cache.PutOnFlash(key);
  }

  // Not through Send: it would wait for a connection that has stopped reading.
  void SendWithoutReading(const std::string& bytes) {
    ASSERT_EQ(send(client_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    Pump();
  }

  // What a client that has woken up gets, up to `bytes`.
  std::string Drain(size_t bytes) {
    std::string got;
    for (int i = 0; i < 100'000 && got.size() < bytes; ++i) {
      got += Receive();
      if (host_.writes) connection_->OnWritable();
      Pump();
      if (!host_.wanted.empty()) host_.Answer(0);
    }
    return got;
  }

  HandHost host_;
  std::unique_ptr<Connection> connection_;
  int client_ = -1;
  std::vector<char> received_ =
      std::vector<char>(1U << 20);  // one for all receives: a new one each is slow under ASan
};

inline std::string Value(const std::string& key, const std::string& value) {
  return "VALUE " + key + " 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}

inline std::string Set(const std::string& key, const std::string& value) {
  return "set " + key + " 0 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}

}  // namespace terraced::server
