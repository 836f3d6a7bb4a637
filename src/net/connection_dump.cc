// Dumping: a list of all keys is written piece by piece, the next one when the client has read what came before.
#include "src/net/connection.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/protocol/dump_text.h"

namespace terraced::server {
namespace {

// Unsent replies at which no further piece is asked for.
constexpr uint64_t kDumpUnsentBytes = 16U << 10;

}  // namespace

void Connection::BeginDump() {
  dump_slot_ = replies_.OpenSlot();
  dump_asked_ = true;
  host_.AskDump(*this);
}

void Connection::AddDumpPiece(const tiering::DumpPiece& piece) {
  const std::string text = DumpText(piece);
  replies_.WriteTo(dump_slot_);
  if (!text.empty()) {
    std::copy(text.begin(), text.end(), replies_.Reserve(text.size()));
    replies_.Commit(text.size());
  }
  replies_.CloseSlot(std::exchange(dump_slot_, nullptr));
  dump_asked_ = false;
  if (!piece.last) dump_slot_ = replies_.OpenSlot();
}

void Connection::ContinueDump() {
  if (dump_slot_ == nullptr || dump_asked_ || replies_.UnsentBytes() > kDumpUnsentBytes) return;
  dump_asked_ = true;
  host_.AskDump(*this);
}

}  // namespace terraced::server
