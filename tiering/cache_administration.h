// CacheAdministration: Administration over the parts of TwoTierCache.
// Threads, ownership, errors: as administration.h; Start and Join as for any part with a thread.
#pragma once

#include "tiering/administration.h"
#include "tiering/key_dump.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

class Crawler;
class SlabMover;

class CacheAdministration final : public Administration {
 public:
  CacheAdministration(Tiers& tiers, Crawler& crawler, SlabMover& mover);
  Status Start() { return dump_.Start(); }
  void Join() { dump_.Join(); }

  AdminSettings& Settings() override { return tiers_.admin; }
  bool StartCrawl() override;
  ReassignResult ReassignPage(int from, int to) override;
  Status SetMemoryLimit(uint64_t limit_bytes) override;
  void TrackSizes(bool on) override;
  bool TracksSizes() const override { return tiers_.allocator.Sizes().IsOn(); }
  std::map<uint64_t, uint64_t> Sizes() const override { return tiers_.allocator.Sizes().Counts(); }
  void ListCold(storage::SlabClass slab_class, const VisitCold& visit) override;
  bool BeginDump(const DumpScope& scope) override { return dump_.Begin(scope); }
  void NextDumpPiece(DumpPiece* piece, Executor& executor, Completion* done) override {
    dump_.Next(piece, executor, done);
  }
  void EndDump() override { dump_.End(); }

 private:
  Tiers& tiers_;
  Crawler& crawler_;
  SlabMover& mover_;
  KeyDump dump_;
};

}  // namespace terraced::tiering
