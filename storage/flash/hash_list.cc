#include "storage/flash/hash_list.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <vector>

#include "storage/base/check.h"
#include "storage/base/file_io.h"
#include "storage/base/hash.h"
#include "storage/base/yield_point.h"

namespace terraced::storage {
namespace {

constexpr uint32_t kMagic = 0x314c4854;  // "THL1": the digit is the format's version
constexpr size_t kSerialDigits = 16;
// Blocks read at once while a range is visited: 64 KiB.
constexpr uint64_t kWindowBlocksMax = 16;
// Two wanted hashes so many blocks apart, or less, are worth reading what lies between.
constexpr uint64_t kGapBlocksMax = 2;

struct HashBlock {
  uint32_t magic;
  uint32_t crc;  // CRC-32C of the block with crc = 0
  uint64_t serial;
  uint32_t block;   // its place in the file
  uint32_t blocks;  // of the file
  uint32_t count;   // hashes in use; the rest is zero
  uint32_t reserved;
  std::array<uint64_t, kHashesPerBlock> hashes;

  std::span<const uint64_t> Hashes() const { return {hashes.data(), count}; }
};
static_assert(sizeof(HashBlock) == kHashBlockBytes);

std::string_view BytesOf(const HashBlock& block) {
  return {reinterpret_cast<const char*>(&block), sizeof(block)};
}

// 128-bit arithmetic: `hash` as a share of all hashes, scaled to `total`.
uint64_t Scale(uint64_t hash, uint64_t total) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(hash) * total) >> 64);
}

// A window of consecutive, verified blocks of one open list.
class Reader {
 public:
  Reader(int fd, uint64_t serial, uint64_t blocks) : fd_(fd), serial_(serial), blocks_(blocks) {}

  uint64_t Blocks() const { return blocks_; }
  // Makes blocks [begin, begin + count) the window, cut at the end of the file.
  Status Load(uint64_t begin, uint64_t count);
  bool Has(uint64_t block) const { return block >= begin_ && block < begin_ + window_.size(); }
  const HashBlock& At(uint64_t block) const { return window_[block - begin_]; }
  // Whether the window shows if `hash` is in the list: it lies between the window's first and last.
  bool Covers(uint64_t hash) const {
    return !window_.empty() && window_.front().Hashes().front() <= hash &&
           hash <= window_.back().Hashes().back();
  }
  bool WindowHas(uint64_t hash) const;
  // The first block that can hold a hash of at least `first`; Blocks() if there is none.
  Result<uint64_t> Find(uint64_t first, uint64_t last);

 private:
  Status Verify(const HashBlock& block, uint64_t place) const;

  const int fd_;
  const uint64_t serial_;
  const uint64_t blocks_;
  uint64_t begin_ = 0;
  std::vector<HashBlock> window_;
};

Status Reader::Verify(const HashBlock& block, uint64_t place) const {
  uint32_t crc = Crc32c(0, BytesOf(block).substr(0, offsetof(HashBlock, crc)));
  const uint32_t zero = 0;
  crc = Crc32c(crc, std::string_view(reinterpret_cast<const char*>(&zero), sizeof(zero)));
  crc = Crc32c(crc, BytesOf(block).substr(offsetof(HashBlock, serial)));
  const bool good = crc == block.crc && block.magic == kMagic && block.serial == serial_ &&
                    block.block == place && block.blocks == blocks_ && block.count > 0 &&
                    block.count <= kHashesPerBlock;
  if (good) return Status();
  return Status(StatusCode::kCorruption, "block " + std::to_string(place) + " of hash list '" +
                                             HashListName(serial_) + "' fails its check");
}

Status Reader::Load(uint64_t begin, uint64_t count) {
  TERRACED_DCHECK(begin < blocks_);
  count = std::clamp<uint64_t>(count, 1, std::min(kWindowBlocksMax, blocks_ - begin));
  window_.resize(count);
  begin_ = begin;
  const std::span<char> bytes(reinterpret_cast<char*>(window_.data()), count * kHashBlockBytes);
  const Result<size_t> got = ReadAt(fd_, begin * kHashBlockBytes, bytes, HashListName(serial_));
  Status status = got.status();
  if (status.ok() && got.value() != bytes.size()) {
    status =
        Status(StatusCode::kCorruption, "hash list '" + HashListName(serial_) + "' was cut off");
  }
  for (uint64_t i = 0; status.ok() && i < count; ++i) status = Verify(window_[i], begin + i);
  if (!status.ok()) window_.clear();  // nothing unproven may be looked at
  return status;
}

bool Reader::WindowHas(uint64_t hash) const {
  const auto block = std::lower_bound(
      window_.begin(), window_.end(), hash,
      [](const HashBlock& candidate, uint64_t value) { return candidate.Hashes().back() < value; });
  if (block == window_.end()) return false;
  const std::span<const uint64_t> hashes = block->Hashes();
  return std::binary_search(hashes.begin(), hashes.end(), hash);
}

Result<uint64_t> Reader::Find(uint64_t first, uint64_t last) {
  // The guess with one block before it, and as many as the range is expected to take: mostly the
  // only read.
  const uint64_t guess = Scale(first, blocks_);
  const uint64_t begin = guess > 0 ? guess - 1 : 0;
  TERRACED_RETURN_IF_ERROR(Load(begin, Scale(last - first, blocks_) + 3));
  uint64_t low = 0;  // the answer lies in [low, high]
  uint64_t high = blocks_;
  if (window_.front().Hashes().front() < first) low = begin;
  if (window_.back().Hashes().back() >= first) high = begin + window_.size() - 1;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (!Has(middle)) TERRACED_RETURN_IF_ERROR(Load(middle, 1));
    if (At(middle).Hashes().back() >= first) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

struct OpenList {
  FileDescriptor fd;
  uint64_t blocks = 0;
};

Result<OpenList> OpenHashList(int hashes_fd, uint64_t serial) {
  const std::string name = HashListName(serial);
  OpenList list;
  TERRACED_ASSIGN_OR_RETURN(list.fd, OpenOwnFile(hashes_fd, name, O_RDONLY));
  TERRACED_ASSIGN_OR_RETURN(const uint64_t bytes, FileBytes(list.fd.Get(), name));
  if (bytes == 0 || bytes % kHashBlockBytes != 0) {
    return Status(StatusCode::kCorruption,
                  "hash list '" + name + "' is not a whole number of blocks");
  }
  list.blocks = bytes / kHashBlockBytes;
  return list;
}

// Loads a window for the first of `wanted`, as far ahead as the next ones are worth it.
Status LoadFor(std::span<const uint64_t> wanted, uint64_t blocks, Reader* reader) {
  size_t last = 0;
  while (last + 1 < wanted.size() &&
         Scale(wanted[last + 1] - wanted[last], blocks) <= kGapBlocksMax &&
         Scale(wanted[last + 1] - wanted.front(), blocks) < kWindowBlocksMax) {
    ++last;
  }
  TERRACED_ASSIGN_OR_RETURN(const uint64_t block, reader->Find(wanted.front(), wanted[last]));
  return block < blocks && !reader->Has(block) ? reader->Load(block, 1) : Status();
}

}  // namespace

std::string HashListName(uint64_t serial) {
  std::array<char, kSerialDigits + 3> name;
  std::snprintf(name.data(), name.size(), "%016lx.h", serial);
  return name.data();
}

std::optional<uint64_t> SerialOfHashListName(std::string_view name) {
  if (name.size() != kSerialDigits + 2 || !name.ends_with(".h")) return std::nullopt;
  uint64_t serial = 0;
  const char* const end = name.data() + kSerialDigits;
  const auto [at, error] = std::from_chars(name.data(), end, serial, 16);
  if (error != std::errc() || at != end || HashListName(serial) != name) return std::nullopt;
  return serial;
}

void SortHashes(std::span<uint64_t> hashes) {
  // One counting pass on the top bits leaves runs of a few hashes, which insertion in place
  // finishes.
  constexpr size_t kCountedFrom = 1024;
  constexpr size_t kHashesPerPoint = 4096;
  constexpr size_t kRunsPerPoint = 256;
  if (hashes.size() < kCountedFrom) {
    std::sort(hashes.begin(), hashes.end());
    return;
  }
  const int bits = std::min(static_cast<int>(std::bit_width(hashes.size() / 4)), 16);
  const int shift = 64 - bits;
  std::vector<uint32_t> starts((1U << bits) + 1, 0);
  for (size_t i = 0; i < hashes.size(); ++i) {
    if (i % kHashesPerPoint == 0) YieldPoint::Pass();
    ++starts[(hashes[i] >> shift) + 1];
  }
  for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
  std::vector<uint64_t> sorted(hashes.size());
  std::vector<uint32_t> next(starts.begin(), starts.end() - 1);
  for (size_t i = 0; i < hashes.size(); ++i) {
    if (i % kHashesPerPoint == 0) YieldPoint::Pass();
    sorted[next[hashes[i] >> shift]++] = hashes[i];
  }
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    if (i % kRunsPerPoint == 0) YieldPoint::Pass();
    std::sort(sorted.begin() + starts[i], sorted.begin() + starts[i + 1]);
  }
  std::copy(sorted.begin(), sorted.end(), hashes.begin());
}

Result<uint64_t> WriteHashList(int hashes_fd, uint64_t serial, std::span<const uint64_t> sorted) {
  TERRACED_CHECK(!sorted.empty());
  TERRACED_DCHECK(std::is_sorted(sorted.begin(), sorted.end()));
  const std::string name = HashListName(serial);
  TERRACED_ASSIGN_OR_RETURN(const FileDescriptor fd,
                            OpenOwnFile(hashes_fd, name, O_WRONLY | O_CREAT | O_EXCL));
  const uint64_t blocks = (sorted.size() + kHashesPerBlock - 1) / kHashesPerBlock;
  std::vector<HashBlock> window(std::min(blocks, kWindowBlocksMax));
  Status status;
  for (uint64_t begin = 0; status.ok() && begin < blocks; begin += window.size()) {
    YieldPoint::Pass();
    const uint64_t count = std::min<uint64_t>(window.size(), blocks - begin);
    for (uint64_t i = 0; i < count; ++i) {
      HashBlock& block = window[i];
      const std::span<const uint64_t> hashes =
          sorted.subspan(0, std::min(sorted.size(), kHashesPerBlock));
      sorted = sorted.subspan(hashes.size());
      block = HashBlock{.magic = kMagic,
                        .crc = 0,
                        .serial = serial,
                        .block = static_cast<uint32_t>(begin + i),
                        .blocks = static_cast<uint32_t>(blocks),
                        .count = static_cast<uint32_t>(hashes.size()),
                        .reserved = 0,
                        .hashes = {}};
      std::copy(hashes.begin(), hashes.end(), block.hashes.begin());
      block.crc = Crc32c(0, BytesOf(block));
    }
    status = WriteAt(fd.Get(), begin * kHashBlockBytes,
                     {reinterpret_cast<const char*>(window.data()), count * kHashBlockBytes}, name);
  }
  if (status.ok()) status = SyncFile(fd.Get(), name);
  if (status.ok()) return blocks * kHashBlockBytes;
  // Half a list would be refused by its own check; gone is better, and an error of this is of no
  // use.
  static_cast<void>(RemoveFile(hashes_fd, name).ok());
  return status;
}

Status VisitHashList(int hashes_fd, uint64_t serial, uint64_t first, uint64_t last,
                     const std::function<bool(std::span<const uint64_t>)>& visit) {
  if (first > last) return Status();
  TERRACED_ASSIGN_OR_RETURN(const OpenList list, OpenHashList(hashes_fd, serial));
  Reader reader(list.fd.Get(), serial, list.blocks);
  TERRACED_ASSIGN_OR_RETURN(const uint64_t begin, reader.Find(first, last));
  for (uint64_t block = begin; block < reader.Blocks(); ++block) {
    if (!reader.Has(block)) TERRACED_RETURN_IF_ERROR(reader.Load(block, kWindowBlocksMax));
    const std::span<const uint64_t> all = reader.At(block).Hashes();
    const auto from = std::lower_bound(all.begin(), all.end(), first);
    const auto to = std::upper_bound(from, all.end(), last);
    if (from != to && !visit({from, to})) return Status();
    if (to != all.end()) return Status();  // the next hash is past the range
  }
  return Status();
}

Result<uint64_t> CountMissingHashes(int hashes_fd, uint64_t serial,
                                    std::span<const uint64_t> wanted) {
  TERRACED_DCHECK(std::is_sorted(wanted.begin(), wanted.end()));
  TERRACED_ASSIGN_OR_RETURN(const OpenList list, OpenHashList(hashes_fd, serial));
  Reader reader(list.fd.Get(), serial, list.blocks);
  uint64_t missing = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!reader.Covers(wanted[i])) {
      TERRACED_RETURN_IF_ERROR(LoadFor(wanted.subspan(i), list.blocks, &reader));
    }
    if (!reader.WindowHas(wanted[i])) ++missing;
  }
  return missing;
}

}  // namespace terraced::storage
