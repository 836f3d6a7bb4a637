#include "src/ext_path.h"

#include <filesystem>
#include <optional>
#include <string_view>

#include "src/option_value.h"

namespace terraced::server {
namespace {

constexpr std::string_view kBesideFile = ".flash";

struct ExtPath {
  std::string path;
  uint64_t bytes = 0;
  bool has_bucket = false;
};

std::optional<ExtPath> Parse(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::string_view rest = text.substr(colon + 1);
  const size_t size_end = rest.find(':');
  std::optional<uint64_t> bytes = ParseBytes(rest.substr(0, size_end), 1U << 20);
  // Petabytes, which only extstore names.
  const std::string_view size = rest.substr(0, size_end);
  if (!bytes.has_value() && (size.ends_with('p') || size.ends_with('P'))) {
    bytes = ParseBytes(std::string(size.substr(0, size.size() - 1)) + "t", 1);
    if (bytes.has_value()) *bytes *= 1024;
  }
  if (!bytes.has_value() || *bytes == 0) return std::nullopt;
  return ExtPath{std::string(text.substr(0, colon)), *bytes, size_end != std::string_view::npos};
}

}  // namespace

Status FollowExtPaths(Options& options) {
  constexpr uint64_t kSumMax = 1ULL << 62;
  uint64_t bytes = 0;
  for (const std::string& text : options.accepted.ext_path) {
    const std::optional<ExtPath> one = Parse(text);
    if (!one.has_value() || one->bytes > kSumMax - bytes) {
      return Status(StatusCode::kInvalidArgument,
                    "'" + text + "' is not PATH:SIZE, as in /srv/cache:4g");
    }
    if (bytes == 0) options.cache.flash_path = one->path;
    bytes += one->bytes;
  }
  options.cache.flash_size_bytes = bytes;
  return Status();
}

std::vector<std::string> SettleExtPaths(Options* options) {
  std::vector<std::string> notices;
  const std::vector<std::string>& texts = options->accepted.ext_path;
  std::string& path = options->cache.flash_path;
  // flash_path that was given after it wins.
  if (texts.empty() || !texts.front().starts_with(path + ":")) return notices;
  if (texts.size() > 1) {
    notices.push_back("-o ext_path: " + std::to_string(texts.size()) +
                      " paths are one flash tier of " +
                      FormatBytes(options->cache.flash_size_bytes) + " in the first, " + path);
  }
  for (const std::string& text : texts) {
    if (!Parse(text)->has_bucket) continue;
    notices.push_back("-o ext_path: buckets mean nothing here, " +
                      text.substr(text.rfind(':') + 1) + " is taken without effect");
    break;
  }
  std::error_code error;
  const bool is_file = std::filesystem::is_regular_file(path, error);
  if (is_file) path += kBesideFile;
  if (is_file || !std::filesystem::exists(path, error)) {
    notices.push_back("-o ext_path: the flash tier is the directory " + path +
                      (is_file ? ", beside the file of that name" : ""));
  }
  return notices;
}

}  // namespace terraced::server
