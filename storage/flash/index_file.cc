#include "storage/flash/index_file.h"

#include <fcntl.h>

#include <array>
#include <bit>
#include <cstring>
#include <type_traits>
#include <vector>

#include "storage/base/file_io.h"
#include "storage/base/hash.h"

namespace terraced::storage {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the file is little endian as it lies in memory");

constexpr uint64_t kMagic = 0x5844494352524554;  // "TERRCIDX"
constexpr size_t kReservedBytes = 40;
// A partition of 2^26 slots would be an index of 64 GiB: nothing larger is believed.
constexpr uint64_t kPartitionBytesMax = 1ULL << 28;

struct FileHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;  // of the whole header section, its CRC included
  uint64_t features;      // bits a reader must know to understand the file; none are defined
  uint64_t run_id;
  uint64_t directory_id;
  uint32_t batches;
  uint32_t partitions;
  std::array<char, kReservedBytes> reserved;
};
static_assert(sizeof(FileHeader) == 88);
static_assert(std::has_unique_object_representations_v<FileHeader>);

struct FileBatch {
  uint64_t serial;
  uint64_t epoch;
  uint64_t file_bytes;
  uint64_t record_count;
  uint64_t raw_bytes;
  uint32_t created_s;
  uint32_t number;
};
static_assert(sizeof(FileBatch) == 48);
static_assert(std::has_unique_object_representations_v<FileBatch>);

struct FilePartition {
  uint64_t offset;
  uint64_t bytes;
  uint32_t crc;
  uint32_t reserved;
};
static_assert(sizeof(FilePartition) == 24);
static_assert(std::has_unique_object_representations_v<FilePartition>);

size_t HeaderBytes(size_t batches) {
  return sizeof(FileHeader) + batches * sizeof(FileBatch) + kPartitions * sizeof(FilePartition) +
         sizeof(uint32_t);
}

Status Corrupt(const std::string& name, const char* what) {
  return Status(StatusCode::kCorruption, "'" + name + "': " + what);
}

template <typename T>
void Append(const T& part, std::string* to) {
  to->append(reinterpret_cast<const char*>(&part), sizeof(part));
}

// A header section that has passed its CRC.
struct ProvenHeader {
  FileHeader file = {};
  std::vector<FileBatch> batches;
  std::array<FilePartition, kPartitions> partitions = {};
};

std::string EncodeHeader(const IndexIdentity& identity, const BatchTable& batches,
                         const std::array<FilePartition, kPartitions>& partitions) {
  const std::vector<BatchNumber> living = batches.Living();
  FileHeader file = {};
  file.magic = kMagic;
  file.version = kIndexFileVersion;
  file.header_bytes = static_cast<uint32_t>(HeaderBytes(living.size()));
  file.run_id = identity.run_id;
  file.directory_id = identity.directory_id;
  file.batches = static_cast<uint32_t>(living.size());
  file.partitions = kPartitions;
  std::string bytes;
  bytes.reserve(file.header_bytes);
  Append(file, &bytes);
  for (const BatchNumber number : living) {
    const BatchInfo& info = batches.Info(number);
    Append(FileBatch{.serial = info.serial,
                     .epoch = info.epoch,
                     .file_bytes = info.file_bytes,
                     .record_count = info.record_count,
                     .raw_bytes = info.raw_bytes,
                     .created_s = info.created_s,
                     .number = number},
           &bytes);
  }
  Append(partitions, &bytes);
  Append(Crc32c(0, bytes), &bytes);
  return bytes;
}

// The fixed part, as far as it can be believed before the CRC of the section was seen.
Result<FileHeader> ReadFixedHeader(int fd, const std::string& name) {
  FileHeader file = {};
  TERRACED_ASSIGN_OR_RETURN(
      const size_t got,
      ReadAt(fd, 0, std::span<char>(reinterpret_cast<char*>(&file), sizeof(file)), name));
  if (got != sizeof(file) || file.magic != kMagic) return Corrupt(name, "is no index file");
  if (file.version != kIndexFileVersion) return Corrupt(name, "is of an unknown version");
  if (file.features != 0) return Corrupt(name, "needs features that this version does not have");
  if (file.partitions != kPartitions) return Corrupt(name, "has another number of partitions");
  if (file.batches > kBatchesMax) return Corrupt(name, "has more batches than there can be");
  if (file.header_bytes != HeaderBytes(file.batches))
    return Corrupt(name, "has a header of the wrong length");
  return file;
}

Result<ProvenHeader> ReadHeader(int fd, const std::string& name) {
  ProvenHeader header;
  TERRACED_ASSIGN_OR_RETURN(header.file, ReadFixedHeader(fd, name));
  std::string bytes(header.file.header_bytes, '\0');
  TERRACED_ASSIGN_OR_RETURN(const size_t got,
                            ReadAt(fd, 0, std::span<char>(bytes.data(), bytes.size()), name));
  if (got != bytes.size()) return Corrupt(name, "was cut off");
  const size_t covered = bytes.size() - sizeof(uint32_t);
  uint32_t crc = 0;
  std::memcpy(&crc, bytes.data() + covered, sizeof(crc));
  if (crc != Crc32c(0, std::string_view(bytes).substr(0, covered)))
    return Corrupt(name, "its header fails its check");
  std::string_view rest = std::string_view(bytes).substr(sizeof(FileHeader));
  for (uint32_t i = 0; i < header.file.batches; ++i) {
    std::memcpy(&header.batches.emplace_back(), rest.data(), sizeof(FileBatch));
    rest.remove_prefix(sizeof(FileBatch));
  }
  std::memcpy(header.partitions.data(), rest.data(), sizeof(header.partitions));
  return header;
}

// Every number and every serial once, serials rising: what BatchTable::Restore() takes for granted.
Status RestoreBatches(const std::vector<FileBatch>& batches, const std::string& name,
                      BatchTable* table) {
  std::vector<bool> taken(kBatchNumbers, false);
  uint64_t previous = kNoSerial;
  for (const FileBatch& batch : batches) {
    if (batch.number == kNoBatch || batch.number >= kBatchNumbers || taken[batch.number]) {
      return Corrupt(name, "a batch has a number that cannot be");
    }
    if (batch.serial <= previous) return Corrupt(name, "its serials do not rise");
    taken[batch.number] = true;
    previous = batch.serial;
    // The slots are counted as the partitions are loaded.
    table->Restore(BatchInfo{.serial = batch.serial,
                             .epoch = batch.epoch,
                             .file_bytes = batch.file_bytes,
                             .record_count = batch.record_count,
                             .raw_bytes = batch.raw_bytes,
                             .created_s = batch.created_s,
                             .number = static_cast<BatchNumber>(batch.number)},
                   /*live=*/0);
  }
  return Status();
}

Status ReadPartition(int fd, const std::string& name, const FilePartition& where,
                     std::string* bytes) {
  if (where.bytes > kPartitionBytesMax)
    return Corrupt(name, "a partition is longer than it can be");
  TERRACED_ASSIGN_OR_RETURN(const uint64_t file_bytes, FileBytes(fd, name));
  if (where.offset > file_bytes || where.bytes > file_bytes - where.offset)
    return Corrupt(name, "was cut off");
  bytes->resize(where.bytes);
  TERRACED_ASSIGN_OR_RETURN(
      const size_t got,
      ReadAt(fd, where.offset, std::span<char>(bytes->data(), bytes->size()), name));
  if (got != bytes->size() || Crc32c(0, *bytes) != where.crc)
    return Corrupt(name, "a partition fails its check");
  return Status();
}

}  // namespace

Status WriteIndexFile(int directory_fd, const std::string& name, const IndexIdentity& identity,
                      const BatchTable& batches, const FlashIndex& index) {
  const std::string temporary = TemporaryName(name);
  {
    TERRACED_ASSIGN_OR_RETURN(const FileDescriptor fd,
                              OpenOwnFile(directory_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC));
    std::array<FilePartition, kPartitions> partitions = {};
    uint64_t offset = HeaderBytes(batches.Living().size());
    std::string bytes;
    for (Partition partition = 0; partition < kPartitions; ++partition) {
      bytes.clear();
      index.SavePartition(partition, &bytes);
      partitions[partition] = {
          .offset = offset, .bytes = bytes.size(), .crc = Crc32c(0, bytes), .reserved = 0};
      TERRACED_RETURN_IF_ERROR(WriteAt(fd.Get(), offset, bytes, temporary));
      offset += bytes.size();
    }
    TERRACED_RETURN_IF_ERROR(
        WriteAt(fd.Get(), 0, EncodeHeader(identity, batches, partitions), temporary));
    TERRACED_RETURN_IF_ERROR(SyncFile(fd.Get(), temporary));
  }
  return RenameInto(directory_fd, temporary, name);
}

Result<IndexIdentity> ReadIndexIdentity(int directory_fd, const std::string& name) {
  TERRACED_ASSIGN_OR_RETURN(const FileDescriptor fd, OpenOwnFile(directory_fd, name, O_RDONLY));
  TERRACED_ASSIGN_OR_RETURN(const ProvenHeader header, ReadHeader(fd.Get(), name));
  return IndexIdentity{.directory_id = header.file.directory_id, .run_id = header.file.run_id};
}

Status ReadIndexFile(int directory_fd, const std::string& name, const IndexIdentity& expected,
                     BatchTable* batches, FlashIndex* index) {
  TERRACED_ASSIGN_OR_RETURN(const FileDescriptor fd, OpenOwnFile(directory_fd, name, O_RDONLY));
  TERRACED_ASSIGN_OR_RETURN(const ProvenHeader header, ReadHeader(fd.Get(), name));
  if (header.file.directory_id != expected.directory_id)
    return Corrupt(name, "belongs to another directory");
  if (header.file.run_id != expected.run_id) return Corrupt(name, "belongs to another run");
  TERRACED_RETURN_IF_ERROR(RestoreBatches(header.batches, name, batches));
  std::string bytes;
  for (Partition partition = 0; partition < kPartitions; ++partition) {
    TERRACED_RETURN_IF_ERROR(ReadPartition(fd.Get(), name, header.partitions[partition], &bytes));
    TERRACED_RETURN_IF_ERROR(index->LoadPartition(partition, bytes).WithContext("'" + name + "'"));
  }
  return Status();
}

}  // namespace terraced::storage
