// Administration: what memcached's administration commands ask of the cache: settings of LRU, crawler and page mover,
// the memory limit, lists of keys.
// Threads: any. Nothing here waits for a disk or for a background thread; what takes long is begun, or asked for piece
// by piece.
// Ownership: belongs to the cache. A DumpPiece and the completion belong to whoever asks, until the completion has run.
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/executor.h"
#include "storage/base/status.h"
#include "storage/ram/slab_options.h"
#include "tiering/admin_settings.h"

namespace terraced::tiering {

enum class ReassignResult : uint8_t { kOk, kBusy, kBadClass, kNoSpare, kSame };
constexpr int kAnySlabClass = -1;  // as the source of a page
constexpr int kPagePool = 0;       // pages of no class

// Which keys a dump lists.
struct DumpScope {
  std::bitset<storage::kSlabClassesMax> classes;
  bool keys_only = false;  // for whoever writes it: the format of mgdump
};

struct DumpedItem {
  uint32_t key_at = 0;  // in DumpPiece::keys
  uint8_t key_bytes = 0;
  storage::SlabClass slab_class = storage::kNoSlabClass;
  bool fetched = false;
  bool binary_key = false;
  uint32_t exptime_s = 0;
  uint32_t last_access_s = 0;
  uint64_t cas_unique = 0;
  uint64_t size_bytes = 0;  // header, key and value, as if it were in RAM
  uint64_t serial = 0;      // of its batch, where it was found on flash; 0: in RAM
};

struct DumpPiece {
  std::string keys;
  std::vector<DumpedItem> items;  // may be none, though more follow
  bool keys_only = false;
  bool last = false;
};

class Administration {
 public:
  virtual AdminSettings& Settings() = 0;

  // A walk of the crawler begins soon; false: one is under way.
  virtual bool StartCrawl() = 0;
  // kOk: a page moves soon. Classes are numbers, kAnySlabClass or kPagePool.
  virtual ReassignResult ReassignPage(int from, int to) = 0;
  // kInvalidArgument: not with these options (-e, -L), or more than there is address space for. What is above a lowered
  // limit is moved to flash or evicted in the background.
  virtual Status SetMemoryLimit(uint64_t limit_bytes) = 0;

  // `stats sizes`: bytes, and how many items in RAM are that large.
  virtual void TrackSizes(bool on) = 0;
  virtual bool TracksSizes() const = 0;
  virtual std::map<uint64_t, uint64_t> Sizes() const = 0;
  // Items of a class's COLD segment, hottest first in each shard; visit returns false to stop. Under a shard mutex.
  using VisitCold =
      std::function<bool(std::string_view key, uint32_t value_bytes, uint32_t exptime_s)>;
  virtual void ListCold(storage::SlabClass slab_class, const VisitCold& visit) = 0;

  // A list of all keys in both tiers, in pieces. One at a time; false: there is one. Each key that is there during the
  // whole dump is listed, unless it changes meanwhile or its batch is dropped; none twice, and none that was gone by
  // then.
  virtual bool BeginDump(const DumpScope& scope) = 0;
  // The next piece; `done` is posted when it is there. Not again before that, and not after the last.
  virtual void NextDumpPiece(DumpPiece* piece, Executor& executor, Completion* done) = 0;
  // By whoever began it, whether it saw the last piece or not, while none is under way.
  virtual void EndDump() = 0;

 protected:
  ~Administration() = default;
};

}  // namespace terraced::tiering
