// BufferPool: the 16 KiB blocks that a worker's connections read into and answer from. A connection holds
// blocks only while it has bytes in them, so thousands of idle connections cost none.
// Threads: belongs to one worker. Ownership: a Block gives its memory back to the pool it came from.
// Sizes: blocks beyond kBlockBytes are freed rather than kept; kBlocksKept stay for the next round.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace terraced::server {

class BufferPool;

class Block {
 public:
  Block() = default;
  Block(Block&& other) noexcept;
  Block& operator=(Block&& other) noexcept;
  ~Block() { Reset(); }
  void Reset();

  explicit operator bool() const { return data_ != nullptr; }
  char* Data() { return data_.get(); }
  const char* Data() const { return data_.get(); }
  size_t Capacity() const { return capacity_; }

 private:
  friend class BufferPool;
  Block(BufferPool* pool, std::unique_ptr<char[]> data, size_t capacity)
      : pool_(pool), data_(std::move(data)), capacity_(capacity) {}
  BufferPool* pool_ = nullptr;
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
};

class BufferPool {
 public:
  static constexpr size_t kBlockBytes = 16U << 10;
  static constexpr size_t kBlocksKept = 256;

  BufferPool() = default;
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // kBlockBytes or what was asked for, whichever is more.
  Block Take(size_t bytes);
  // Exactly that much, never kept: for single values.
  Block TakeExact(size_t bytes);
  size_t Taken() const { return taken_; }
  size_t TakenBytes() const { return taken_bytes_; }
  size_t Kept() const { return kept_.size(); }

 private:
  friend class Block;
  void GiveBack(std::unique_ptr<char[]> data, size_t capacity);

  std::vector<std::unique_ptr<char[]>> kept_;
  size_t taken_ = 0;
  size_t taken_bytes_ = 0;
};

}  // namespace terraced::server
