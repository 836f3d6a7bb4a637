// The hot list: HOT, what a clean stop writes of the keys that were in RAM, so that the next start can bring them back.
// It is a hint: its reader looks each key up like any other, so nothing depends on it being whole or true.
// Byte by byte in storage/README.md. A header, then blocks of keys that were in one segment of the LRU, hottest first,
// each with a CRC-32C of its own.
// Threads: one at a time. Ownership: a writer that is not finished leaves no HOT; a reader reads on when the name is gone.
// Memory: one block. Errors: kCorruption for anything that does not add up, from there on; kNotFound where there is none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "storage/base/file_io.h"
#include "storage/base/status.h"
#include "storage/flash/index_file.h"

namespace terraced::storage {

constexpr uint32_t kHotListVersion = 1;
constexpr size_t kHotBlockBytes = size_t{64} << 10;  // a block is written once it has so many

struct HotKey {
  uint8_t segment = 0;   // of the LRU
  std::string_view key;  // until the next call
};

class HotListWriter {
 public:
  static Result<std::unique_ptr<HotListWriter>> Create(int directory_fd, const std::string& name);
  ~HotListWriter();

  // Keys of 1 to 255 bytes.
  Status Add(const HotKey& key);
  // Header and fsync, then it gets its name.
  Status Finish(const IndexIdentity& identity);
  uint64_t Keys() const { return keys_; }

 private:
  HotListWriter(FileDescriptor directory, const std::string& name, FileDescriptor fd);
  Status WriteBlock();

  const FileDescriptor directory_;  // its own: the tier may get another one while this is written
  const std::string name_;
  const FileDescriptor fd_;
  std::string block_;  // its first byte is the segment; empty: there is none
  uint64_t offset_;
  uint64_t keys_ = 0;
  bool finished_ = false;
};

class HotListReader {
 public:
  static Result<std::unique_ptr<HotListReader>> Open(int directory_fd, const std::string& name,
                                                     const IndexIdentity& expected);

  // False: there are no more.
  Result<bool> Next(HotKey* key);
  uint64_t Keys() const { return keys_; }  // as the writer counted them

 private:
  HotListReader(std::string name, FileDescriptor fd, uint64_t file_bytes, uint64_t keys);
  Status ReadBlock();

  const std::string name_;
  const FileDescriptor fd_;
  const uint64_t file_bytes_;
  const uint64_t keys_;
  std::string block_;
  std::string_view rest_;  // of the block, behind what Next() has given
  uint64_t offset_;
};

}  // namespace terraced::storage
