// HotListWarmer: brings the keys that the last clean stop found in RAM back there, hottest first, behind clients: one
// thread that stands back unless it falls behind its pace (WarmPace), reads no more than `flash_warm_rate` bytes a
// second, rests while clients' reads queue, and leaves the demoter its reserve of chunks. What it warms goes to the end
// of its list of the LRU: whatever a client has used since the start is hotter.
// WriteHotList: the other side of it, at a clean stop.
// Threads: Begin, Start, Join and AppendRest by the owner; Stats by any; the work is on its own thread, or on the
// caller's of Step() where none was started.
// Ownership: borrows tiers and reader. Errors: a damaged list or an error of the disk ends it, with one line.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/flash/hot_list.h"
#include "tiering/background_thread.h"
#include "tiering/flash_reader.h"
#include "tiering/thread_priority.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

enum class HotListState : uint8_t { kNone, kOff, kWarming, kDone, kRamFull, kFailed };
std::string_view HotListStateText(HotListState state);

struct HotListStats {
  HotListState state = HotListState::kNone;
  uint64_t keys = 0;    // in the list
  uint64_t seen = 0;    // of them so far
  uint64_t warmed = 0;  // moved to RAM; the others were there, or are gone
};

// How far the warmer is behind what busy cores may cost it, 100 us of waiting for one a key: ten million keys take 17
// minutes more, where those that take only what is left over may take days. Time of the disk does not count.
// Threads: one.
class WarmPace {
 public:
  static constexpr uint64_t kUsPerKey = 100;
  // Behind by so much it is late, until it has caught up.
  static constexpr uint64_t kLateUs = 100'000;

  // For that many keys it was without a core for so long. Returns whether it is late.
  bool Note(uint64_t keys, uint64_t away_us);

 private:
  uint64_t behind_us_ = 0;
  bool late_ = false;
};

class HotListWarmer {
 public:
  enum class Answer : uint8_t { kWarmed, kInRam, kNeedsFlash, kGone, kNoRoom, kReadFailed };
  // Tries to link the key's record in that segment; kNeedsFlash: the evidence names what is to be read.
  using WarmOne = std::function<Answer(const Key&, storage::LruSegment, Evidence*)>;

  HotListWarmer(const Tiers& tiers, FlashReader& reader, WarmOne warm_one);
  ~HotListWarmer() { Join(); }

  void Begin(std::unique_ptr<storage::HotListReader> list);
  Status Start();
  void Join() { thread_.Join(); }
  // The next few keys; false: that was all.
  bool Step();
  // What it has not come to yet and is on flash only, until the list has `keys_max` keys or `stop` answers true.
  Status AppendRest(uint64_t keys_max, const std::function<bool()>& stop,
                    storage::HotListWriter* to);
  HotListStats Stats() const;

 private:
  // A key of the window, on its way.
  struct Candidate {
    storage::LruSegment segment;
    std::string bytes;
    uint64_t hash = 0;
    Evidence evidence;
    std::shared_ptr<Fill> fill;  // null: nothing to be read
    bool read = false;

    Key AsKey() const { return {.bytes = bytes, .hash = hash}; }
  };

  std::chrono::milliseconds Round();
  // Comes forward where it has waited for a core for too long.
  void KeepPace();
  // How long it has to rest for what it has read.
  std::chrono::milliseconds RestDue(uint64_t rate);
  bool ClientsWait();
  void FillWindow();
  bool NextKey(storage::HotKey* key);
  // Reads candidates in the order of the files, until they are many bytes.
  void ReadSome();
  // Of those that were read; they leave the window.
  void WarmSome();
  void Note(Answer answer);
  void End(HotListState state);

  const Tiers& tiers_;
  FlashReader& reader_;
  const WarmOne warm_one_;

  // The thread's; Step()'s caller's where there is none.
  std::unique_ptr<storage::HotListReader> list_;
  std::vector<Candidate> window_;  // in the order of the list
  uint64_t owed_bytes_ = 0;        // read, and the time for it at the rate has not passed yet
  uint64_t paid_at_us_ = 0;        // when some of it was last taken off
  uint32_t stood_back_ = 0;        // rounds in a row for clients
  uint32_t without_room_ = 0;      // keys in a row
  WarmPace pace_;
  uint64_t paced_keys_ = 0;     // what pace_ was told of seen_
  uint64_t paced_away_us_ = 0;  // and of YieldPoint::AwayUs()
  YieldingThread priority_;

  // Self-synchronised.
  std::atomic<HotListState> state_{HotListState::kNone};
  std::atomic<uint64_t> keys_{0};
  std::atomic<uint64_t> seen_{0};
  std::atomic<uint64_t> warmed_{0};

  BackgroundThread thread_;
};

// The keys of RAM, hottest first, until `stop` answers true. No command may be running.
Status WriteHotList(const Tiers& tiers, const std::function<bool()>& stop,
                    storage::HotListWriter* list);

}  // namespace terraced::tiering
