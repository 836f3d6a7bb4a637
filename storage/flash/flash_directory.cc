#include "storage/flash/flash_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>
#include <type_traits>

#include "storage/base/check.h"
#include "storage/base/crash_mark.h"
#include "storage/base/kill_point.h"
#include "storage/base/sync_point.h"
#include "storage/flash/index_file.h"

namespace terraced::storage {
namespace {

static_assert(std::endian::native == std::endian::little,
              "STATE is little endian as it lies in memory");

constexpr char kLockName[] = "LOCK";
constexpr char kStateName[] = "STATE";
constexpr char kCleanName[] = "CLEAN";
constexpr char kIndexName[] = "INDEX";
constexpr char kHotListName[] = "HOT";
constexpr char kOpeningName[] = "OPENING";
constexpr char kAsideName[] = "aside";
// What makes up the tier, as against what outlives its emptying.
constexpr std::array<const char*, 5> kTierNames = {kIndexName, kHotListName, "db", "hashes",
                                                   "staging"};

constexpr std::string_view kFormatPrefix = "terraced flash tier, format ";
constexpr std::string_view kCleanPrefix = "clean stop of run ";
constexpr size_t kSmallFileBytesMax = 4096;
constexpr uint32_t kOpeningsMax = 2;
// OPENING: a number and one of these. A crash adds a line.
constexpr char kOpeningSuffix[] = " opening\n";
constexpr char kOpenedSuffix[] = " open\n";

struct FileState {
  uint64_t magic;
  uint32_t version;
  uint32_t crc;       // CRC-32C of everything else, crc = 0
  uint64_t features;  // bits a reader must know to understand the file; none are defined
  uint64_t start_count;
  uint64_t directory_id;
  uint64_t run_id;
  uint64_t clean_run_id;  // the run whose clean mark counts, if it stands
  uint64_t epoch;
  uint64_t cas_next;
  uint32_t flush_due_s;
  uint32_t stopped_s;
  std::array<uint64_t, 4> hash_key;
  uint64_t
      last_run_id;  // the run that changed things last, unless it ended cleanly; from version 2 on
};
static_assert(sizeof(FileState) == 120);
constexpr size_t kFirstVersionBytes = offsetof(FileState, last_run_id);
static_assert(std::has_unique_object_representations_v<FileState>, "no padding reaches the disk");

constexpr uint64_t kStateMagic = 0x5453434152524554;  // "TERRACST"
constexpr uint32_t kStateVersion = 2;

uint32_t CrcOf(FileState file, size_t bytes) {
  file.crc = 0;
  return Crc32c(0, std::string_view(reinterpret_cast<const char*>(&file), bytes));
}

std::string EncodeState(const FlashState& state, uint64_t clean_run_id, uint64_t last_run_id) {
  FileState file = {};
  file.magic = kStateMagic;
  file.version = kStateVersion;
  file.start_count = state.start_count;
  file.directory_id = state.directory_id;
  file.run_id = state.run_id;
  file.clean_run_id = clean_run_id;
  file.epoch = state.epoch;
  file.cas_next = state.cas_next;
  file.flush_due_s = state.flush_due_s;
  file.stopped_s = state.stopped_s;
  file.hash_key = state.hash_key.words;
  file.last_run_id = last_run_id;
  file.crc = CrcOf(file, sizeof(file));
  return {reinterpret_cast<const char*>(&file), sizeof(file)};
}

// nullopt: damaged.
std::optional<FlashState> DecodeState(std::string_view bytes, uint64_t* clean_run_id,
                                      uint64_t* last_run_id) {
  FileState file = {};
  if (bytes.size() != sizeof(file) && bytes.size() != kFirstVersionBytes) return std::nullopt;
  std::memcpy(&file, bytes.data(), bytes.size());
  if (file.magic != kStateMagic || file.crc != CrcOf(file, bytes.size())) return std::nullopt;
  if (file.version != (bytes.size() == sizeof(file) ? kStateVersion : 1)) return std::nullopt;
  if (file.features != 0) return std::nullopt;
  FlashState state;
  state.start_count = file.start_count;
  state.directory_id = file.directory_id;
  state.run_id = file.run_id;
  state.epoch = file.epoch;
  state.cas_next = file.cas_next;
  state.flush_due_s = file.flush_due_s;
  state.stopped_s = file.stopped_s;
  state.hash_key.words = file.hash_key;
  *clean_run_id = file.clean_run_id;
  *last_run_id = file.last_run_id;
  return state;
}

uint64_t RandomId() {
  uint64_t id = 0;
  while (id == 0) id = RandomU64();  // 0 says "none"
  return id;
}

std::string CleanMark(uint64_t run_id) {
  std::array<char, 20> digits;
  std::snprintf(digits.data(), digits.size(), "%016lx\n", run_id);
  return std::string(kCleanPrefix) + digits.data();
}

std::string FormatText() {
  return std::string(kFormatPrefix) + std::to_string(kFlashFormatVersion) + "\n";
}

// The number a text begins with; 0: none.
uint64_t LeadingNumber(std::string_view text) {
  uint64_t number = 0;
  static_cast<void>(std::from_chars(text.data(), text.data() + text.size(), number));
  return number;
}

bool IsAbsent(const Status& status) {
  return status.code() == StatusCode::kNotFound;
}

// What may stand in a directory that has no FORMAT yet: the beginnings of a start that was killed,
// and what a fresh filesystem brings along.
bool MayPrecedeFormat(std::string_view name) {
  return name == "." || name == ".." || name == "lost+found" || name == kLockName ||
         name == TemporaryName(kFlashFormatName);
}

}  // namespace

uint64_t StartCountFromClock(uint64_t unix_s) {
  const uint64_t minutes = unix_s > kStartCountEpochS ? (unix_s - kStartCountEpochS) / 60 : 0;
  return std::clamp<uint64_t>(minutes, 1, kStartCountFromClockMax);
}

Result<std::unique_ptr<FlashDirectory>> FlashDirectory::Open(const std::string& path) {
  std::unique_ptr<FlashDirectory> directory(new FlashDirectory(path));
  const std::string context = "flash_path '" + path + "'";
  TERRACED_RETURN_IF_ERROR(directory->OpenPath());
  TERRACED_RETURN_IF_ERROR(directory->CheckForeign());
  TERRACED_RETURN_IF_ERROR(directory->Lock());
  // Once more under the lock: somebody may have filled the directory since.
  TERRACED_RETURN_IF_ERROR(directory->CheckForeign());
  TERRACED_RETURN_IF_ERROR(directory->CheckFormat());
  TERRACED_RETURN_IF_ERROR(directory->RenewState().WithContext(context));
  return directory;
}

FlashDirectory::~FlashDirectory() {
  ClearOpening();
}

Status FlashDirectory::OpenPath() {
  const std::string context = "flash_path '" + path_ + "'";
  if (path_.empty()) return Status(StatusCode::kInvalidArgument, "flash_path is empty");
  const bool made = ::mkdir(path_.c_str(), S_IRWXU) == 0;
  if (!made && errno == ENOENT) {
    return Status(StatusCode::kInvalidArgument,
                  context + ": the directory above it does not exist; create that first");
  }
  if (!made && errno != EEXIST) return Status::FromErrno(context + ": cannot be created", errno);
  // Links are followed here: an operator may well point the path at another disk.
  directory_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory_.Get() < 0 && errno == ENOTDIR) {
    return Status(StatusCode::kInvalidArgument, context + " is not a directory");
  }
  if (directory_.Get() < 0) return Status::FromErrno(context + ": cannot be opened", errno);
  struct stat info = {};
  if (::fstat(directory_.Get(), &info) != 0) return Status::FromErrno(context, errno);
  if (info.st_uid != ::geteuid()) {
    return Status(StatusCode::kInvalidArgument,
                  context + " belongs to user " + std::to_string(info.st_uid) +
                      ", but terraced runs as user " + std::to_string(::geteuid()));
  }
  return Status();
}

Status FlashDirectory::CheckForeign() const {
  struct stat info = {};
  if (::fstatat(directory_.Get(), kFlashFormatName, &info, AT_SYMLINK_NOFOLLOW) == 0)
    return Status();
  const int fd = ::openat(directory_.Get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Status::FromErrno("flash_path '" + path_ + "'", errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(fd), &::closedir);
  if (listing == nullptr) {
    const int error = errno;
    ::close(fd);
    return Status::FromErrno("flash_path '" + path_ + "'", error);
  }
  while (const dirent* const entry = ::readdir(listing.get())) {
    if (MayPrecedeFormat(entry->d_name)) continue;
    return Status(StatusCode::kInvalidArgument,
                  "flash_path '" + path_ +
                      "' is not empty and not a flash directory of terraced (there is '" +
                      entry->d_name + "'); name an empty or a new directory");
  }
  return Status();
}

Status FlashDirectory::Lock() {
  const std::string context = "flash_path '" + path_ + "'";
  Result<FileDescriptor> opened = OpenOwnFile(directory_.Get(), kLockName, O_RDWR | O_CREAT);
  if (!opened.ok()) return opened.status().WithContext(context + " is not usable");
  lock_ = std::move(opened).value();
  if (::flock(lock_.Get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Status::FromErrno(context + ": lock", errno);
    std::array<char, 32> text = {};
    const Result<size_t> got = ReadAt(lock_.Get(), 0, text, kLockName);
    const uint64_t pid = got.ok() ? LeadingNumber(std::string_view(text.data(), got.value())) : 0;
    return Status(StatusCode::kBusy,
                  context + " is in use by " +
                      (pid != 0 ? "process " + std::to_string(pid) : "another process"));
  }
  if (::ftruncate(lock_.Get(), 0) != 0) return Status::FromErrno(context + ": LOCK", errno);
  return WriteAt(lock_.Get(), 0, std::to_string(::getpid()) + "\n", kLockName).WithContext(context);
}

Status FlashDirectory::CheckFormat() {
  const std::string context = "flash_path '" + path_ + "'";
  const Result<std::string> text =
      ReadSmallFile(directory_.Get(), kFlashFormatName, kSmallFileBytesMax);
  if (!text.ok() && !IsAbsent(text.status())) return text.status().WithContext(context);
  if (!text.ok()) {
    // A directory made by somebody else for us may be open to all; from here on it holds clients'
    // data.
    if (::fchmod(directory_.Get(), S_IRWXU) != 0)
      return Status::FromErrno(context + ": chmod", errno);
    return ReplaceFile(directory_.Get(), kFlashFormatName, FormatText()).WithContext(context);
  }
  if (text.value() == FormatText()) return Status();
  if (!text.value().starts_with(kFormatPrefix)) {
    return Status(StatusCode::kInvalidArgument, context + ": its FORMAT is not one of terraced");
  }
  const uint64_t version =
      LeadingNumber(std::string_view(text.value()).substr(kFormatPrefix.size()));
  return Status(StatusCode::kInvalidArgument, context + " has format " + std::to_string(version) +
                                                  ", this terraced knows format " +
                                                  std::to_string(kFlashFormatVersion) +
                                                  "; nothing was changed there");
}

bool FlashDirectory::IsInPlace() const {
  if (!CheckIsAt(directory_.Get(), path_).ok()) return false;
  struct stat file = {};
  for (const char* const name : {kLockName, kFlashFormatName, kStateName}) {
    if (::fstatat(directory_.Get(), name, &file, AT_SYMLINK_NOFOLLOW) != 0) return false;
  }
  return true;
}

Status FlashDirectory::CheckSameTier(const FlashDirectory& found) const {
  const std::string context = "flash_path '" + path_ + "'";
  const Result<std::string> bytes =
      ReadSmallFile(found.directory_.Get(), kStateName, kSmallFileBytesMax);
  if (bytes.ok()) {
    Runs runs;
    const std::optional<FlashState> state = DecodeState(bytes.value(), &runs.clean, &runs.last);
    if (state.has_value() && state->directory_id == state_.directory_id) return Status();
    return Status(StatusCode::kInvalidArgument,
                  context + " is another directory than at the start");
  }
  if (!IsAbsent(bytes.status())) return bytes.status().WithContext(context);
  struct stat now = {};
  struct stat before = {};
  if (::fstat(found.directory_.Get(), &now) != 0 || ::fstat(directory_.Get(), &before) != 0) {
    return Status::FromErrno(context, errno);
  }
  if (now.st_dev == before.st_dev) return Status();
  return Status(StatusCode::kInvalidArgument,
                context + " is on another filesystem than at the start");
}

Status FlashDirectory::Restore() {
  const MutexLock lock(writing_);
  if (IsInPlace()) return Status();
  struct stat info = {};
  if (::stat(path_.c_str(), &info) != 0) {
    return Status(StatusCode::kNotFound, "flash_path '" + path_ + "' is gone");
  }
  FlashDirectory found(path_);
  TERRACED_RETURN_IF_ERROR(found.OpenPath());
  TERRACED_RETURN_IF_ERROR(found.CheckForeign());
  TERRACED_RETURN_IF_ERROR(CheckSameTier(found));
  struct stat held = {};
  const bool locked = ::fstat(lock_.Get(), &held) == 0 &&
                      ::fstatat(found.directory_.Get(), kLockName, &info, 0) == 0 &&
                      held.st_ino == info.st_ino && held.st_dev == info.st_dev;
  if (!locked) TERRACED_RETURN_IF_ERROR(found.Lock());
  TERRACED_RETURN_IF_ERROR(found.CheckFormat());
  directory_ = std::move(found.directory_);
  if (!locked) lock_ = std::move(found.lock_);
  return WriteStateFile(state_, runs_);
}

uint64_t FlashDirectory::MarkedRun(std::string* why_not) const {
  const Result<std::string> text = ReadSmallFile(directory_.Get(), kCleanName, kSmallFileBytesMax);
  if (!text.ok()) {
    *why_not =
        IsAbsent(text.status()) ? "there is no clean mark" : std::string(text.status().message());
    return 0;
  }
  uint64_t run_id = 0;
  if (text.value().starts_with(kCleanPrefix)) {
    const char* const begin = text.value().data() + kCleanPrefix.size();
    static_cast<void>(
        std::from_chars(begin, text.value().data() + text.value().size(), run_id, 16));
  }
  if (run_id != 0 && CleanMark(run_id) == text.value()) return run_id;
  *why_not = "the clean mark is damaged";
  return 0;
}

Status FlashDirectory::RenewState() {
  const Result<std::string> bytes = ReadSmallFile(directory_.Get(), kStateName, kSmallFileBytesMax);
  Runs earlier;
  std::optional<FlashState> previous;
  if (bytes.ok()) {
    previous = DecodeState(bytes.value(), &earlier.clean, &earlier.last);
  } else if (!IsAbsent(bytes.status()) && bytes.status().code() != StatusCode::kCorruption) {
    return bytes.status();  // a disk that cannot be read now may well be read at the next start
  }
  FlashState state;
  if (previous.has_value()) {
    state = *previous;
    if (state.start_count >= kStartCountMax) {
      return Status(StatusCode::kInvalidArgument,
                    "its start count is used up; use a new directory");
    }
    ++state.start_count;
  } else {
    state.start_count =
        StartCountFromClock(static_cast<uint64_t>(std::max<time_t>(std::time(nullptr), 0)));
    state.directory_id = RandomId();
    state.hash_key = HashKey::Random();
  }
  state.run_id = RandomId();

  // The mark counts if the previous run made it, or if it stood already when that run began and was
  // not removed: nothing on flash changes before BeginChanges().
  const uint64_t marked = MarkedRun(&not_clean_);
  Runs runs;
  runs.last = earlier.last;
  if (!previous.has_value()) {
    is_new_ = IsAbsent(bytes.status());
    not_clean_ = is_new_ ? "the directory is new" : "STATE is damaged";
  } else if (marked != 0 && (marked == previous->run_id || marked == earlier.clean)) {
    runs.clean = marked;
  } else if (marked != 0) {
    not_clean_ = "the clean mark is of another run";
  }
  return Persist(state, runs);
}

Status FlashDirectory::WriteStateFile(const FlashState& state, const Runs& runs) const {
  return ReplaceFile(directory_.Get(), kStateName, EncodeState(state, runs.clean, runs.last));
}

Status FlashDirectory::Persist(const FlashState& state, const Runs& runs) {
  TERRACED_RETURN_IF_ERROR(WriteStateFile(state, runs));
  state_ = state;
  runs_ = runs;
  return Status();
}

Status FlashDirectory::WriteState(const FlashState& state) {
  TERRACED_CHECK(state.run_id == state_.run_id);
  TERRACED_CHECK(state.start_count >= state_.start_count);
  const std::string context = "flash_path '" + path_ + "'";
  if (state.start_count > kStartCountMax) {
    return Status(StatusCode::kInvalidArgument, context + ": its start count is used up");
  }
  const MutexLock lock(writing_);
  return Persist(state, runs_).WithContext(context);
}

bool FlashDirectory::WasClean(std::string* why_not) const {
  if (runs_.clean == 0) {
    *why_not = not_clean_;
    return false;
  }
  const Result<IndexIdentity> identity = ReadIndexIdentity(directory_.Get(), kIndexName);
  if (!identity.ok()) {
    *why_not = identity.status().message();
    return false;
  }
  if (identity.value().run_id == runs_.clean &&
      identity.value().directory_id == state_.directory_id)
    return true;
  *why_not = "INDEX is of another run or directory";
  return false;
}

Status FlashDirectory::LoadIndex(BatchTable* batches, FlashIndex* index) const {
  if (runs_.clean == 0) return Status(StatusCode::kCorruption, not_clean_);
  const IndexIdentity expected = {.directory_id = state_.directory_id, .run_id = runs_.clean};
  return ReadIndexFile(directory_.Get(), kIndexName, expected, batches, index);
}

Result<std::unique_ptr<HotListReader>> FlashDirectory::OpenHotList() const {
  if (runs_.clean == 0) return Status(StatusCode::kNotFound, not_clean_);
  return HotListReader::Open(directory_.Get(), kHotListName,
                             {.directory_id = state_.directory_id, .run_id = runs_.clean});
}

Result<std::unique_ptr<HotListWriter>> FlashDirectory::CreateHotList() const {
  return HotListWriter::Create(directory_.Get(), kHotListName);
}

Status FlashDirectory::FinishHotList(HotListWriter* list) const {
  return list->Finish({.directory_id = state_.directory_id, .run_id = state_.run_id});
}

Status FlashDirectory::BeginChanges() {
  // STATE first: from then on the mark means nothing, even if it came back from a backup.
  not_clean_ = "the clean mark was removed";
  const std::string context = "flash_path '" + path_ + "'";
  const bool keeps_mark = MutantIs(Mutant::kCleanMarkKept);
  const Runs runs{.clean = keeps_mark ? runs_.clean : 0, .last = state_.run_id};
  if (runs_.clean != runs.clean || runs_.last != runs.last) {
    TERRACED_RETURN_IF_ERROR(Persist(state_, runs).WithContext(context));
  }
  KillPoints::Pass(KillPoint::kStartStateWritten);
  if (keeps_mark) return Status();
  TERRACED_RETURN_IF_ERROR(RemoveFile(directory_.Get(), kCleanName).WithContext(context));
  TERRACED_RETURN_IF_ERROR(SyncDirectory(directory_.Get(), path_));
  KillPoints::Pass(KillPoint::kStartMarkRemoved);
  // Of no use without the mark, and a twentieth of the tier where values are small. Left behind they only take room.
  for (const char* const name : {kIndexName, kHotListName}) {
    static_cast<void>(RemoveFile(directory_.Get(), name).ok());
    static_cast<void>(RemoveFile(directory_.Get(), TemporaryName(name)).ok());
  }
  return Status();
}

Status FlashDirectory::SaveClean(const FlashState& state, const BatchTable& batches,
                                 const FlashIndex& index) {
  TERRACED_CHECK(state.run_id == state_.run_id);
  const std::string context = "flash_path '" + path_ + "'";
  const IndexIdentity identity = {.directory_id = state.directory_id, .run_id = state.run_id};
  TERRACED_RETURN_IF_ERROR(
      WriteIndexFile(directory_.Get(), kIndexName, identity, batches, index).WithContext(context));
  KillPoints::Pass(KillPoint::kStopIndexWritten);
  // The shared index goes on counting: until the mark stands it is what a start after a kill has. Nothing changes it any
  // more, and the next run takes it out of STATE.
  TERRACED_RETURN_IF_ERROR(
      Persist(state, Runs{.clean = state.run_id, .last = runs_.last}).WithContext(context));
  KillPoints::Pass(KillPoint::kStopStateWritten);
  TERRACED_RETURN_IF_ERROR(
      ReplaceFile(directory_.Get(), kCleanName, CleanMark(state.run_id)).WithContext(context));
  KillPoints::Pass(KillPoint::kStopMarked);
  ClearOpening();  // a tier that came to a clean stop does not crash at its start
  return Status();
}

Status FlashDirectory::RemoveTier() {
  for (const char* const name : kTierNames) {
    std::error_code error;
    std::filesystem::remove_all(path_ + "/" + name, error);
    if (error) return Status::FromErrno("remove '" + path_ + "/" + name + "'", error.value());
  }
  return SyncDirectory(directory_.Get(), path_);
}

Status FlashDirectory::EmptyTier() {
  // The mark goes first: half a tier must not look like a whole one.
  TERRACED_RETURN_IF_ERROR(BeginChanges());
  not_clean_ = "the tier was emptied";
  return RemoveTier();
}

Result<bool> FlashDirectory::MarkOpening() {
  const std::string context = "flash_path '" + path_ + "'";
  const Result<std::string> text =
      ReadSmallFile(directory_.Get(), kOpeningName, kSmallFileBytesMax);
  uint64_t openings = 0;
  if (text.ok()) {
    // It died opening the tier, however that came about, or by itself soon after.
    const bool blamed = !text.value().ends_with(kOpenedSuffix);
    openings = blamed ? LeadingNumber(text.value()) : 0;
  } else if (!IsAbsent(text.status())) {
    openings = 1;
  }
  const bool aside = openings >= kOpeningsMax;
  if (aside) {
    TERRACED_RETURN_IF_ERROR(BeginChanges());
    std::error_code error;
    std::filesystem::remove_all(path_ + "/" + kAsideName, error);
    if (error) return Status::FromErrno(context + ": remove 'aside'", error.value());
    TERRACED_RETURN_IF_ERROR(MakeDirectory(directory_.Get(), kAsideName).WithContext(context));
    for (const char* const name : kTierNames) {
      const std::string to = std::string(kAsideName) + "/" + name;
      const bool moved = ::renameat(directory_.Get(), name, directory_.Get(), to.c_str()) == 0;
      if (!moved && errno != ENOENT)
        return Status::FromErrno(context + ": move '" + name + "' aside", errno);
    }
    not_clean_ =
        "the tier was moved aside after two starts that did not survive their first minute";
    openings = 0;
  }
  openings_ = openings + 1;
  TERRACED_RETURN_IF_ERROR(
      ReplaceFile(directory_.Get(), kOpeningName, std::to_string(openings_) + kOpeningSuffix)
          .WithContext(context));
  opening_marked_ = true;
  return aside;
}

Status FlashDirectory::MarkOpened() {
  const std::string context = "flash_path '" + path_ + "'";
  TERRACED_RETURN_IF_ERROR(
      ReplaceFile(directory_.Get(), kOpeningName, std::to_string(openings_) + kOpenedSuffix)
          .WithContext(context));
  Result<FileDescriptor> mark = OpenOwnFile(directory_.Get(), kOpeningName, O_WRONLY | O_APPEND);
  if (!mark.ok()) return mark.status().WithContext(context);
  crash_mark_ = std::move(mark).value();
  CrashMark::SetFile(crash_mark_.Get());
  return Status();
}

void FlashDirectory::ClearOpening() {
  if (!opening_marked_) return;
  const MutexLock lock(writing_);
  opening_marked_ = false;
  CrashMark::SetFile(-1);
  crash_mark_.Reset();
  // If it cannot be removed, two such ends in a row cost a cold start, nothing else.
  static_cast<void>(RemoveFile(directory_.Get(), kOpeningName).ok());
  static_cast<void>(SyncDirectory(directory_.Get(), path_).ok());
}

Result<uint64_t> FlashDirectory::FreeBytes() const {
  struct statvfs info = {};
  if (::fstatvfs(directory_.Get(), &info) != 0)
    return Status::FromErrno("flash_path '" + path_ + "'", errno);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace terraced::storage
