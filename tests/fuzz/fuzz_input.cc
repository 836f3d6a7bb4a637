#include "tests/fuzz/fuzz_input.h"

namespace terraced::fuzz {
namespace {

constexpr char kStretchMark = '\xfe';
constexpr size_t kStretchedPart = 128;
constexpr size_t kAppendStep = 64;
constexpr int kPatchesMax = 64;

enum class Patch : uint8_t { kOverwrite, kNumber, kCut, kAppend };
constexpr uint8_t kPatchKinds = 4;

}  // namespace

void ApplyPatches(FuzzInput* input, std::string* bytes) {
  for (int i = 0; i < kPatchesMax && !input->Empty(); ++i) {
    const auto patch = static_cast<Patch>(input->Byte() % kPatchKinds);
    const size_t at = input->Take<uint32_t>() % (bytes->size() + 1);
    std::string_view with;
    switch (patch) {
      case Patch::kOverwrite:
        with = input->Take(input->Byte());
        break;
      case Patch::kNumber:
        with = input->Take(sizeof(uint64_t));
        break;
      case Patch::kCut:
        bytes->resize(at);
        break;
      case Patch::kAppend:
        bytes->append(kAppendStep * input->Byte(), '\0');
        break;
    }
    with = with.substr(0, bytes->size() - std::min(at, bytes->size()));
    std::copy(with.begin(), with.end(), bytes->begin() + static_cast<std::ptrdiff_t>(at));
    if (bytes->size() > kPatchedBytesMax) bytes->resize(kPatchedBytesMax);
  }
}

std::string Stretch(std::string_view bytes) {
  std::string stretched;
  for (size_t i = 0; i < bytes.size() && stretched.size() < kStretchedBytesMax; ++i) {
    if (bytes[i] != kStretchMark || i + 1 == bytes.size()) {
      stretched.push_back(bytes[i]);
      continue;
    }
    const auto copies = static_cast<uint8_t>(bytes[++i]);
    const size_t begin = stretched.size() - std::min(stretched.size(), kStretchedPart);
    const std::string part = stretched.substr(begin);
    for (int copy = 0; copy < copies; ++copy) stretched += part;
  }
  return stretched;
}

}  // namespace terraced::fuzz
