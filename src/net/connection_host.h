// ConnectionHost: what a connection needs of its worker, and what the two hand each other: commands that wait for flash,
// and the scratch that a connection has while it runs.
// Threads: a worker's own; FillDone hands a Suspended on and changes nothing else.
// Ownership: a Suspended is its connection's, the scratch is the worker's, and the host outlives its connections.
// Errors: none. Sizes: see connection.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/net/buffer_pool.h"
#include "src/net/reply_queue.h"
#include "src/net/worker_counters.h"
#include "src/protocol/codec.h"
#include "src/protocol/reply_sinks.h"
#include "src/watch/watcher.h"

namespace terraced::server {

class Connection;

// A command that waits for flash, with a copy of all it needs to run again.
struct Suspended final : tiering::FillWaiter {
  // What it is counted as among the unsent replies: itself, its fill, its place in the queues.
  static constexpr uint64_t kBytes = 1'024;

  explicit Suspended(Connection& of) : connection(of) {}
  void FillDone(std::shared_ptr<const tiering::Fill> result) override;

  Connection& connection;
  Request request;
  std::string key;
  std::string flags;
  tiering::Draft draft;
  tiering::Evidence evidence;
  uint64_t deadline_us = 0;
  ReplyQueue::Slot slot = nullptr;
  size_t index = 0;                           // in the connection's list
  bool postponed = false;                     // asks flash again when replies were sent
  std::shared_ptr<const tiering::Fill> fill;  // what FillDone brought
};

// A request of a batch, and what it takes to put it and those behind it back: where in the read buffer it begins,
// and the codec as it was in front of it.
struct Gathered {
  Request request;
  size_t begin = 0;
  Codec codec{false, nullptr};
  // Of a command with a data block: that and its line end, where they are all there.
  bool has_block = false;
  std::string_view block;
};

// Scratch of a worker: what its connections need only while they run.
struct WorkerScratch {
  std::vector<Gathered> batch;  // kept for the next batch: the first batch_size are in use
  size_t batch_size = 0;
  std::vector<tiering::Key> keys;  // of the batch
  DecodedKeys decoded_keys;        // of the batch
  tiering::Evidence evidence;      // of first attempts: always empty
  std::vector<std::span<char>> pieces;
  std::array<char, 64U << 10> swallowed;
};

// What a connection needs of its worker.
class ConnectionHost {
 public:
  virtual const CommandContext& Context() = 0;
  virtual BufferPool& Buffers() = 0;
  virtual WorkerCounters& Counters() = 0;
  virtual WorkerScratch& Scratch() = 0;
  virtual ReplySinks& Replies() = 0;
  virtual ReplyAccount& Account() = 0;
  // Which events the connection wants from now on.
  virtual void SetInterest(Connection& connection, bool read, bool write) = 0;
  // Run() soon, after other connections had their turn.
  virtual void RunSoon(Connection& connection) = 0;
  // RetryRoom() in about a millisecond.
  virtual void RetryRoomSoon(Connection& connection) = 0;
  // FillDone of the waiter will be called; Completed hands it to FinishSuspended when that is safe.
  virtual void Want(Suspended& suspended) = 0;
  virtual void Cancel(Suspended& suspended) = 0;
  virtual void Completed(Suspended& suspended) = 0;
  // DemoteDone() when everything is on flash.
  virtual void Demote(Connection& connection) = 0;
  // ConnectionsListed() with those of all workers.
  virtual void ListConnections(Connection& connection) = 0;
  // AddDumpPiece() and FlushReplies() when the next piece of the dump is there; the host ends the dump, after its last
  // piece or with the connection.
  virtual void AskDump(Connection& connection) = 0;
  // SendLines() of the connection will be called after LinesReady() of what this returns.
  virtual WatcherHost& Watches(Connection& connection) = 0;
  // The connection is done with and will be destroyed when nobody is inside it any more.
  virtual void Closed(Connection& connection) = 0;

 protected:
  ~ConnectionHost() = default;
};

}  // namespace terraced::server
