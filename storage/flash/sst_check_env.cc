#include "storage/flash/sst_check_env.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <string>

#include "storage/flash/sst_check.h"

namespace terraced::storage {
namespace {

class SstCheckFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  SstCheckFileSystem() : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "SstCheckFileSystem"; }

  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    if (path.ends_with(".sst")) {
      const Status status = CheckSst(path);
      const std::string message(status.message());
      if (status.code() == StatusCode::kCorruption) return rocksdb::IOStatus::Corruption(message);
      // What cannot be opened or read is RocksDB's to tell.
    }
    return rocksdb::FileSystemWrapper::NewRandomAccessFile(path, options, file, debug);
  }
};

}  // namespace

std::shared_ptr<rocksdb::Env> MakeSstCheckEnv() {
  return rocksdb::NewCompositeEnv(std::make_shared<SstCheckFileSystem>());
}

}  // namespace terraced::storage
