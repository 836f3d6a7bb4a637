#include "tests/fuzz/fuzz_target.h"

#include <algorithm>

namespace terraced::fuzz {
namespace {

// Made by whoever registers first: the order in which files are initialised is nobody's promise.
std::vector<FuzzTarget>& Registered() {
  static std::vector<FuzzTarget> targets;
  return targets;
}

}  // namespace

const std::vector<FuzzTarget>& FuzzTargets() {
  return Registered();
}

FuzzRegistration::FuzzRegistration(std::string_view name, void (*run)(std::string_view input)) {
  std::vector<FuzzTarget>& targets = Registered();
  targets.push_back({name, run});
  std::sort(targets.begin(), targets.end(),
            [](const FuzzTarget& left, const FuzzTarget& right) { return left.name < right.name; });
}

}  // namespace terraced::fuzz
