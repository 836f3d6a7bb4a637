// ReplyBudget: the memory that unsent replies of all connections hold together, against one limit.
// ReplyAccount: one worker's part of it. A worker counts for itself and tells the others by Publish(), at the end
// of a connection's turn or once kPublishBytes have come together, and only if something has changed: clients
// that read their replies cost no shared write. So the limit may be passed by kPublishBytes and a batch a worker.
// Threads: a budget any; an account belongs to its worker, or to nobody once that has ended.
// Ownership: the budget outlives its accounts. Values that are sent from the arena are not counted: -m has them.
#pragma once

#include <atomic>
#include <cstdint>

namespace terraced::server {

class ReplyBudget {
 public:
  explicit ReplyBudget(uint64_t bytes_max) : bytes_max_(bytes_max) {}
  ReplyBudget(const ReplyBudget&) = delete;
  ReplyBudget& operator=(const ReplyBudget&) = delete;

  uint64_t BytesMax() const { return bytes_max_; }
  uint64_t HeldBytes() const { return held_bytes_.load(std::memory_order_relaxed); }

 private:
  friend class ReplyAccount;
  const uint64_t bytes_max_;
  std::atomic<uint64_t> held_bytes_{0};
};

class ReplyAccount {
 public:
  explicit ReplyAccount(ReplyBudget& budget) : budget_(budget) {}
  ~ReplyAccount() { Publish(); }
  ReplyAccount(const ReplyAccount&) = delete;
  ReplyAccount& operator=(const ReplyAccount&) = delete;

  void Take(uint64_t bytes) { held_bytes_ += bytes; }
  void GiveBack(uint64_t bytes) { held_bytes_ -= bytes; }
  // Of the whole budget, as far as the others have told.
  uint64_t LeftBytes() {
    if (held_bytes_ - published_bytes_ + kPublishBytes > 2 * kPublishBytes) Publish();
    const uint64_t held = budget_.HeldBytes() + (held_bytes_ - published_bytes_);
    return held < budget_.BytesMax() ? budget_.BytesMax() - held : 0;
  }
  void Publish() {
    if (held_bytes_ == published_bytes_) return;
    budget_.held_bytes_.fetch_add(held_bytes_ - published_bytes_, std::memory_order_relaxed);
    published_bytes_ = held_bytes_;
  }

 private:
  static constexpr uint64_t kPublishBytes = 256U << 10;

  ReplyBudget& budget_;
  uint64_t held_bytes_ = 0;
  uint64_t published_bytes_ = 0;  // differences wrap around and add up all the same
};

}  // namespace terraced::server
