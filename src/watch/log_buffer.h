// LogBuffer: a ring of records between one thread that writes and one that reads, without locks. What does not fit is
// refused at once: the writer counts it and goes on.
// Threads: Reserve and Commit by the writer, Front and Pop by the reader, UsedBytes by anyone.
// Ownership: owns its bytes; a record that Front lent stays until Pop.
// Sizes: `bytes`, at least kBytesLeast; a record takes its size, rounded up to eight bytes, and eight more. Records of up
// to kRecordBytesMax always fit into an empty ring.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace terraced::server {

class LogBuffer {
 public:
  static constexpr size_t kBytesLeast = 4096;
  static constexpr size_t kRecordBytesMax = kBytesLeast / 2 - 16;

  explicit LogBuffer(size_t bytes);
  LogBuffer(const LogBuffer&) = delete;
  LogBuffer& operator=(const LogBuffer&) = delete;

  // Room for a record, aligned to eight bytes; nullptr: the reader has not kept up.
  char* Reserve(size_t bytes);
  void Commit();  // what was reserved last

  // The oldest record; empty: there is none.
  std::string_view Front();
  void Pop();  // what Front lent

  size_t Capacity() const { return bytes_; }
  size_t UsedBytes() const;

 private:
  // In front of each record. `bytes` is that of the record, or kPad: what follows up to the end of the ring is nothing.
  struct Header {
    uint32_t bytes;
    uint32_t unused;
  };
  static constexpr uint32_t kPad = UINT32_MAX;
  static size_t Footprint(size_t bytes) { return sizeof(Header) + (bytes + 7) / 8 * 8; }

  Header ReadHeader(uint64_t at) const;
  void WriteHeader(uint64_t at, uint32_t bytes);

  const size_t bytes_;
  const std::unique_ptr<char[]> data_;
  // Bytes ever read and ever written; apart, so that the two threads do not share a cache line.
  alignas(64) std::atomic<uint64_t> read_{0};
  alignas(64) std::atomic<uint64_t> written_{0};
  uint64_t reserved_to_ = 0;  // the writer's: what Commit publishes
};

}  // namespace terraced::server
