// HandHost: what a Connection needs around it, over a FakeCache, as a worker that is cranked by hand: nothing happens
// on a connection unless whoever holds the host says so.
// Threads: one. Ownership: the host outlives its connections.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "src/net/connection.h"
#include "src/prefix_stats.h"
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
  Status RefreshCertificates() override { return certificates; }
  void RequestStop(bool graceful) override { (graceful ? graceful_stops : stops)++; }
  ListingTours& Tours() override { return tours; }
  int resets = 0;
  Status certificates;  // what becomes of refresh_certs
  int stops = 0;
  int graceful_stops = 0;
  ListingTours tours;
};

class HandHost final : public ConnectionHost, public WatcherHost {
 public:
  HandHost() : cache(Options(), clock), context_{cache, clock, options, control, prefixes, hub} {
    hub.RunByHandForTest();
  }

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
  ReplySinks& Replies() override { return replies_; }
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
  void ListConnections(Connection&) override { listing = true; }
  // There is nothing to list, unless a test brings the pieces.
  void AskDump(Connection& connection) override {
    ++dump_asks;
    if (hold_dumps) return;
    connection.AddDumpPiece({.keys = {}, .items = {}, .last = true});
    cache.Admin().EndDump();
  }
  WatcherHost& Watches(Connection&) override { return *this; }
  void LinesReady() override { ++lines_ready; }
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
  PrefixStats prefixes{':', false};
  WatchHub hub{LogBuffer::kBytesLeast};
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
  int lines_ready = 0;
  bool retry_room = false;
  bool demoting = false;
  bool listing = false;
  bool closed = false;
  bool hold_dumps = false;
  int dump_asks = 0;

 private:
  const CommandContext context_;
  ReplyAccount account_{budget};
  WorkerScratch scratch_;
  ReplySinks replies_{clock};
};

}  // namespace terraced::server
