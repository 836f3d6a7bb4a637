#include <cstring>
#include <utility>

#include "tiering/cache.h"

namespace terraced::tiering {

using storage::Item;

Draft::Draft(Draft&& other) noexcept
    : allocator_(other.allocator_),
      position_(std::exchange(other.position_, storage::kNoPosition)),
      spare_(std::exchange(other.spare_, storage::kNoPosition)) {}

Draft& Draft::operator=(Draft&& other) noexcept {
  if (this != &other) {
    Reset();
    allocator_ = other.allocator_;
    position_ = std::exchange(other.position_, storage::kNoPosition);
    spare_ = std::exchange(other.spare_, storage::kNoPosition);
  }
  return *this;
}

void Draft::Reset() {
  if (position_ != storage::kNoPosition) allocator_->Free(Release());
  DropSpare();
}

void Draft::DropSpare() {
  if (spare_ == storage::kNoPosition) return;
  allocator_->Arena().Free(std::exchange(spare_, storage::kNoPosition));
}

storage::Position Draft::Release() {
  return std::exchange(position_, storage::kNoPosition);
}

void Draft::ValuePieces(std::vector<std::span<char>>* pieces) const {
  allocator_->ValuePieces(Peek(), pieces);
}

void Draft::FillValue(std::initializer_list<std::string_view> parts) {
  Item* const item = allocator_->Arena().ItemAt(position_);
  if (!item->Has(storage::kItemChunked)) {
    char* to = item->AfterKey();
    for (const std::string_view part : parts) {
      std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
    TERRACED_CHECK(to == item->AfterKey() + item->ValueBytes());
    return;
  }
  std::vector<std::span<char>> pieces;
  ValuePieces(&pieces);
  size_t piece = 0;
  size_t used = 0;
  for (std::string_view part : parts) {
    while (!part.empty()) {
      TERRACED_CHECK(piece < pieces.size());
      const size_t bytes = std::min(part.size(), pieces[piece].size() - used);
      std::memcpy(pieces[piece].data() + used, part.data(), bytes);
      part.remove_prefix(bytes);
      used += bytes;
      if (used == pieces[piece].size()) {
        ++piece;
        used = 0;
      }
    }
  }
  // An empty value is one piece of no bytes.
  TERRACED_CHECK(piece == pieces.size() || (piece + 1 == pieces.size() && pieces[piece].empty()));
}

}  // namespace terraced::tiering
