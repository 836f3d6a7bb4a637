// CrashMark: a process that dies by a fatal signal says so in a file that is open for it beforehand, so that the next
// start can tell a crash from a kill. The daemon's signal handler leaves it (src/process.h, MarkCrashes).
// Threads: SetFile() by one thread at a time; Leave() from a signal handler on any.
// Ownership: the descriptor is borrowed. Errors: none; a mark that cannot be written is not there.
#pragma once

namespace terraced {

class CrashMark {
 public:
  // Opened for appending; -1: a crash leaves no mark.
  static void SetFile(int fd);
  // Appends the line "crashed". Async-signal-safe.
  static void Leave();
};

}  // namespace terraced
