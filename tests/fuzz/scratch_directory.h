// ScratchDirectory: a folder of its own below TMPDIR for targets whose decoder reads files. It is gone when the
// process ends in peace; scripts/fuzz gives every run a TMPDIR in memory and removes that.
// Threads: one. Errors: what cannot be made stops the process.
#pragma once

#include <string>
#include <string_view>

#include "storage/base/file_io.h"

namespace terraced::fuzz {

class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& Path() const { return path_; }
  int Fd() const { return fd_.Get(); }
  // The file holds these bytes and nothing else.
  void Write(const std::string& name, std::string_view bytes) const;
  void Clear() const;  // removes whatever is in it

 private:
  std::string path_;
  storage::FileDescriptor fd_;
};

}  // namespace terraced::fuzz
