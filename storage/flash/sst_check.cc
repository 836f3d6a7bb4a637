#include "storage/flash/sst_check.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "storage/base/file_io.h"

namespace terraced::storage {
namespace {

// The footer of format versions 1 to 5: a byte that names the check sum, two handles in 40 bytes, version and magic.
constexpr size_t kFooterBytes = 53;
constexpr size_t kHandlesBytes = 40;
// Behind each block: how it is compressed, and its check sum.
constexpr size_t kTrailerBytes = 5;
constexpr char kNotCompressed = 0;
constexpr std::string_view kPropertiesName = "rocksdb.properties";
// What RocksDB's reader of entries takes for granted.
constexpr size_t kEntryBytesMin = 3;
// Ours are some hundred bytes and a kilobyte.
constexpr uint64_t kBlockBytesMax = 1U << 20;

struct Handle {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

std::optional<uint64_t> TakeVarint(std::string_view* from) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !from->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(from->front());
    from->remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

std::optional<Handle> TakeHandle(std::string_view* from) {
  const std::optional<uint64_t> offset = TakeVarint(from);
  const std::optional<uint64_t> bytes = offset ? TakeVarint(from) : std::nullopt;
  if (!bytes) return std::nullopt;
  return Handle{*offset, *bytes};
}

uint32_t LastWord(std::string_view block) {
  uint32_t word = 0;
  std::memcpy(&word, block.data() + block.size() - sizeof(word), sizeof(word));
  return word;
}

// The entries of a block: all but its restarts; nullopt where there cannot be so many.
std::optional<std::string_view> EntriesOf(std::string_view block) {
  if (block.size() < sizeof(uint32_t)) return std::nullopt;
  // A set upper bit says that an index of hashes follows the entries; these blocks have none.
  const uint64_t restarts = LastWord(block);
  const uint64_t restart_bytes = (restarts + 1) * sizeof(uint32_t);
  if (restarts == 0 || restart_bytes > block.size()) return std::nullopt;
  return block.substr(0, block.size() - restart_bytes);
}

// One after the other to `visit`(key's own part, value); false: they do not fill the block exactly.
template <typename Visit>
bool VisitEntries(std::string_view block, const Visit& visit) {
  const std::optional<std::string_view> entries = EntriesOf(block);
  if (!entries) return false;
  std::string_view left = *entries;
  uint64_t key_bytes = 0;
  while (!left.empty()) {
    if (left.size() < kEntryBytesMin) return false;
    const std::optional<uint64_t> shared = TakeVarint(&left);
    const std::optional<uint64_t> own = shared ? TakeVarint(&left) : std::nullopt;
    const std::optional<uint64_t> value_bytes = own ? TakeVarint(&left) : std::nullopt;
    if (!value_bytes || *shared > key_bytes || *own > left.size()) return false;
    if (*value_bytes > left.size() - *own) return false;
    key_bytes = *shared + *own;
    visit(left.substr(0, *own), left.substr(*own, *value_bytes));
    left.remove_prefix(*own + *value_bytes);
  }
  return true;
}

// Restarts point into the entries.
bool RestartsAddUp(std::string_view block, std::string_view entries) {
  for (size_t at = entries.size(); at + sizeof(uint32_t) < block.size(); at += sizeof(uint32_t)) {
    uint32_t restart = 0;
    std::memcpy(&restart, block.data() + at, sizeof(restart));
    if (restart > entries.size()) return false;
  }
  return true;
}

Status Damaged(const std::string& path, std::string_view what) {
  return Status(StatusCode::kCorruption,
                "'" + path + "': its " + std::string(what) + " is damaged");
}

// The block and how it is compressed.
Result<std::string> ReadBlock(int fd, const std::string& path, const Handle& handle,
                              uint64_t file_bytes) {
  if (handle.bytes > kBlockBytesMax || handle.offset > file_bytes ||
      handle.bytes + kTrailerBytes > file_bytes - handle.offset) {
    return Damaged(path, "footer");
  }
  std::string block(handle.bytes + 1, '\0');
  TERRACED_ASSIGN_OR_RETURN(const size_t got,
                            ReadAt(fd, handle.offset, {block.data(), block.size()}, path));
  if (got < block.size()) return Damaged(path, "length");
  return block;
}

}  // namespace

bool AddsUpAsProperties(std::string_view block) {
  if (!VisitEntries(block, [](std::string_view, std::string_view) {})) return false;
  return RestartsAddUp(block, *EntriesOf(block));
}

Status CheckSst(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.Get() < 0) return Status::FromErrno("open '" + path + "'", errno);
  TERRACED_ASSIGN_OR_RETURN(const uint64_t file_bytes, FileBytes(file.Get(), path));
  if (file_bytes < kFooterBytes) return Damaged(path, "length");
  std::string footer(kFooterBytes, '\0');
  TERRACED_ASSIGN_OR_RETURN(const size_t got, ReadAt(file.Get(), file_bytes - kFooterBytes,
                                                     {footer.data(), footer.size()}, path));
  if (got < kFooterBytes) return Damaged(path, "length");
  std::string_view handles = std::string_view(footer).substr(1, kHandlesBytes);
  const std::optional<Handle> metaindex = TakeHandle(&handles);
  const std::optional<Handle> index = metaindex ? TakeHandle(&handles) : std::nullopt;
  // RocksDB takes memory for as many bytes as it says here.
  if (!index || index->bytes > file_bytes) return Damaged(path, "footer");

  TERRACED_ASSIGN_OR_RETURN(const std::string names,
                            ReadBlock(file.Get(), path, *metaindex, file_bytes));
  if (names.back() != kNotCompressed) return Status();  // RocksDB checks this one first
  std::optional<Handle> properties;
  static_cast<void>(VisitEntries(std::string_view(names).substr(0, names.size() - 1),
                                 [&](std::string_view name, std::string_view value) {
                                   if (name == kPropertiesName) properties = TakeHandle(&value);
                                 }));
  if (!properties) return Status();  // likewise
  TERRACED_ASSIGN_OR_RETURN(const std::string block,
                            ReadBlock(file.Get(), path, *properties, file_bytes));
  if (block.back() != kNotCompressed ||
      !AddsUpAsProperties(std::string_view(block).substr(0, block.size() - 1))) {
    return Damaged(path, "block of properties");
  }
  return Status();
}

}  // namespace terraced::storage
