// ConnectionRig: a Connection on one end of a socket pair and a test on the other, over a FakeCache, with a worker that
// is cranked by hand: nothing happens unless the test says so.
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

#include "src/net/connection.h"
#include "tests/support/fake_cache.h"

namespace terraced::server {

class NoControl final : public ServerControl {
 public:
  bool WriteStats(std::string_view group, ReplySink& sink) override {
    if (group == "unknown") return false;
    sink.Stat("name", "value");
    return true;
  }
  void ResetStats() override { ++resets; }
  // The word after the name is what becomes of it.
  Status ChangeSetting(std::string_view, std::string_view value) override {
    if (value == "good") return {};
    if (value == "unknown") return Status(StatusCode::kNotFound, "unknown");
    return Status(value == "bad" ? StatusCode::kInvalidArgument : StatusCode::kUnavailable, "why");
  }
  int resets = 0;
};

// A worker cranked by hand: nothing happens on a connection unless the test says so.
class HandHost final : public ConnectionHost {
 public:
  HandHost() : cache(Options(), clock), context_{cache, clock, options, control} {}

  static tiering::CacheOptions Options() {
    tiering::CacheOptions options;
    options.slabs.limit_bytes = 32U << 20;
    options.demotion_wait_ms = 3'600'000;  // never over within a test
    return options;
  }

  const CommandContext& Context() override { return context_; }
  BufferPool& Buffers() override { return buffers; }
  WorkerCounters& Counters() override { return counters; }
  WorkerScratch& Scratch() override { return scratch_; }
  TextReply& Replies() override { return replies_; }
  ReplyAccount& Account() override { return account_; }
  void SetInterest(Connection&, bool read, bool write) override {
    reads = read;
    writes = write;
  }
  void RunSoon(Connection&) override {
    run_soon = true;
    ++yields;
  }
  void RetryRoomSoon(Connection&) override { retry_room = true; }
  void Want(Suspended& suspended) override { wanted.push_back(&suspended); }
  void Cancel(Suspended& suspended) override { std::erase(wanted, &suspended); }
  void Completed(Suspended& suspended) override { completed.push_back(&suspended); }
  void Demote(Connection&) override { demoting = true; }
  void Closed(Connection&) override { closed = true; }

  // The fill of the oldest waiting command comes back; found=false: its deadline passed.
  void Answer(size_t index, bool in_time = true) {
    Suspended* const suspended = wanted.at(index);
    wanted.erase(wanted.begin() + static_cast<std::ptrdiff_t>(index));
    const std::shared_ptr<const tiering::Fill> fill = std::make_shared<tiering::Fill>(
        nullptr, nullptr, suspended->request.key, suspended->evidence.need);
    suspended->FillDone(in_time ? fill : nullptr);
    for (Suspended* one : std::exchange(completed, {})) {
      Connection& connection = one->connection;
      connection.FinishSuspended(*one);
      connection.FlushReplies();
    }
  }

  Clock clock{1'000'000};
  ServerOptions options;
  NoControl control;
  support::FakeCache cache;
  ReplyBudget budget{64U << 20};
  BufferPool buffers;
  WorkerCounters counters;
  std::vector<Suspended*> wanted;
  std::vector<Suspended*> completed;
  bool reads = true;
  bool writes = false;
  bool run_soon = false;
  int yields = 0;
  bool retry_room = false;
  bool demoting = false;
  bool closed = false;

 private:
  const CommandContext context_;
  ReplyAccount account_{budget};
  WorkerScratch scratch_;
  TextReply replies_;
};

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
    std::vector<char> buffer(1U << 20);
    while (true) {
      const ssize_t got = recv(client_, buffer.data(), buffer.size(), 0);
      if (got <= 0) return all;
      all.append(buffer.data(), static_cast<size_t>(got));
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
};

inline std::string Value(const std::string& key, const std::string& value) {
  return "VALUE " + key + " 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}

inline std::string Set(const std::string& key, const std::string& value) {
  return "set " + key + " 0 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n";
}

}  // namespace terraced::server
