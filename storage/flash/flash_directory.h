// FlashDirectory: the directory of the flash tier and what must survive in it besides the batches.
//   LOCK     flock()ed for the life of the process; holds the pid
//   FORMAT   version of everything below; an unknown one refuses to start and empties nothing
//   STATE    start count, directory id, run ids, flush epoch, pending flush, hash key (replaced atomically, fsynced)
//   CLEAN    the clean mark: there only after a clean stop, names the run id whose INDEX is whole
//   INDEX    batch table and flash index of the clean stop, checksummed by partition
//   HOT      the keys that were in RAM at that stop: a hint of what to bring back (hot_list.h)
//   OPENING  mark set before RocksDB is opened, removed after the first clean minute: found after two starts in a
//            row that died opening it or by a fatal signal, the tier is moved aside instead of crashing every time
//   db/ hashes/ staging/   RocksDB, hash lists, files being built
// Other names: aside/ (the tier moved aside), <name>.new (a file being replaced). lost+found is let
// be. Threads: start-up and stop; meanwhile WriteState and ClearOpening by one thread, Restore by another. Ownership: the lock goes with
// the object, or with the process however it ends. Errors: one Status that names the path and what
// would be right.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "storage/base/file_io.h"
#include "storage/base/hash.h"
#include "storage/base/mutex.h"
#include "storage/base/status.h"
#include "storage/flash/flash_index.h"
#include "storage/flash/hot_list.h"

namespace terraced::storage {

constexpr uint32_t kFlashFormatVersion = 1;
constexpr char kFlashFormatName[] = "FORMAT";  // a directory without it is none of ours

// The count of starts is the upper part of serials (start_count << 24 | counter) and of CAS uniques
// (start_count << 40 | counter), so it stays under 2^24. A directory without a readable STATE
// begins at the minutes since kStartCountEpochS: whoever starts less than once a minute never gets
// there by counting, so no number that was ever handed out comes again. The clock is taken up to
// kStartCountFromClockMax (the year 2054), which leaves a million starts above it.
constexpr uint64_t kStartCountMax = (1ULL << 24) - 1;
constexpr uint64_t kStartCountFromClockMax = kStartCountMax - (1ULL << 20);
constexpr uint64_t kStartCountEpochS = 1'700'000'000;
uint64_t StartCountFromClock(uint64_t unix_s);

constexpr int kSerialCounterBits = 24;
constexpr int kCasCounterBits = 40;
// The start count that STATE must hold while `next` is the next serial or CAS unique of a run, so that the next
// start begins beyond it: that of its block, and from the middle of it on that of the block after, long before a
// number of that one is handed out.
constexpr uint64_t StartCountCovering(uint64_t next, int counter_bits) {
  return (next >> counter_bits) + ((next >> (counter_bits - 1)) & 1);
}

// Survives emptying the tier: the counts are never reset, so that serials and CAS uniques never
// repeat.
struct FlashState {
  uint64_t start_count =
      0;  // raised and fsynced at every start: serials and CAS blocks follow from it
  uint64_t directory_id = 0;  // random, made with the directory
  uint64_t run_id = 0;        // random, renewed at every start
  uint64_t epoch = 1;         // flush epoch
  uint32_t flush_due_s = 0;   // pending delayed flush_all, Unix seconds; 0 = none
  uint64_t cas_next = 0;      // first CAS unique not handed out (clean stop)
  uint32_t stopped_s = 0;     // when the last clean stop was, Unix seconds
  HashKey hash_key;           // keys are hashed alike in every run of this directory
};

class FlashDirectory {
 public:
  // Creates what is missing (0700; files 0600), locks it, checks FORMAT, reads STATE (a damaged
  // STATE starts over with start_count from the clock), raises start_count, renews run_id and
  // fsyncs. Errors: not a directory, not ours, not writable, held by another process (names its
  // pid), unknown format, not empty and without FORMAT (a directory of somebody else's is never
  // touched).
  static Result<std::unique_ptr<FlashDirectory>> Open(const std::string& path);
  ~FlashDirectory();  // unlocks; a process that gets here did not crash, so OPENING goes too
  FlashDirectory(const FlashDirectory&) = delete;
  FlashDirectory& operator=(const FlashDirectory&) = delete;

  const std::string& Path() const { return path_; }
  bool IsNew() const { return is_new_; }  // there was no STATE: nothing can have been lost
  const FlashState& State() const { return state_; }
  // start_count may rise (a run that needs another block of numbers), nothing else that counts starts changes.
  // kInvalidArgument: there is no higher one.
  Status WriteState(const FlashState& state);

  // Whether the last run that changed anything on flash ended with a clean mark that matches STATE
  // and INDEX; why not, else. A run that ended before BeginChanges() (its port was taken, say)
  // leaves the mark as good as it was.
  bool WasClean(std::string* why_not) const;
  // The run that changed anything last; what it left in files that outlive it counts. 0: none.
  uint64_t LastRun() const { return runs_.clean != 0 ? runs_.clean : runs_.last; }
  // Reads INDEX into table and index. Any damage is kCorruption and leaves both to be cleared.
  Status LoadIndex(BatchTable* batches, FlashIndex* index) const;
  // The keys that the last clean stop found in RAM. kNotFound: it left none. To be opened before BeginChanges(), which
  // removes the name.
  Result<std::unique_ptr<HotListReader>> OpenHotList() const;
  // Clean stop, before SaveClean(): one that is to be filled, and then counts.
  Result<std::unique_ptr<HotListWriter>> CreateHotList() const;
  Status FinishHotList(HotListWriter* list) const;
  // Before anything on flash or in RAM changes: the clean mark means nothing from now on, and this run is the one that
  // counts. Fsyncs, then removes mark, INDEX and HOT.
  Status BeginChanges();
  // Clean stop: INDEX, then STATE, then the clean mark, each fsynced before the next.
  Status SaveClean(const FlashState& state, const BatchTable& batches, const FlashIndex& index);
  // Deletes db/, hashes/, staging/ and INDEX; STATE stays.
  Status EmptyTier();
  // Crash-loop guard around opening RocksDB: true if OPENING was found after two starts in a row that died before
  // MarkOpened(), or later by a fatal signal, and the tier was moved aside (to <path>/aside, an older one is deleted).
  Result<bool> MarkOpening();
  // The tier is open: from now on only a fatal signal counts (storage/base/crash_mark.h).
  Status MarkOpened();
  void ClearOpening();

  // While the daemon runs: where the directory was emptied, or the path leads to another one by now, the files that make
  // it ours are put there again, with the STATE of this run. That is for our own directory and for an empty one on the
  // same filesystem: what stands below a disk that went away is not filled. Errors: there is none of these; nothing was
  // changed.
  Status Restore();

  Result<uint64_t> FreeBytes() const;  // of the filesystem

 private:
  explicit FlashDirectory(std::string path) : path_(std::move(path)) {}
  Status OpenPath();
  Status CheckForeign() const;
  bool IsInPlace() const;
  // Whether STATE there is of this directory, or might be made.
  Status CheckSameTier(const FlashDirectory& found) const;
  Status Lock();
  Status CheckFormat();
  Status RenewState();
  // The run whose clean mark stands; 0: none, and why.
  uint64_t MarkedRun(std::string* why_not) const;
  // Runs whose word counts after a start: the one whose INDEX is whole as long as its clean mark stands, else the one
  // that began to change things and did not end cleanly. 0: none.
  struct Runs {
    uint64_t clean = 0;
    uint64_t last = 0;
  };
  Status WriteStateFile(const FlashState& state, const Runs& runs) const;
  Status Persist(const FlashState& state, const Runs& runs);
  Status RemoveTier();

  // Constant after Open().
  const std::string path_;
  FileDescriptor directory_;
  FileDescriptor lock_;
  bool is_new_ = false;

  // Held while the directory is written, by two threads that both may wait for the disk.
  Mutex writing_;
  // By one thread at a time, but for Restore().
  FlashState state_;
  Runs runs_;
  std::string not_clean_;  // why runs_.clean is 0
  bool opening_marked_ = false;
  FileDescriptor crash_mark_;
  uint64_t openings_ = 0;  // in a row, this one included
};

}  // namespace terraced::storage
