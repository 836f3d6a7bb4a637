#include "storage/ram/arena_file.h"

#include <algorithm>

#include "storage/base/check.h"

namespace terraced::storage {
namespace {

constexpr uint64_t kMagic = 0x414e455241524554;  // "TERARENA"
constexpr uint32_t kVersion = 2;
constexpr size_t kClassesMax = 64;

}  // namespace

struct ArenaFile::Header {
  SharedFileHeader file;
  std::array<uint64_t, 4> hash_key;
  uint64_t start_count;
  uint32_t unit_shift;
  uint32_t classes;
  std::array<uint32_t, kClassesMax> chunk_bytes;
  std::atomic<uint32_t> generation;
  std::atomic<uint32_t> all_adopted;
  CasRunTable cas_runs;
  std::array<ArenaIndexRoot, kArenaShards> roots;
  std::array<std::atomic<uint8_t>, kArenaPagesMax> page_uses;
};

Result<std::unique_ptr<ArenaFile>> ArenaFile::Open(const std::string& path, uint64_t owner_id,
                                                   uint64_t bytes_max) {
  static_assert(sizeof(Header) <= uint64_t{kArenaHeaderPages} << 20);
  const SharedFileFormat format{"memory file", kMagic, kVersion, sizeof(Header)};
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<SharedFile> file,
                            SharedFile::Open(path, format, owner_id, bytes_max));
  // Somebody else's, named by mistake, would be emptied. A magic of 0 is a start's that was killed before it had one.
  TERRACED_ASSIGN_OR_RETURN(const uint64_t bytes, file->Bytes());
  const bool has_magic = bytes >= sizeof(kMagic);
  const uint64_t magic = has_magic ? file->Header().magic : 0;
  if (bytes != 0 && (!has_magic || (magic != kMagic && magic != 0))) {
    return Status(StatusCode::kInvalidArgument,
                  "'" + path + "' is no memory file; name one that does not exist");
  }
  return std::unique_ptr<ArenaFile>(new ArenaFile(std::move(file)));
}

Status ArenaFile::CheckLeft(uint64_t run_id, const HashKey* hash_key, const TimeStamp& now,
                            uint32_t max_downtime_s) {
  TERRACED_RETURN_IF_ERROR(file_->CheckLeft(run_id, now, max_downtime_s));
  if (hash_key != nullptr && hash_key->words != AsHeader().hash_key) {
    return Status(StatusCode::kCorruption, "the memory file has another hash key");
  }
  left_ = true;
  return Status();
}

bool ArenaFile::HasGeometry(uint32_t unit_shift, std::span<const uint32_t> chunk_bytes) {
  const Header& header = AsHeader();
  const bool same = header.unit_shift == unit_shift && header.classes == chunk_bytes.size() &&
                    std::equal(chunk_bytes.begin(), chunk_bytes.end(), header.chunk_bytes.begin());
  left_ = left_ && same;
  return same;
}

Status ArenaFile::Clear(const HashKey& hash_key) {
  left_ = false;
  TERRACED_RETURN_IF_ERROR(file_->Clear());
  AsHeader().hash_key = hash_key.words;
  SetAllAdopted();
  return Status();
}

void ArenaFile::SetGeometry(uint32_t unit_shift, std::span<const uint32_t> chunk_bytes) {
  TERRACED_CHECK(chunk_bytes.size() <= kClassesMax);
  Header& header = AsHeader();
  header.unit_shift = unit_shift;
  header.classes = static_cast<uint32_t>(chunk_bytes.size());
  std::copy(chunk_bytes.begin(), chunk_bytes.end(), header.chunk_bytes.begin());
}

HashKey ArenaFile::Key() const {
  return HashKey{AsHeader().hash_key};
}

uint64_t ArenaFile::StartCount() const {
  return AsHeader().start_count;
}

void ArenaFile::SetStartCount(uint64_t count) {
  AsHeader().start_count = count;
}

bool ArenaFile::Generation() const {
  return AsHeader().generation.load(std::memory_order_relaxed) != 0;
}

bool ArenaFile::AllAdopted() const {
  return AsHeader().all_adopted.load(std::memory_order_relaxed) != 0;
}

// In this order: killed in between, the next start takes no item for adopted that is not.
void ArenaFile::BeginGeneration(bool generation) {
  AsHeader().all_adopted.store(0, std::memory_order_release);
  AsHeader().generation.store(generation ? 1 : 0, std::memory_order_release);
}

void ArenaFile::SetAllAdopted() {
  AsHeader().all_adopted.store(1, std::memory_order_release);
}

std::atomic<uint8_t>& ArenaFile::PageUse(uint32_t page) const {
  TERRACED_DCHECK(page < kArenaPagesMax);
  return AsHeader().page_uses[page];
}

ArenaIndexRoot& ArenaFile::IndexRoot(uint32_t shard) const {
  return AsHeader().roots[shard];
}

CasRunTable& ArenaFile::CasTable() const {
  return AsHeader().cas_runs;
}

}  // namespace terraced::storage
