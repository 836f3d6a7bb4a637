// EventSink: where the cache tells what happens in it, for those who watch (src/watch); the seam that keeps sockets and
// lines out of this layer. An Event is plain data of its caller's stack: what it says is copied in Note() or lost.
// Threads: any; Note() is called under shard mutexes, so it neither blocks nor does I/O: a bounded copy, or a drop.
// Ownership: the sink outlives the cache that was made with it; text is borrowed for the call.
// Errors: none.
// Sizes: while nobody watches a critical section costs one relaxed load and what is not taken of a branch.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace terraced::tiering {

// What can be asked for: the words of the watch command that have events.
enum EventClass : uint32_t {
  kFetchers = 1U << 0,
  kMutations = 1U << 1,
  kEvictions = 1U << 2,  // and what else goes from one tier to the other
  kConnEvents = 1U << 3,
  kDeletions = 1U << 4,
  kSysEvents = 1U << 5,
};

// What an event says beside its text, in the order of its numbers.
enum class EventType : uint8_t {
  kItemGet,            // key; FetchStatus, slab class, bytes
  kItemStore,          // key; Outcome, StoreMode, seconds to live, slab class, bytes
  kDeleted,            // key; whether by md, slab class, bytes
  kEviction,           // key; whether fetched, seconds to live, idle seconds, slab class, bytes
  kExtWrite,           // key; whether fetched, seconds to live, idle seconds, slab class, batch
  kFlashPromotion,     // key; slab class, bytes, batch
  kFlashBatchWritten,  // batch, items, bytes
  kFlashBatchDropped,  // batch, items lost, bytes
  kFlashOffline,       // why
  kFlashOnline,        // seconds that it was offline
  kLruCrawler,         // seconds, items examined, items reclaimed
  kSlabMove,           // slab class that gave a page, slab class that has it
  kConnNew,            // address; port, transport, descriptor
  kConnClose,          // address; port, transport, reason, descriptor
  kCount
};
enum class FetchStatus : uint8_t { kNotFound, kFound, kFlushed, kExpired };

constexpr size_t kEventTextBytesMax = 250;  // a key; what is longer is cut
constexpr size_t kEventNumbersMax = 5;

struct Event {
  EventType type;
  std::string_view text;
  std::array<int64_t, kEventNumbersMax> numbers{};
};

class EventSink {
 public:
  // Classes that somebody watches.
  uint32_t Wanted() const { return wanted_.load(std::memory_order_relaxed); }
  bool Wants(uint32_t classes) const { return (Wanted() & classes) != 0; }
  // To be called only where its class is wanted: it costs more than asking.
  virtual void Note(const Event& event) = 0;

 protected:
  ~EventSink() = default;
  std::atomic<uint32_t> wanted_{0};
};

// Of a cache that nobody can watch.
EventSink& NoEvents();

// As watchers are shown it: what is left, -1 for ever, 0 for what is over.
inline int64_t SecondsToLive(uint32_t exptime_s, uint32_t now_s) {
  if (exptime_s == 0) return -1;
  return exptime_s > now_s ? exptime_s - now_s : 0;
}

}  // namespace terraced::tiering
