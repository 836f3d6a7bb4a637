#include "src/net/reply_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "storage/base/check.h"

namespace terraced::server {
namespace {

constexpr size_t kSlotBlockBytes = 512;  // a small value and its header

}  // namespace

ReplyQueue::~ReplyQueue() {
  while (head_ != nullptr) DropHead();
}

ReplyQueue::Segment* ReplyQueue::Append() {
  Segment* const segment = spare_ ? spare_.release() : new Segment();
  (tail_ == nullptr ? head_ : tail_->next) = segment;
  tail_ = segment;
  return segment;
}

ReplyQueue::Segment* ReplyQueue::InsertAfter(Segment* before) {
  auto* const segment = new Segment();
  segment->in_slot = before->in_slot;
  segment->next = before->next;
  before->next = segment;
  if (tail_ == before) tail_ = segment;
  return segment;
}

char* ReplyQueue::Reserve(size_t bytes) {
  Segment* segment = cursor_;
  if (segment == nullptr) {
    // Bytes at the end may not join a slot or follow a pinned value in the same segment.
    const bool usable = tail_ != nullptr && !tail_->in_slot && !tail_->pin;
    segment = usable ? tail_ : Append();
  } else if (segment->pin) {
    segment = cursor_ = InsertAfter(segment);
  }
  if (segment->block && segment->size + bytes > segment->block.Capacity()) {
    const bool at_end = cursor_ == nullptr;
    segment = at_end ? Append() : (cursor_ = InsertAfter(segment));
  }
  if (!segment->block) {
    segment->block =
        segment->in_slot ? pool_.TakeExact(std::max(bytes, kSlotBlockBytes)) : pool_.Take(bytes);
    account_.Take(segment->block.Capacity());
  }
  reserved_ = segment;
  return segment->block.Data() + segment->size;
}

void ReplyQueue::Commit(size_t bytes) {
  reserved_->size += bytes;
  unsent_bytes_ += bytes;
  TERRACED_DCHECK(reserved_->size <= reserved_->block.Capacity());
}

void ReplyQueue::Pin(storage::ItemRef ref, uint64_t bytes) {
  Segment* const segment = reserved_;
  TERRACED_DCHECK(!segment->pin);
  ref.Allocator().ValuePieces(*ref, &segment->pieces);
  segment->pin = std::move(ref);
  segment->pinned_bytes = bytes;
  unsent_bytes_ += bytes;
}

ReplyQueue::Slot ReplyQueue::OpenSlot() {
  Segment* const segment = Append();
  segment->open = true;
  segment->in_slot = true;
  return segment;
}

// A slot's bytes may have spread over segments behind it; those were never marked open, but nothing is sent
// past the first one, so it is the only mark that has to go.
void ReplyQueue::CloseSlot(Slot slot) {
  TERRACED_DCHECK(slot->open);
  slot->open = false;
  cursor_ = nullptr;
  // A slot without an answer (a miss) at the head would keep the queue from being empty.
  while (head_ != nullptr && !head_->open && head_->sent == head_->TotalBytes()) DropHead();
}

bool ReplyQueue::CanSend() const {
  return head_ != nullptr && !head_->open;
}

size_t ReplyQueue::Gather(std::span<iovec> pieces, uint64_t bytes_max) const {
  size_t count = 0;
  for (const Segment* segment = head_; segment != nullptr && !segment->open;
       segment = segment->next) {
    size_t skip = segment->sent;
    const auto add = [&](char* data, size_t bytes) {
      const size_t skipped = std::min(skip, bytes);
      skip -= skipped;
      const uint64_t taken = std::min<uint64_t>(bytes - skipped, bytes_max);
      if (taken == 0 || count == pieces.size()) return;
      pieces[count++] = {data + skipped, taken};
      bytes_max -= taken;
    };
    add(const_cast<char*>(segment->block.Data()), segment->size);
    for (const std::span<char> piece : segment->pieces) add(piece.data(), piece.size());
    if (count == pieces.size() || bytes_max == 0) break;
  }
  return count;
}

ReplyQueue::SendResult ReplyQueue::Send(ClientSocket& socket, uint64_t* sent_bytes,
                                        uint64_t bytes_max) {
  while (CanSend()) {
    if (bytes_max == 0) return SendResult::kBlocked;
    std::array<iovec, kPiecesMax> pieces;
    const size_t count = Gather(pieces, bytes_max);
    size_t taken = 0;
    if (count > 0) {
      const ssize_t result = socket.Write({pieces.data(), count});
      if (result < 0 && errno == EINTR) continue;
      if (result < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? SendResult::kBlocked : SendResult::kFailed;
      }
      taken = static_cast<size_t>(result);
    }
    *sent_bytes += taken;
    bytes_max -= taken;
    Sent(taken);
  }
  return SendResult::kAll;
}

void ReplyQueue::Sent(size_t bytes) {
  unsent_bytes_ -= bytes;
  while (head_ != nullptr && !head_->open) {
    const auto left = static_cast<size_t>(head_->TotalBytes() - head_->sent);
    if (bytes < left) {
      head_->sent += bytes;
      return;
    }
    bytes -= left;
    DropHead();
  }
  TERRACED_DCHECK(bytes == 0);
}

void ReplyQueue::DropHead() {
  std::unique_ptr<Segment> segment(head_);
  account_.GiveBack(segment->block.Capacity());
  head_ = segment->next;
  if (head_ == nullptr) tail_ = nullptr;
  if (spare_ == nullptr && segment->pieces.capacity() == 0) {
    *segment = Segment();
    spare_ = std::move(segment);
  }
}

}  // namespace terraced::server
