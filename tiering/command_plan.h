// What a command asks of the cache beside its key, and what it learns of an item: plain data that all protocols share.
// A default plan is what the plain command of the text protocol does. Exptimes are absolute (AbsoluteExptime).
// Threads, ownership: a command's own. Errors: none. Sources of the less known parts: protocol.txt, "Meta Commands".
#pragma once

#include <cstdint>

#include "storage/ram/slab_options.h"

namespace terraced::tiering {

enum class StoreMode : uint8_t { kSet, kAdd, kReplace, kAppend, kPrepend, kCas };
enum class Arithmetic : uint8_t { kIncrement, kDecrement };

// An item as a command found it, before it changed anything; of a command that stores: as it is now.
struct ItemMeta {
  uint64_t cas_unique = 0;
  uint32_t client_flags = 0;
  uint32_t exptime_s = 0;
  uint32_t last_access_s = 0;
  uint32_t value_bytes = 0;
  uint32_t item_bytes = 0;  // header, key and value in RAM; 0: it lies on flash
  uint8_t slab_class = 0;   // in RAM
  bool fetched = false;
  bool stale = false;
  bool token_sent = false;  // another client was told to store it anew
  bool won = false;         // this one is told so
  bool created = false;     // made for the command, see ReadPlan::vivifies; exptime_s is not set
  bool binary_key = false;
};

// get, gat, touch, mg, me.
struct ReadPlan {
  bool wants_value = true;
  bool describes = false;  // me: counts as no get, and learns where the item lies
  bool bumps = true;       // the hit is noted; mg's u does not
  bool touches = false;    // gat, touch, mg's T
  uint32_t exptime_s = 0;  // the new one
  bool vivifies = false;   // mg's N: a miss makes an empty item, and is won
  uint32_t vivify_exptime_s = 0;
  bool may_win =
      false;  // meta: of a stale item, or one that expires before recache_before_s, the first is told
  uint32_t recache_before_s = 0;    // mg's R; 0: not asked for
  bool recache_sees_touch = false;  // compared with the exptime that the command sets
  bool binary_key = false;          // of the item that is made
};

// The item that will be stored.
struct AllocatePlan {
  uint32_t client_flags = 0;
  uint32_t exptime_s = 0;
  uint64_t value_bytes = 0;
  uint64_t new_cas = 0;   // as the StorePlan will have it
  bool may_wait = false;  // where room runs out; else RAM evicts at once
};

struct StorePlan {
  StoreMode mode = StoreMode::kSet;
  uint64_t compare_cas = 0;     // of kCas; of the others where it is not 0
  bool stale_if_older = false;  // ms's I: a lower compare_cas stores too, and the item is stale
  bool vivifies = false;        // append and prepend to nothing store what they have
  uint64_t new_cas = 0;         // the CAS unique it gets; 0: the next
  bool binary_key = false;
};

struct DeletePlan {
  bool compares = false;
  uint64_t compare_cas = 0;
  bool invalidates = false;  // md's I: it stays, and is stale
  bool drops_value = false;  // md's x: it stays, empty, without client flags and exptime
  bool touches = false;      // what stays gets another exptime
  uint32_t exptime_s = 0;
  uint64_t new_cas = 0;
  bool meta = false;  // it is md, for whoever watches

  bool Keeps() const { return invalidates || drops_value; }
};

struct CountPlan {
  Arithmetic direction = Arithmetic::kIncrement;
  uint64_t delta = 1;
  uint64_t compare_cas = 0;  // 0: whatever it is
  bool vivifies = false;     // a miss makes an item that holds `initial`
  uint64_t initial = 0;
  uint32_t vivify_exptime_s = 0;
  bool touches = false;
  uint32_t exptime_s = 0;
  uint64_t new_cas = 0;
  bool binary_key = false;
};

}  // namespace terraced::tiering
