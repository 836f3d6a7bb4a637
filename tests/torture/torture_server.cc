#include "tests/torture/torture_server.h"

#include <filesystem>
#include <fstream>

#include "storage/base/clock.h"

namespace terraced::torture {
namespace {

// Where the shared index names the boot (storage/README.md).
constexpr std::streamoff kBootIdAt = 24;
constexpr std::chrono::milliseconds kStartPatience{30'000};

}  // namespace

support::DaemonSpec TortureServer::Spec(bool twin, const std::string& more) const {
  support::DaemonSpec spec;
  spec.patience = kStartPatience;
  const bool is_twin = twin || !options_.mutant.empty();
  spec.binary = is_twin ? options_.twin : options_.binary;
  std::string extended = "test_commands,flash_path=" + directory_.Sub("flash") +
                         ",flash_size=48m,flash_index_dir=" + shared_.Path() + more;
  if (!options_.mutant.empty()) extended += ",mutant=" + options_.mutant;
  spec.arguments = {"-m", "16", "-t", "2", "-o", extended};
  if (options_.arena) {
    spec.arguments.push_back("-e");
    spec.arguments.push_back(shared_.Sub("arena"));
  }
  return spec;
}

Status TortureServer::Start(bool twin) {
  exec_at_us_ = MonotonicUs();
  Result<std::unique_ptr<support::Daemon>> daemon = support::Daemon::Start(Spec(twin, ""));
  if (!daemon.ok()) return daemon.status();
  start_us_ = MonotonicUs() - exec_at_us_;
  daemon_ = std::move(daemon).value();
  return Status();
}

int TortureServer::StartAndDie(std::string_view point, bool twin) {
  return support::StartRefused(Spec(twin, ",kill_at=" + std::string(point) + ":1")).exit_status;
}

std::string TortureServer::IndexPath() const {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(shared_.Path(), ignored)) {
    if (entry.path().extension() == ".index") return entry.path();
  }
  return "";
}

void TortureServer::LoseIndex(bool of_other_boot) {
  const std::string path = IndexPath();
  if (path.empty()) return;
  if (!of_other_boot) {
    std::filesystem::remove(path);
    return;
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(kBootIdAt);
  file << "00000000";
}

void TortureServer::Wipe() {
  for (const std::string& path : {directory_.Sub("flash"), IndexPath(), shared_.Sub("arena")}) {
    std::error_code ignored;
    if (!path.empty()) std::filesystem::remove_all(path, ignored);
  }
}

}  // namespace terraced::torture
