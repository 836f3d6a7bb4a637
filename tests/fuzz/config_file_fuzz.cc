// The configuration file, as text. What SplitConfig takes apart must be the same words when they are quoted and taken
// apart again. The file is then read as --config names it, and what the options come to is checked and shown.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "src/config_file.h"
#include "src/option_table.h"
#include "src/options.h"
#include "tests/fuzz/fuzz_target.h"

namespace terraced::fuzz {
namespace {

using server::CommandLine;
using server::ConfigLine;
using server::Options;
using server::SplitConfig;

std::string Quoted(std::string_view word) {
  std::string quoted = "\"";
  for (const char c : word) {
    if (c == '"') {
      quoted += "\"'\"'\"";  // end the quotes, a quoted quote, begin them again
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

void CheckSplit(std::string_view text) {
  const Result<std::vector<ConfigLine>> lines = SplitConfig(text, "file");
  if (!lines.ok()) {
    FUZZ_CHECK(lines.status().code() == StatusCode::kInvalidArgument);
    return;
  }
  std::string again;
  int number = 0;
  for (const ConfigLine& line : lines.value()) {
    FUZZ_CHECK(line.number > number && !line.words.empty());
    number = line.number;
    for (const std::string& word : line.words) again.append(Quoted(word)).append(" \t");
    again += "# ends here\n\n";
  }
  FUZZ_CHECK(number <= 1 + std::count(text.begin(), text.end(), '\n'));
  const Result<std::vector<ConfigLine>> twice = SplitConfig(again, "again");
  FUZZ_CHECK(twice.ok() && twice.value().size() == lines.value().size());
  for (size_t i = 0; i < twice.value().size(); ++i) {
    FUZZ_CHECK(twice.value()[i].words == lines.value()[i].words);
  }
}

void CheckOptionsOf(CommandLine line) {
  Options& options = line.options;
  FUZZ_CHECK(line.action == server::StartAction::kServe);
  const Status status = server::CheckOptions(&options);
  FUZZ_CHECK(status.ok() || !status.message().empty());
  // What holds after a good check must hold after another.
  FUZZ_CHECK(!status.ok() || server::CheckOptions(&options).ok());
  FUZZ_CHECK(!status.ok() || server::CheckLiveOptions(options).ok());
  FUZZ_CHECK(server::DescriptorsNeeded(options) >= server::kDescriptorsReserve);
  FUZZ_CHECK(server::ReplyMemoryBytes(options) > 0);
  for (const auto& [name, value] : server::SettingsForStats(options)) {
    FUZZ_CHECK(!name.empty());
  }
  if (options.cache.flash_path.empty() || !status.ok()) return;
  const Status resolved =
      server::ResolveFlashSize(&options, {.free_bytes = 1ULL << 40, .used_bytes = 1ULL << 20});
  FUZZ_CHECK(!resolved.ok() || options.cache.flash_size_bytes >= server::FlashSizeLeast(options));
}

void RunConfigFile(std::string_view text) {
  CheckSplit(text);
  static const int file = ::memfd_create("config", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  FUZZ_CHECK(file >= 0 && ::ftruncate(file, 0) == 0);
  FUZZ_CHECK(::pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  const std::array<const char*, 2> arguments = {"--config", path.c_str()};
  Result<CommandLine> line = server::ParseCommandLine(arguments);
  if (!line.ok()) {
    // kNotFound: of what memcached ends for with 64 (options.h).
    FUZZ_CHECK(line.status().code() == StatusCode::kInvalidArgument ||
               line.status().code() == StatusCode::kNotFound);
    FUZZ_CHECK(line.status().message().find('\n') == std::string_view::npos);
    return;
  }
  CheckOptionsOf(std::move(line).value());
}

const FuzzRegistration kRegistration("config_file", &RunConfigFile);

}  // namespace
}  // namespace terraced::fuzz
