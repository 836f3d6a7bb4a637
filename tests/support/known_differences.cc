#include "tests/support/known_differences.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>

#include "tests/support/base64.h"
#include "tests/support/binary.h"
#include "tests/support/meta_words.h"

namespace terraced::support {
namespace {

bool IsNumber(std::string_view line) {
  return !line.empty() && line[0] >= '0' && line[0] <= '9';
}

bool TextMiss(std::string_view verb, std::string_view reference, std::string_view tested) {
  if (verb == "add") return reference == "NOT_STORED\r\n" && tested == "STORED\r\n";
  if (verb == "replace" || verb == "append" || verb == "prepend") {
    return reference == "STORED\r\n" && tested == "NOT_STORED\r\n";
  }
  if (tested != "NOT_FOUND\r\n") return false;
  if (verb == "touch") return reference == "TOUCHED\r\n";
  if (verb == "delete") return reference == "DELETED\r\n";
  if (verb == "cas") return reference == "STORED\r\n" || reference == "EXISTS\r\n";
  if (verb == "incr" || verb == "decr") {
    return IsNumber(reference) || reference.starts_with("CLIENT_ERROR cannot increment");
  }
  return false;
}

// What a quiet request does not say is HD, or EN to mg.
bool MetaMiss(const GeneratedRequest& request, std::string_view reference,
              std::string_view tested) {
  const std::string_view word = FirstWord(request.text);
  const std::string_view was = reference.empty() ? "HD" : FirstWord(reference);
  std::string_view is = FirstWord(tested);
  if (tested.empty()) is = word == "mg" ? "EN" : "HD";
  if (word == "mg") {
    if (reference.empty() || (was != "HD" && was != "VA")) return false;
    const bool made = HasFlag(request.text, 'N') && HasWord(LineOf(tested), "W") &&
                      !HasWord(LineOf(reference), "W");
    return is == "EN" || made;
  }
  const bool was_there = was == "HD" || was == "VA" || was == "EX" || was == "CLIENT_ERROR";
  if (word == "md" || word == "ma") return is == "NF" && was_there;
  if (word != "ms") return false;
  if (HasWord(LineOf(request.text), "ME")) return was == "NS" && is == "HD";
  if (is == "NF") return was == "HD" || was == "EX";
  return is == "NS" && (was == "HD" || was == "EX");
}

// What a quiet request does not say is success, or a miss to those that read.
bool BinaryMiss(const GeneratedRequest& request, std::string_view reference,
                std::string_view tested) {
  constexpr uint64_t kNotFound = 1;
  constexpr uint64_t kExists = 2;
  constexpr uint64_t kNotStored = 5;
  constexpr uint64_t kNotANumber = 6;
  const auto opcode = static_cast<uint8_t>(request.text[1]);
  const bool reads = request.reads > 0;
  const auto status = [](std::string_view reply, uint64_t otherwise) {
    return reply.empty() ? otherwise : ParseResponse(reply).status;
  };
  if (reads)
    return !reference.empty() && status(reference, 0) == 0 && status(tested, 1) == kNotFound;
  const uint64_t was = status(reference, 0);
  const uint64_t is = status(tested, 0);
  if (opcode == kAddOp || opcode == kAddQOp) {
    // With a unique that is the item's it is a cas.
    const bool was_replaced = request.wants_unique && was == 0;
    return was_replaced ? is == kNotFound : was == kExists && (is == 0 || is == kNotFound);
  }
  if (was != 0 && was != kExists && was != kNotANumber) return false;
  const bool joins =
      opcode == kAppendOp || opcode == kPrependOp || opcode == kAppendQOp || opcode == kPrependQOp;
  return is == (joins ? kNotStored : kNotFound);
}

bool IsMiss(const Difference& difference) {
  switch (difference.protocol) {
    case Protocol::kMeta:
      return MetaMiss(difference.request, difference.reference, difference.tested);
    case Protocol::kBinary:
      return BinaryMiss(difference.request, difference.reference, difference.tested);
    case Protocol::kText:
      break;
  }
  return TextMiss(FirstWord(difference.request.text), difference.reference, difference.tested);
}

// Each server counts whole seconds, from its own start and with a timer that a busy machine lets tick late.
constexpr int64_t kClockSlack = 2;

// The seconds of a flag; the reference's may be larger by so many.
bool AreClose(std::string_view reference, std::string_view tested, int64_t lag_max) {
  int64_t first = 0;
  int64_t second = 0;
  std::from_chars(reference.data(), reference.data() + reference.size(), first);
  std::from_chars(tested.data(), tested.data() + tested.size(), second);
  return first >= 0 && second >= 0 && first - second >= -kClockSlack &&
         first - second <= lag_max + kClockSlack;
}

// Takes the first word off the line.
std::string_view TakeWord(std::string_view* line) {
  const std::string_view word = line->substr(0, line->find(' '));
  line->remove_prefix(std::min(word.size() + 1, line->size()));
  return word;
}

// All is the same but for t and l of a meta command, which may be apart by the slack, and l by the reference's lag.
bool AreSameButForTheClock(std::string_view reference, std::string_view tested, int64_t lag_max) {
  std::string_view reference_line = LineOf(reference);
  std::string_view tested_line = LineOf(tested);
  if (reference.substr(reference_line.size()) != tested.substr(tested_line.size())) return false;
  while (!reference_line.empty() && !tested_line.empty()) {
    const std::string_view first = TakeWord(&reference_line);
    const std::string_view second = TakeWord(&tested_line);
    if (first == second) continue;
    if (first.empty() || second.empty() || first[0] != second[0]) return false;
    if (first[0] != 't' && first[0] != 'l') return false;
    if (!AreClose(first.substr(1), second.substr(1), first[0] == 'l' ? lag_max : 0)) return false;
  }
  return reference_line.empty() && tested_line.empty();
}

bool IsClock(const Difference& difference) {
  return difference.protocol == Protocol::kMeta &&
         AreSameButForTheClock(difference.reference, difference.tested, 0);
}

// How old the access that the reference remembers may be when it leaves out another.
constexpr int64_t kUpdateLag = 60;

bool IsLastAccess(const Difference& difference) {
  return difference.protocol == Protocol::kMeta && FirstWord(difference.request.text) == "mg" &&
         AreSameButForTheClock(difference.reference, difference.tested, kUpdateLag);
}

// `reply` with the first word of its line that begins like this replaced; as it is where there is none.
std::string WithWord(std::string_view reply, std::string_view begin, std::string_view replacement) {
  const std::string_view line = LineOf(reply);
  std::string text = std::string(line) + " ";
  const size_t at = text.find(" " + std::string(begin));
  if (at != std::string::npos) {
    const size_t end = text.find(' ', at + 1);
    text.replace(at, end - at, replacement);
  }
  text.pop_back();
  return text.append(reply.substr(line.size()));
}

// The reference shows t of what has ended as 2^32 less some seconds, terraced as 0.
std::string WithoutWrap(std::string_view reference) {
  constexpr uint64_t kWrapped = uint64_t{1} << 32U;
  constexpr uint64_t kRunMax = 1'000'000;  // seconds
  const std::string_view line = LineOf(reference);
  const size_t at = line.find(" t");
  uint64_t shown = 0;
  if (at != std::string_view::npos) {
    std::from_chars(line.data() + at + 2, line.data() + line.size(), shown);
  }
  const bool wrapped = shown < kWrapped && shown >= kWrapped - kRunMax;
  return wrapped ? WithWord(reference, "t", " t0") : std::string(reference);
}

// The reference shows the key plainly where terraced has it in base64.
std::string WithEncodedKey(const Difference& difference, std::string_view reference) {
  const std::string& key = difference.request.keys[0];
  if (difference.remade == Remade::kNo) return std::string(reference);
  if (!HasWord(LineOf(reference), "k" + key) || HasWord(LineOf(difference.tested), "k" + key)) {
    return std::string(reference);
  }
  return WithWord(reference, "k", " k" + Base64Of(key) + " b");
}

bool IsMetaGet(const Difference& difference) {
  return difference.protocol == Protocol::kMeta && FirstWord(difference.request.text) == "mg" &&
         !difference.reference.empty();
}

bool IsEndedItem(const Difference& difference) {
  return difference.protocol == Protocol::kMeta &&
         AreSameButForTheClock(WithoutWrap(difference.reference), difference.tested, kUpdateLag);
}

bool IsKeyOfAMadeItem(const Difference& difference) {
  return IsMetaGet(difference) && difference.remade != Remade::kNo &&
         AreSameButForTheClock(WithEncodedKey(difference, WithoutWrap(difference.reference)),
                               difference.tested, kUpdateLag);
}

int64_t NumberBehind(std::string_view reply, std::string_view begin) {
  const std::string_view line = LineOf(reply);
  const size_t at = line.find(" " + std::string(begin));
  int64_t number = -1;
  if (at == std::string_view::npos) return number;
  std::from_chars(line.data() + at + 1 + begin.size(), line.data() + line.size(), number);
  return number;
}

// A record stays as it is, so l does not know of the hits that flash answered. h does, by the index; but not of one
// hit in RAM between the writing of the record and the item's leaving: only what was read twice is marked then
// (Shard::Evict), for it decides on second chances.
std::string WithNotedHit(const Difference& difference) {
  std::string tested(difference.tested);
  if (HasWord(LineOf(difference.reference), "h1")) tested = WithWord(tested, "h0", " h1");
  const int64_t last = NumberBehind(difference.reference, "l");
  if (last >= 0 && NumberBehind(tested, "l") > last) {
    tested = WithWord(tested, "l", " l" + std::to_string(last));
  }
  return tested;
}

bool IsFlashHit(const Difference& difference) {
  return IsMetaGet(difference) &&
         AreSameButForTheClock(WithEncodedKey(difference, WithoutWrap(difference.reference)),
                               WithNotedHit(difference), kUpdateLag);
}

// Two keys of one batch whose hashes have the same identity share a slot, and so the mark that one of them was read.
bool IsSharedMark(const Difference& difference) {
  const std::string tested = WithNotedHit(difference);
  return IsMetaGet(difference) && HasWord(LineOf(difference.reference), "h0") &&
         AreSameButForTheClock(WithEncodedKey(difference, WithoutWrap(difference.reference)),
                               WithWord(tested, "h1", " h0"), kUpdateLag);
}

// The reference may have forgotten that it was fetched, is stale, or was won, and so lets it be won again.
bool IsLongerNumber(const Difference& difference) {
  if (!IsMetaGet(difference) || difference.remade != Remade::kCounted) return false;
  std::string reference = WithEncodedKey(difference, WithoutWrap(difference.reference));
  std::string tested = WithNotedHit(difference);
  if (HasWord(LineOf(reference), "h0")) tested = WithWord(tested, "h1", " h0");
  if (HasWord(LineOf(tested), "Z")) reference = WithWord(reference, "W", "");
  for (const char* bit : {"Z", "X", "W"}) {
    if (!HasWord(LineOf(reference), bit)) tested = WithWord(tested, bit, "");
  }
  return AreSameButForTheClock(reference, tested, kUpdateLag);
}

constexpr std::array kDifferences = {
    KnownDifference{"miss",
                    "a cache may lose an item; evictions and index collisions must cover it", true,
                    &IsMiss},
    KnownDifference{"clock",
                    "t and l of meta commands: the servers' clocks tick at different moments",
                    false, &IsClock},
    KnownDifference{"last_access", "l: 1.6.18 notes an access once a minute, terraced each", false,
                    &IsLastAccess},
    KnownDifference{"ended", "t of an item that has ended: 1.6.18 subtracts below zero", false,
                    &IsEndedItem},
    KnownDifference{
        "made_key",
        "N, append, prepend, ma make an item; 1.6.18 forgets that its key was in base64", false,
        &IsKeyOfAMadeItem},
    KnownDifference{
        "flash_hit",
        "h and l: hits on flash, or of an item that is just leaving RAM, may not be noted", false,
        &IsFlashHit},
    KnownDifference{"longer_number",
                    "where ma makes a number longer, 1.6.18 forgets its bits: fetched, stale, won",
                    false, &IsLongerNumber},
    KnownDifference{"shared_mark",
                    "h: another key of the batch with the same identity was read; rare", false,
                    &IsSharedMark},
};
static_assert(kDifferences.size() <= kKnownDifferencesMax);
static_assert(kDifferences[kFlashHitClass].matches == &IsFlashHit);
static_assert(kDifferences[kSharedMarkClass].matches == &IsSharedMark);

}  // namespace

std::span<const KnownDifference> KnownDifferences() {
  return kDifferences;
}

size_t ClassOf(const Difference& difference) {
  if (difference.request.malformed) return kDifferences.size();
  const auto* const found = std::find_if(
      kDifferences.begin(), kDifferences.end(),
      [&difference](const KnownDifference& known) { return known.matches(difference); });
  return static_cast<size_t>(found - kDifferences.begin());
}

}  // namespace terraced::support
