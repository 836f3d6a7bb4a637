// HashList: the sorted 64-bit key hashes of one batch, in hashes/<serial as 16 hex digits>.h.
// Growth of the flash index and the check of collisions read a range of it without touching a
// record. The file is a row of blocks of 4,096 bytes; each has its own header (magic, CRC, serial,
// its place, how many blocks there are) and up to 508 hashes. So any range is proven by the blocks
// it touches, a truncated or exchanged file is noticed, and a range costs one or two reads: hashes
// are evenly spread, the block is found by interpolation, by bisection where the guess was wrong.
// Threads: pure functions. No descriptor stays open between calls.
// Errors: kCorruption for a block that fails its check, kNotFound where there is no such file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"

namespace terraced::storage {

constexpr size_t kHashBlockBytes = 4096;
constexpr size_t kHashBlockHeaderBytes = 32;
constexpr size_t kHashesPerBlock = (kHashBlockBytes - kHashBlockHeaderBytes) / sizeof(uint64_t);

std::string HashListName(uint64_t serial);
// nullopt: not the name of a hash list.
std::optional<uint64_t> SerialOfHashListName(std::string_view name);

// Sorts by value; hashes are evenly spread, which a comparison sort cannot use.
void SortHashes(std::span<uint64_t> hashes);

// `sorted` is ascending (equal hashes may follow each other) and not empty. Refuses a serial whose
// list is there already. Synced; the bytes of the file are returned.
Result<uint64_t> WriteHashList(int hashes_fd, uint64_t serial, std::span<const uint64_t> sorted);

// The hashes within [first, last], ascending, in slices of at most a block; visit returns false to
// stop.
Status VisitHashList(int hashes_fd, uint64_t serial, uint64_t first, uint64_t last,
                     const std::function<bool(std::span<const uint64_t>)>& visit);

// How many of `wanted` (ascending) the list does not have. One pass: where they lie close together, blocks are
// read in a row and each once; where they lie far apart, one or two reads each.
Result<uint64_t> CountMissingHashes(int hashes_fd, uint64_t serial,
                                    std::span<const uint64_t> wanted);

}  // namespace terraced::storage
