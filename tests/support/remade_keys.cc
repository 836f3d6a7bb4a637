#include "tests/support/remade_keys.h"

#include "tests/support/meta_words.h"

namespace terraced::support {
namespace {

bool HasDone(std::string_view reference) {
  const std::string_view word = FirstWord(reference);
  return word.empty() || word == "HD" || word == "VA";
}

}  // namespace

void RemadeKeys::Note(const GeneratedRequest& request, std::string_view reference) {
  if (request.malformed || request.keys.empty() || !HasDone(reference)) return;
  const std::string& key = request.keys[0];
  const std::string_view line = LineOf(request.text);
  const std::string_view word = FirstWord(line);
  if (word == "ma") {
    remade_[key] = Remade::kCounted;
  } else if (word == "mg") {
    if (HasFlag(line, 'N') && HasWord(LineOf(reference), "W")) remade_[key] = Remade::kMade;
  } else if (word == "ms" && (HasWord(line, "MA") || HasWord(line, "MP"))) {
    remade_[key] = Remade::kMade;
  } else if ((word == "ms" || word == "md") && !HasWord(line, "I")) {
    remade_.erase(key);  // one with I may have taken over what is known of the item
  }
}

Remade RemadeKeys::How(const std::string& key) const {
  const auto found = remade_.find(key);
  return found == remade_.end() ? Remade::kNo : found->second;
}

}  // namespace terraced::support
