// The off switch of the batch store: a cache without flash holds one of these and asks no
// questions.
#include "storage/flash/batch_store.h"

namespace terraced::storage {
namespace {

class NullBatchStore final : public BatchStore {
 public:
  Result<BatchFile> Write(uint64_t, std::span<const BatchRecord>,
                          const std::function<void()>&) override {
    return Off();
  }
  void ReadMany(std::span<BatchRead> reads) override {
    for (BatchRead& read : reads) {
      read.status = Status(StatusCode::kNotFound, "there is no flash tier");
      read.record.clear();
    }
  }
  Status Drop(uint64_t) override { return Status(); }
  Status Hashes(uint64_t, uint64_t, uint64_t,
                const std::function<bool(std::span<const uint64_t>)>&) override {
    return Off();
  }
  Result<uint64_t> CountMissing(uint64_t, std::span<const uint64_t>) override { return Off(); }
  Status Records(uint64_t, std::string_view,
                 const std::function<bool(std::string_view, std::string_view)>&) override {
    return Off();
  }
  Status Retain(const std::function<bool(uint64_t)>&) override { return Status(); }
  Status Recover(uint64_t) override { return Status(); }
  BatchStoreStats Stats() const override { return BatchStoreStats(); }
  Status Close() override { return Status(); }

 private:
  static Status Off() { return Status(StatusCode::kUnavailable, "there is no flash tier"); }
};

}  // namespace

std::unique_ptr<BatchStore> MakeNullBatchStore() {
  return std::make_unique<NullBatchStore>();
}

}  // namespace terraced::storage
