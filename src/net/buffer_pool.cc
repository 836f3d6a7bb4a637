#include "src/net/buffer_pool.h"

#include <utility>

namespace terraced::server {

Block::Block(Block&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      data_(std::move(other.data_)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Block& Block::operator=(Block&& other) noexcept {
  if (this != &other) {
    Reset();
    pool_ = std::exchange(other.pool_, nullptr);
    data_ = std::move(other.data_);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void Block::Reset() {
  if (data_ != nullptr) pool_->GiveBack(std::move(data_), capacity_);
  data_ = nullptr;
  capacity_ = 0;
  pool_ = nullptr;
}

Block BufferPool::Take(size_t bytes) {
  if (bytes > kBlockBytes) return TakeExact(bytes);
  if (kept_.empty()) return TakeExact(kBlockBytes);
  std::unique_ptr<char[]> data = std::move(kept_.back());
  kept_.pop_back();
  ++taken_;
  taken_bytes_ += kBlockBytes;
  return {this, std::move(data), kBlockBytes};
}

Block BufferPool::TakeExact(size_t bytes) {
  ++taken_;
  taken_bytes_ += bytes;
  return {this, std::unique_ptr<char[]>(new char[bytes]), bytes};
}

void BufferPool::GiveBack(std::unique_ptr<char[]> data, size_t capacity) {
  --taken_;
  taken_bytes_ -= capacity;
  if (capacity == kBlockBytes && kept_.size() < kBlocksKept) kept_.push_back(std::move(data));
}

}  // namespace terraced::server
