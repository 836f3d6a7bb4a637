#include "storage/flash/hot_list.h"

#include <fcntl.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>
#include <type_traits>

#include "storage/base/check.h"
#include "storage/base/hash.h"

namespace terraced::storage {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the file is little endian as it lies in memory");

constexpr uint64_t kMagic = 0x544f484352524554;  // "TERRCHOT"
constexpr size_t kKeyBytesMax = 255;

struct FileHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t features;  // bits a reader must know to understand the file; none are defined
  uint64_t directory_id;
  uint64_t run_id;
  uint64_t keys;
  uint64_t file_bytes;
  uint32_t reserved;
  uint32_t crc;  // of everything before it
};
static_assert(sizeof(FileHeader) == 56);
static_assert(std::has_unique_object_representations_v<FileHeader>);

struct BlockHeader {
  uint32_t bytes;  // behind this header
  uint32_t crc;    // of them
};
static_assert(sizeof(BlockHeader) == 8);

// The last key may pass the size at which a block is written.
constexpr size_t kBlockBytesMax = kHotBlockBytes + 1 + kKeyBytesMax;

template <typename T>
std::string_view BytesOf(const T& part) {
  return {reinterpret_cast<const char*>(&part), sizeof(part)};
}

uint32_t CrcOf(const FileHeader& header) {
  return Crc32c(0, BytesOf(header).substr(0, offsetof(FileHeader, crc)));
}

Status Corrupt(const std::string& name, const char* what) {
  return Status(StatusCode::kCorruption, "'" + name + "': " + what);
}

template <typename T>
Status ReadWhole(int fd, uint64_t offset, const std::string& name, T* part) {
  TERRACED_ASSIGN_OR_RETURN(
      const size_t got,
      ReadAt(fd, offset, std::span<char>(reinterpret_cast<char*>(part), sizeof(*part)), name));
  return got == sizeof(*part) ? Status() : Corrupt(name, "was cut off");
}

}  // namespace

HotListWriter::HotListWriter(FileDescriptor directory, const std::string& name, FileDescriptor fd)
    : directory_(std::move(directory)),
      name_(name),
      fd_(std::move(fd)),
      offset_(sizeof(FileHeader)) {}

HotListWriter::~HotListWriter() {
  if (!finished_) static_cast<void>(RemoveFile(directory_.Get(), TemporaryName(name_)).ok());
}

Result<std::unique_ptr<HotListWriter>> HotListWriter::Create(int directory_fd,
                                                             const std::string& name) {
  TERRACED_ASSIGN_OR_RETURN(FileDescriptor fd, OpenOwnFile(directory_fd, TemporaryName(name),
                                                           O_WRONLY | O_CREAT | O_TRUNC));
  FileDescriptor directory(::fcntl(directory_fd, F_DUPFD_CLOEXEC, 0));
  if (directory.Get() < 0) return Status::FromErrno("hold the flash directory", errno);
  return std::unique_ptr<HotListWriter>(
      new HotListWriter(std::move(directory), name, std::move(fd)));
}

Status HotListWriter::Add(const HotKey& key) {
  TERRACED_CHECK(!key.key.empty() && key.key.size() <= kKeyBytesMax);
  const auto segment = static_cast<char>(key.segment);
  if (!block_.empty() && (block_.front() != segment || block_.size() >= kHotBlockBytes)) {
    TERRACED_RETURN_IF_ERROR(WriteBlock());
  }
  if (block_.empty()) block_.push_back(segment);
  block_.push_back(static_cast<char>(key.key.size()));
  block_.append(key.key);
  ++keys_;
  return Status();
}

Status HotListWriter::WriteBlock() {
  const BlockHeader header = {.bytes = static_cast<uint32_t>(block_.size()),
                              .crc = Crc32c(0, block_)};
  TERRACED_RETURN_IF_ERROR(WriteAt(fd_.Get(), offset_, BytesOf(header), TemporaryName(name_)));
  offset_ += sizeof(header);
  TERRACED_RETURN_IF_ERROR(WriteAt(fd_.Get(), offset_, block_, TemporaryName(name_)));
  offset_ += block_.size();
  block_.clear();
  return Status();
}

Status HotListWriter::Finish(const IndexIdentity& identity) {
  if (!block_.empty()) TERRACED_RETURN_IF_ERROR(WriteBlock());
  FileHeader header = {};
  header.magic = kMagic;
  header.version = kHotListVersion;
  header.directory_id = identity.directory_id;
  header.run_id = identity.run_id;
  header.keys = keys_;
  header.file_bytes = offset_;
  header.crc = CrcOf(header);
  const std::string temporary = TemporaryName(name_);
  TERRACED_RETURN_IF_ERROR(WriteAt(fd_.Get(), 0, BytesOf(header), temporary));
  TERRACED_RETURN_IF_ERROR(SyncFile(fd_.Get(), temporary));
  TERRACED_RETURN_IF_ERROR(RenameInto(directory_.Get(), temporary, name_));
  finished_ = true;
  return Status();
}

HotListReader::HotListReader(std::string name, FileDescriptor fd, uint64_t file_bytes,
                             uint64_t keys)
    : name_(std::move(name)),
      fd_(std::move(fd)),
      file_bytes_(file_bytes),
      keys_(keys),
      offset_(sizeof(FileHeader)) {}

Result<std::unique_ptr<HotListReader>> HotListReader::Open(int directory_fd,
                                                           const std::string& name,
                                                           const IndexIdentity& expected) {
  TERRACED_ASSIGN_OR_RETURN(FileDescriptor fd, OpenOwnFile(directory_fd, name, O_RDONLY));
  FileHeader header = {};
  TERRACED_RETURN_IF_ERROR(ReadWhole(fd.Get(), 0, name, &header));
  if (header.magic != kMagic) return Corrupt(name, "is no hot list");
  if (header.version != kHotListVersion) return Corrupt(name, "is of an unknown version");
  if (header.crc != CrcOf(header)) return Corrupt(name, "its header fails its check");
  if (header.features != 0) return Corrupt(name, "needs features that this version does not have");
  if (header.directory_id != expected.directory_id)
    return Corrupt(name, "belongs to another directory");
  if (header.run_id != expected.run_id) return Corrupt(name, "belongs to another run");
  TERRACED_ASSIGN_OR_RETURN(const uint64_t file_bytes, FileBytes(fd.Get(), name));
  if (file_bytes != header.file_bytes) return Corrupt(name, "has another length than it says");
  return std::unique_ptr<HotListReader>(
      new HotListReader(name, std::move(fd), file_bytes, header.keys));
}

Status HotListReader::ReadBlock() {
  BlockHeader header = {};
  TERRACED_RETURN_IF_ERROR(ReadWhole(fd_.Get(), offset_, name_, &header));
  offset_ += sizeof(header);
  if (header.bytes == 0 || header.bytes > kBlockBytesMax)
    return Corrupt(name_, "a block has a length that cannot be");
  block_.resize(header.bytes);
  TERRACED_ASSIGN_OR_RETURN(
      const size_t got,
      ReadAt(fd_.Get(), offset_, std::span<char>(block_.data(), block_.size()), name_));
  if (got != block_.size()) return Corrupt(name_, "was cut off");
  if (header.crc != Crc32c(0, block_)) return Corrupt(name_, "a block fails its check");
  offset_ += block_.size();
  rest_ = std::string_view(block_).substr(1);
  return Status();
}

Result<bool> HotListReader::Next(HotKey* key) {
  while (rest_.empty()) {
    if (offset_ >= file_bytes_) return false;
    const Status read = ReadBlock();
    if (read.ok()) continue;
    offset_ = file_bytes_;
    return read;
  }
  const size_t length = static_cast<uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  if (length == 0 || length > rest_.size()) {
    rest_ = {};
    offset_ = file_bytes_;
    return Corrupt(name_, "a key has a length that cannot be");
  }
  *key = {.segment = static_cast<uint8_t>(block_.front()), .key = rest_.substr(0, length)};
  rest_.remove_prefix(length);
  return true;
}

}  // namespace terraced::storage
