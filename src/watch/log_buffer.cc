#include "src/watch/log_buffer.h"

#include <algorithm>
#include <cstring>

#include "storage/base/check.h"

namespace terraced::server {

LogBuffer::LogBuffer(size_t bytes)
    : bytes_(std::max(bytes, kBytesLeast) / 8 * 8),
      data_(std::make_unique_for_overwrite<char[]>(bytes_)) {}

LogBuffer::Header LogBuffer::ReadHeader(uint64_t at) const {
  Header header;
  std::memcpy(&header, data_.get() + at % bytes_, sizeof(header));
  return header;
}

void LogBuffer::WriteHeader(uint64_t at, uint32_t bytes) {
  const Header header{.bytes = bytes, .unused = 0};
  std::memcpy(data_.get() + at % bytes_, &header, sizeof(header));
}

char* LogBuffer::Reserve(size_t bytes) {
  TERRACED_DCHECK(bytes > 0 && bytes <= kRecordBytesMax);
  uint64_t at = written_.load(std::memory_order_relaxed);
  const size_t needed = Footprint(bytes);
  const size_t to_end = bytes_ - at % bytes_;
  const size_t pad = to_end < needed ? to_end : 0;
  const uint64_t used = at - read_.load(std::memory_order_acquire);
  if (bytes_ - used < pad + needed) return nullptr;
  if (pad > 0) WriteHeader(at, kPad);
  at += pad;
  WriteHeader(at, static_cast<uint32_t>(bytes));
  reserved_to_ = at + needed;
  return data_.get() + at % bytes_ + sizeof(Header);
}

void LogBuffer::Commit() {
  written_.store(reserved_to_, std::memory_order_release);
}

std::string_view LogBuffer::Front() {
  uint64_t at = read_.load(std::memory_order_relaxed);
  if (at == written_.load(std::memory_order_acquire)) return {};
  Header header = ReadHeader(at);
  if (header.bytes == kPad) {  // a record follows: both were published at once
    at += bytes_ - at % bytes_;
    read_.store(at, std::memory_order_release);
    header = ReadHeader(at);
  }
  return {data_.get() + at % bytes_ + sizeof(Header), header.bytes};
}

void LogBuffer::Pop() {
  const uint64_t at = read_.load(std::memory_order_relaxed);
  read_.store(at + Footprint(ReadHeader(at).bytes), std::memory_order_release);
}

size_t LogBuffer::UsedBytes() const {
  const uint64_t read = read_.load(std::memory_order_acquire);
  return static_cast<size_t>(written_.load(std::memory_order_acquire) - read);
}

}  // namespace terraced::server
