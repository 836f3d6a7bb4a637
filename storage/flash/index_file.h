// IndexFile: INDEX, what a clean stop leaves of the batch table and the flash index. Byte by byte
// in storage/README.md. A header section (identity, batches, where each partition lies) with a CRC
// of its own, then the partitions, each with the CRC that FlashIndex gives it and one of ours in
// the header, so that a partition can later be read alone, on its first touch. Threads: start-up
// and stop. Memory: one partition at a time. Errors: kCorruption for anything that does not add up;
// kNotFound where there is no INDEX.
#pragma once

#include <cstdint>
#include <string>

#include "storage/base/status.h"
#include "storage/flash/flash_index.h"

namespace terraced::storage {

constexpr uint32_t kIndexFileVersion = 1;

// Which directory and which run an INDEX belongs to.
struct IndexIdentity {
  uint64_t directory_id = 0;
  uint64_t run_id = 0;
};

// Written beside, fsynced, renamed, the directory fsynced.
Status WriteIndexFile(int directory_fd, const std::string& name, const IndexIdentity& identity,
                      const BatchTable& batches, const FlashIndex& index);

// Only the header section is read and proven.
Result<IndexIdentity> ReadIndexIdentity(int directory_fd, const std::string& name);

// Into an empty table and an empty index. After an error both hold a part and must be cleared.
Status ReadIndexFile(int directory_fd, const std::string& name, const IndexIdentity& expected,
                     BatchTable* batches, FlashIndex* index);

}  // namespace terraced::storage
