// ReplyQueue: what a connection has answered and not yet sent, in the order of its requests. Replies are
// appended to blocks; large values stay in the arena, pinned; a command that waits for flash holds its place
// with an open slot, and nothing behind it is sent until the slot is closed.
// Threads: belongs to one worker. Ownership: blocks and pins are given back as soon as they are sent; the account
// knows of the blocks.
// Errors: Send says kFailed when the peer is gone. Sizes: UnsentBytes() counts copies and pinned values alike.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "src/net/buffer_pool.h"
#include "src/net/client_socket.h"
#include "src/net/reply_budget.h"
#include "src/protocol/reply_sink.h"
#include "storage/ram/item_allocator.h"

namespace terraced::server {

class ReplyQueue final : public ReplyOutput {
 public:
  struct Segment;  // some bytes, then maybe a pinned value
  using Slot = Segment*;
  // kBlocked: by the kernel, or by the limit.
  enum class SendResult : uint8_t { kAll, kBlocked, kFailed };

  ReplyQueue(BufferPool& pool, ReplyAccount& account) : pool_(pool), account_(account) {}
  ~ReplyQueue();
  ReplyQueue(const ReplyQueue&) = delete;
  ReplyQueue& operator=(const ReplyQueue&) = delete;

  // Where the next bytes go: into an open slot, or (nullptr, the default) at the end.
  void WriteTo(Slot slot) { cursor_ = slot; }
  char* Reserve(size_t bytes) override;
  void Commit(size_t bytes) override;
  void Pin(storage::ItemRef ref, uint64_t bytes) override;

  // A place at the end that is filled later.
  Slot OpenSlot();
  void CloseSlot(Slot slot);
  // All that was asked before it has been sent.
  bool IsNext(Slot slot) const { return head_ == slot; }

  // Sends what is in front of the first open slot, up to bytes_max of it. *sent_bytes grows by what the socket took.
  SendResult Send(ClientSocket& socket, uint64_t* sent_bytes, uint64_t bytes_max = UINT64_MAX);
  bool Empty() const { return head_ == nullptr; }  // no open slot either
  bool CanSend() const;  // something stands in front of the first open slot
  uint64_t UnsentBytes() const { return unsent_bytes_; }

 private:
  static constexpr size_t kPiecesMax = 64;  // of one sendmsg

  Segment* Append();
  Segment* InsertAfter(Segment* before);
  size_t Gather(std::span<iovec> pieces, uint64_t bytes_max) const;
  void Sent(size_t bytes);
  void DropHead();

  BufferPool& pool_;
  ReplyAccount& account_;
  Segment* head_ = nullptr;
  Segment* tail_ = nullptr;
  Segment* cursor_ = nullptr;    // nullptr: at the end
  Segment* reserved_ = nullptr;  // of the last Reserve
  uint64_t unsent_bytes_ = 0;
  std::unique_ptr<Segment> spare_;  // the usual case needs one segment: keep it
};

struct ReplyQueue::Segment {
  Segment* next = nullptr;
  Block block;
  size_t size = 0;       // bytes written
  size_t sent = 0;       // of bytes and pinned value together
  bool open = false;     // a slot whose answer is not known
  bool in_slot = false;  // belongs to a slot: small blocks
  storage::ItemRef pin;
  uint64_t pinned_bytes = 0;
  std::vector<std::span<char>> pieces;  // of the pinned value

  uint64_t TotalBytes() const { return size + pinned_bytes; }
};

}  // namespace terraced::server
