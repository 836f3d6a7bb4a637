// CheckSst: the part of an SST that RocksDB takes apart before it has looked at its check sum. That is one block, the
// table's properties (7.8.3, ReadTablePropertiesHelper); another byte in the last words of it ends the process on an
// assertion of Debian's build, or leads beyond the block without those. Everything else RocksDB checks first.
// Threads: any. Ownership: none.
// Errors: kCorruption where the block does not add up; what adds up is left to RocksDB's check sum.
#pragma once

#include <string>
#include <string_view>

#include "storage/base/status.h"

namespace terraced::storage {

Status CheckSst(const std::string& path);

// Entries and restarts of a block whose keys are those of properties; for tests.
bool AddsUpAsProperties(std::string_view block);

}  // namespace terraced::storage
