// Items in the arena: operations of [what] [which] and what it takes. Items of any key, client flags, sizes and CAS
// unique, in one chunk or in a chain of them, beside each other and in chunks that others have left; each must read
// as it was written until it is freed, however many come and go meanwhile.
#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/ram/item_allocator.h"
#include "storage/ram/slab_arena.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"

namespace terraced::fuzz {
namespace {

using storage::Item;
using storage::ItemAllocator;
using storage::kNoPosition;
using storage::Position;
using storage::SlabArena;

constexpr size_t kItems = 16;
constexpr uint32_t kItemBytesMax = 256U << 10;
constexpr uint64_t kRun = 0xabcd;  // that gave out the CAS uniques: their upper 24 bits
constexpr int kCasCounterBits = 40;

// What an item was given.
struct Written {
  Position position = kNoPosition;
  std::string key;
  uint32_t client_flags = 0;
  uint32_t value_bytes = 0;
  uint8_t seed = 0;
  uint64_t cas_unique = 0;
};

struct Rig {
  Rig() {
    storage::SlabOptions options;
    options.limit_bytes = 8U << 20;
    options.item_bytes_max = kItemBytesMax;
    options.slab_chunk_bytes_max = 16U << 10;
    Result<std::unique_ptr<SlabArena>> made = SlabArena::Create(options);
    FUZZ_CHECK(made.ok());
    arena = std::move(made).value();
    plain = std::make_unique<ItemAllocator>(*arena, kItemBytesMax);
    with_serials = std::make_unique<ItemAllocator>(*arena, kItemBytesMax, true);
  }
  std::unique_ptr<SlabArena> arena;
  std::unique_ptr<ItemAllocator> plain;
  std::unique_ptr<ItemAllocator> with_serials;
};

// What values are made of: bytes that do not repeat themselves, from one end to the other of the largest value and a
// seed.
std::string_view ValueOf(const Written& written) {
  static const std::string bytes = [] {
    std::string made(kItemBytesMax + UINT8_MAX, '\0');
    uint32_t state = 1;
    for (char& byte : made) {
      state = static_cast<uint32_t>((state * 48271ULL) % 2147483647U);
      byte = static_cast<char>(state >> 8);
    }
    return made;
  }();
  return std::string_view(bytes).substr(written.seed, written.value_bytes);
}

void FillValue(const ItemAllocator& allocator, const Item& item, const Written& written) {
  std::vector<std::span<char>> pieces;
  allocator.ValuePieces(item, &pieces);
  std::string_view value = ValueOf(written);
  for (const std::span<char> piece : pieces) {
    FUZZ_CHECK(piece.size() <= value.size());
    std::copy_n(value.begin(), piece.size(), piece.begin());
    value.remove_prefix(piece.size());
  }
  FUZZ_CHECK(value.empty());
}

void CheckItem(const ItemAllocator& allocator, const Written& written) {
  const Item& item = *allocator.Arena().ItemAt(written.position);
  FUZZ_CHECK(item.Key() == written.key);
  FUZZ_CHECK(item.ClientFlags() == written.client_flags);
  FUZZ_CHECK(item.ValueBytes() == written.value_bytes);
  FUZZ_CHECK(allocator.Uniques().Unique(item) == written.cas_unique);
  std::string value(written.value_bytes, '\0');
  allocator.CopyValue(item, value.data());
  FUZZ_CHECK(value == ValueOf(written));
  FUZZ_CHECK(allocator.FootprintBytes(item) >= ItemAllocator::RequestedBytes(item));
}

Written MakeItem(ItemAllocator* allocator, FuzzInput* input, Position* spare) {
  Written written;
  written.seed = input->Byte();
  const uint8_t key_bytes = input->Byte();
  written.key = input->Take(key_bytes % 251);
  if (written.key.empty()) written.key = "k";
  written.client_flags = input->Take<uint32_t>();
  // Mostly small, now and then of every size that there is.
  written.value_bytes = input->Take<uint16_t>();
  if ((key_bytes & 0x80U) != 0) written.value_bytes *= 5;
  if (!allocator->Fits(written.key.size(), written.client_flags, written.value_bytes)) return {};
  storage::SlabClass short_of = storage::kNoSlabClass;
  written.position =
      allocator->New(written.key, written.client_flags, written.value_bytes, &short_of, spare);
  FUZZ_CHECK(*spare == kNoPosition);
  if (written.position == kNoPosition) {
    FUZZ_CHECK(short_of != storage::kNoSlabClass);
    return {};
  }
  Item* const item = allocator->Arena().ItemAt(written.position);
  written.cas_unique =
      (kRun << kCasCounterBits) | (input->Take<uint64_t>() >> (64 - kCasCounterBits));
  allocator->Uniques().Set(item, written.cas_unique);
  if (item->Has(storage::kItemHasSerial)) item->SetCleanSerial(input->Take<uint32_t>());
  FillValue(*allocator, *item, written);
  CheckItem(*allocator, written);
  return written;
}

void RunItem(std::string_view bytes) {
  static const Rig rig;
  FuzzInput input(bytes);
  ItemAllocator* const allocator =
      (input.Byte() & 1U) != 0 ? rig.with_serials.get() : rig.plain.get();
  std::array<Written, kItems> items;
  Position spare = kNoPosition;
  while (!input.Empty()) {
    const uint8_t what = input.Byte();
    Written& written = items[what % kItems];
    if (written.position != kNoPosition) {
      CheckItem(*allocator, written);
      // Retire() keeps the chunk for the next item, Free() does not.
      if ((what & 0x10U) != 0 && spare == kNoPosition) {
        allocator->Retire(written.position, &spare);
      } else {
        allocator->Free(written.position);
      }
    }
    written = MakeItem(allocator, &input, &spare);
  }
  for (const Written& written : items) {
    if (written.position == kNoPosition) continue;
    CheckItem(*allocator, written);
    allocator->Free(written.position);
  }
  if (spare != kNoPosition) rig.arena->Free(spare);
  for (const storage::SlabClassStats& stats : rig.arena->Stats()) {
    FUZZ_CHECK(stats.used_chunks == 0);
  }
}

const FuzzRegistration kRegistration("item", &RunItem);

}  // namespace
}  // namespace terraced::fuzz
