// FlashStart: what a start found of an earlier run, and has opened, before there is a cache.
// Threads: the main thread's. Ownership: of all that it names, until the cache takes it over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/flash/batch_store.h"
#include "storage/flash/flash_directory.h"
#include "storage/flash/shared_index.h"
#include "storage/ram/arena_file.h"

namespace terraced::tiering {

// What a start found on flash, and how it came to be as it is.
enum class FlashOrigin {
  kEmpty,   // new, or nothing that could be trusted
  kClean,   // INDEX of a clean stop is to be read
  kKilled,  // the shared index of a run that was killed is to be taken over
};
struct FlashStart {
  std::unique_ptr<storage::FlashDirectory> directory;
  std::unique_ptr<storage::BatchStore> store;
  std::unique_ptr<storage::SharedIndex> shared_index;  // null: private memory
  std::unique_ptr<storage::ArenaFile> arena_file;      // null: private memory
  storage::FlashState state;
  uint64_t last_run = 0;  // that changed anything in the flash directory
  FlashOrigin origin = FlashOrigin::kEmpty;
  std::string summary;  // why the tier was emptied
};

}  // namespace terraced::tiering
