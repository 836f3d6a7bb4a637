#include "tests/fuzz/scratch_directory.h"

#include <fcntl.h>
#include <stdlib.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "tests/fuzz/fuzz_target.h"

namespace terraced::fuzz {

using storage::FileDescriptor;

ScratchDirectory::ScratchDirectory()
    : path_((std::filesystem::temp_directory_path() / "terraced-fuzz-XXXXXX").string()) {
  FUZZ_CHECK(::mkdtemp(path_.data()) != nullptr);
  Result<FileDescriptor> opened = storage::OpenDirectory(path_);
  FUZZ_CHECK(opened.ok());
  fd_ = std::move(opened).value();
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void ScratchDirectory::Write(const std::string& name, std::string_view bytes) const {
  const Result<FileDescriptor> file =
      storage::OpenOwnFile(Fd(), name, O_WRONLY | O_CREAT | O_TRUNC);
  FUZZ_CHECK(file.ok());
  FUZZ_CHECK(storage::WriteAt(file.value().Get(), 0, bytes, name).ok());
}

void ScratchDirectory::Clear() const {
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(path_)) {
    std::filesystem::remove_all(entry.path());
  }
}

}  // namespace terraced::fuzz
