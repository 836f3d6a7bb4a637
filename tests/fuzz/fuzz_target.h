// FuzzTarget: a decoder under fuzzing, one in each *_fuzz.cc. It is a function of any bytes that stops the process
// (FUZZ_CHECK, a CHECK of ours, a sanitizer) where the decoder is wrong: not only where it crashes, also where it
// takes what it should refuse, or where what it took does not encode to the same again. It must say the same about
// the same bytes every time. Every target registers itself; fuzz_main.cc gives it to libFuzzer, corpus_test.cc runs
// the kept inputs through it in every build.
// Threads: one. Ownership: names and functions live for ever.
#pragma once

#include <string_view>
#include <vector>

#include "storage/base/check.h"

// What must hold whatever the input is.
#define FUZZ_CHECK(condition) TERRACED_CHECK(condition)

namespace terraced::fuzz {

struct FuzzTarget {
  std::string_view name;  // that of the file, without _fuzz.cc, and of the folder in corpus/
  void (*run)(std::string_view input);
};

// Those that are linked in, by name.
const std::vector<FuzzTarget>& FuzzTargets();

// One at namespace scope in each target's file.
class FuzzRegistration {
 public:
  FuzzRegistration(std::string_view name, void (*run)(std::string_view input));
};

}  // namespace terraced::fuzz
