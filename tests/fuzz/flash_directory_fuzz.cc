// FORMAT, STATE, CLEAN and OPENING of a flash directory: [control] and for each file [length] [bytes]. Control 1: the
// CRC of STATE is mended; 2: a good FORMAT is written instead; 4: the clean mark is of the run that STATE names.
// A STATE that is good must come back as it was written, one that is not must be made anew, and the clean mark must
// count only where it names the right run. After all of it the directory can be used.
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "storage/base/hash.h"
#include "storage/flash/flash_directory.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/scratch_directory.h"

namespace terraced::fuzz {
namespace {

using storage::FlashDirectory;
using storage::FlashState;

// As storage/README.md has it, "STATE".
struct StateFile {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t crc;
  uint64_t features;
  uint64_t start_count;
  uint64_t directory_id;
  uint64_t run_id;
  uint64_t clean_run_id;
  uint64_t epoch;
  uint64_t cas_next;
  uint32_t flush_due_s;
  uint32_t stopped_s;
  std::array<uint64_t, 4> hash_key;
  uint64_t last_run_id;  // version 1 ends before it
};
static_assert(sizeof(StateFile) == 120);
constexpr size_t kFirstVersionBytes = 112;
constexpr char kFormat[] = "terraced flash tier, format 1\n";

uint32_t CrcOf(StateFile state, size_t bytes) {
  state.crc = 0;
  return Crc32c(0, {reinterpret_cast<const char*>(&state), bytes});
}

struct Files {
  std::string format;
  std::string state;
  std::string clean;
  std::string opening;
  StateFile parsed{};
  bool state_is_good = false;
};

std::string CleanMark(uint64_t run_id) {
  std::array<char, 64> mark;
  std::snprintf(mark.data(), mark.size(), "clean stop of run %016lx\n", run_id);
  return mark.data();
}

Files TakeFiles(FuzzInput* input) {
  const uint8_t control = input->Byte();
  Files files;
  for (std::string* file : {&files.format, &files.state, &files.clean, &files.opening}) {
    *file = input->Take(input->Byte());
  }
  if ((control & 2U) != 0) files.format = kFormat;
  const size_t bytes = files.state.size();
  if (bytes == sizeof(StateFile) || bytes == kFirstVersionBytes) {
    std::memcpy(&files.parsed, files.state.data(), bytes);
    if ((control & 1U) != 0) {
      files.parsed.crc = CrcOf(files.parsed, bytes);
      std::memcpy(files.state.data(), &files.parsed, bytes);
    }
    files.state_is_good = std::memcmp(files.parsed.magic.data(), "TERRACST", 8) == 0 &&
                          files.parsed.version == (bytes == kFirstVersionBytes ? 1 : 2) &&
                          files.parsed.features == 0 &&
                          files.parsed.crc == CrcOf(files.parsed, bytes);
  }
  if ((control & 4U) != 0) files.clean = CleanMark(files.parsed.run_id);
  return files;
}

// The mark is of the last run, or of the one that STATE says left it.
bool MarkCounts(const Files& files) {
  if (!files.state_is_good) return false;
  for (const uint64_t run : {files.parsed.run_id, files.parsed.clean_run_id}) {
    if (run != 0 && files.clean == CleanMark(run)) return true;
  }
  return false;
}

void CheckState(const Files& files, const FlashState& state) {
  FUZZ_CHECK(state.start_count >= 1 && state.start_count <= storage::kStartCountMax);
  FUZZ_CHECK(state.run_id != 0);
  if (!files.state_is_good) {
    FUZZ_CHECK(state.directory_id != 0 && state.epoch == FlashState().epoch);
    return;
  }
  FUZZ_CHECK(state.start_count == files.parsed.start_count + 1);
  FUZZ_CHECK(state.directory_id == files.parsed.directory_id);
  FUZZ_CHECK(state.epoch == files.parsed.epoch && state.cas_next == files.parsed.cas_next);
  FUZZ_CHECK(state.flush_due_s == files.parsed.flush_due_s);
  FUZZ_CHECK(state.stopped_s == files.parsed.stopped_s);
  FUZZ_CHECK(state.hash_key.words == files.parsed.hash_key);
}

// A second start: what the first one wrote is read.
void CheckReopens(const std::string& path, const FlashState& before) {
  const Result<std::unique_ptr<FlashDirectory>> opened = FlashDirectory::Open(path);
  if (!opened.ok()) {
    FUZZ_CHECK(before.start_count == storage::kStartCountMax);
    return;
  }
  const FlashState& state = opened.value()->State();
  FUZZ_CHECK(!opened.value()->IsNew());
  FUZZ_CHECK(state.start_count == before.start_count + 1 && state.run_id != before.run_id);
  FUZZ_CHECK(state.directory_id == before.directory_id && state.epoch == before.epoch);
  std::string why_not;
  FUZZ_CHECK(opened.value()->WasClean(&why_not));
}

void UseDirectory(const Files& files, const std::string& path) {
  FlashState state;
  {
    const Result<std::unique_ptr<FlashDirectory>> opened = FlashDirectory::Open(path);
    if (!opened.ok()) {
      const bool used_up =
          files.state_is_good && files.parsed.start_count >= storage::kStartCountMax;
      FUZZ_CHECK(files.format != kFormat || used_up);
      return;
    }
    FUZZ_CHECK(files.format == kFormat);
    FlashDirectory& directory = *opened.value();
    CheckState(files, directory.State());
    FUZZ_CHECK(directory.IsNew() == files.state.empty());
    std::string why_not;
    FUZZ_CHECK(!directory.WasClean(&why_not) && !why_not.empty());  // there is no INDEX
    static const auto batches = std::make_unique<storage::BatchTable>();
    static const auto index = std::make_unique<storage::FlashIndex>(*batches, 0);
    // Only where the mark counts is INDEX looked for.
    const bool looked =
        directory.LoadIndex(batches.get(), index.get()).code() == StatusCode::kNotFound;
    FUZZ_CHECK(looked == MarkCounts(files));
    FUZZ_CHECK(directory.MarkOpening().ok());
    FUZZ_CHECK(directory.SaveClean(directory.State(), *batches, *index).ok());
    state = directory.State();
  }
  CheckReopens(path, state);
}

void RunFlashDirectory(std::string_view bytes) {
  static const ScratchDirectory directory;
  directory.Clear();
  FuzzInput input(bytes);
  const Files files = TakeFiles(&input);
  directory.Write("FORMAT", files.format);
  // None of the others is a case of its own: a first start.
  if (!files.state.empty()) directory.Write("STATE", files.state);
  if (!files.clean.empty()) directory.Write("CLEAN", files.clean);
  if (!files.opening.empty()) directory.Write("OPENING", files.opening);
  UseDirectory(files, directory.Path());
}

const FuzzRegistration kRegistration("flash_directory", &RunFlashDirectory);

}  // namespace
}  // namespace terraced::fuzz
