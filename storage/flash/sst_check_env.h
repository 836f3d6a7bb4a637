// SstCheckEnv: the files that RocksDB sees, the default ones but for damaged SSTs, which cannot be opened
// (sst_check.h).
// Threads: as RocksDB's Env. Ownership: outlives every database that was opened with it.
#pragma once

#include <memory>

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace terraced::storage {

std::shared_ptr<rocksdb::Env> MakeSstCheckEnv();

}  // namespace terraced::storage
