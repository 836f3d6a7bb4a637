#include "tiering/demotion_outlook.h"

#include <algorithm>

namespace terraced::tiering {
namespace {

// A first look only takes the "read again" mark off an item, the second moves it on, the third may take it.
constexpr uint32_t kTurnsLeast = 3;
// A class is looked at again when this part of it was stored anew, so that the looks cost no more than the stores.
constexpr uint64_t kNewPart = 16;

}  // namespace

bool DemotionOutlook::WorthALook(storage::SlabClass slab_class) const {
  const Class& of = classes_[slab_class];
  if (!of.barren.load(std::memory_order_relaxed)) return true;
  // Counts that threads made at once may be lost, later ones too: then it is less than before.
  const auto stored = static_cast<int32_t>(arena_.HandedOut(slab_class) - of.handed_out);
  return stored > 0 && static_cast<uint32_t>(stored) >=
                           std::max<uint64_t>(arena_.TotalChunks(slab_class) / kNewPart, 1);
}

void DemotionOutlook::NoteTurn(storage::SlabClass slab_class, bool found, uint64_t looks) {
  Class& of = classes_[slab_class];
  of.handed_out = arena_.HandedOut(slab_class);
  of.fruitless_turns = found ? 0 : of.fruitless_turns + 1;
  if (found) {
    of.barren.store(false, std::memory_order_relaxed);
  } else if (of.fruitless_turns >= kTurnsLeast &&
             of.fruitless_turns * looks >= arena_.TotalChunks(slab_class)) {
    of.barren.store(true, std::memory_order_relaxed);
  }
}

void DemotionOutlook::LookAgain() {
  for (Class& of : classes_) {
    of.fruitless_turns = 0;
    of.barren.store(false, std::memory_order_relaxed);
  }
}

}  // namespace terraced::tiering
