// torture: see scripts/torture, which builds and runs it.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/servers.h"
#include "tests/torture/torture.h"

namespace terraced::torture {
namespace {

int Usage() {
  std::fprintf(
      stderr,
      "torture --daemon FILE [--twin FILE] [--cycles N] [--seed S] [--longest SECONDS] [--arena]\n"
      "        [--point NAME] [--mutant NAME]\n");
  return 2;
}

bool Parse(int count, char** words, TortureOptions* options) {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--arena") {
      options->server.arena = true;
      continue;
    }
    if (i + 1 >= count) return false;
    const char* const value = words[++i];
    if (word == "--daemon") {
      options->server.binary = value;
    } else if (word == "--twin") {
      options->server.twin = value;
    } else if (word == "--cycles") {
      options->cycles = std::strtoull(value, nullptr, 10);
    } else if (word == "--seed") {
      options->seed = std::strtoull(value, nullptr, 10);
    } else if (word == "--longest") {
      options->longest = std::chrono::seconds(std::strtoull(value, nullptr, 10));
    } else if (word == "--point" && PointByName(value) != nullptr) {
      options->only_point = value;
    } else if (word == "--mutant") {
      options->server.mutant = value;
      options->until_noticed = true;
    } else {
      return false;
    }
  }
  return !options->server.binary.empty();
}

int Main(int count, char** words) {
  TortureOptions options;
  options.seed = support::Seed();
  options.prints = true;
  if (!Parse(count, words, &options)) return Usage();
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  const TortureReport report = RunTorture(options);
  const bool arena = options.server.arena;
  std::printf("%s", report.Table(arena).c_str());
  for (const std::string& text : report.stale_texts) std::printf("stale: %s\n", text.c_str());
  for (const std::string& text : report.problems) std::printf("problem: %s\n", text.c_str());
  const std::string fault = report.Fault(arena);
  if (!fault.empty()) {
    std::printf("FAILED: %s\n", fault.c_str());
    return 1;
  }
  const size_t round = TorturePlan(1, !options.server.twin.empty(), "").RoundLength();
  const bool whole_round = report.cycles >= round && options.only_point.empty();
  const std::string why = report.WhyItDoesNotCount(whole_round);
  if (!why.empty() || report.cycles < options.cycles) {
    std::printf("does not count:%s%s\n", why.c_str(),
                report.cycles < options.cycles ? " cut short;" : "");
    return 1;
  }
  std::printf("passed\n");
  return 0;
}

}  // namespace
}  // namespace terraced::torture

int main(int count, char** words) {
  return terraced::torture::Main(count, words);
}
