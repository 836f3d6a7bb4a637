#include "src/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "tests/support/process.h"

namespace terraced::server {
namespace {

using support::ReadTextFile;
using support::TempDirectory;
using testing::HasSubstr;
using testing::StartsWith;

// Runs `body` in a child process, for what changes the whole process; answers its exit code.
int InChild(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int ended = 0;
  EXPECT_EQ(::waitpid(child, &ended, 0), child);
  return WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
}

TEST(ProcessTest, TheParentExitsWhenTheDaemonIsReady) {
  const TempDirectory directory;
  const std::string mark = directory.Sub("pid");
  const int code = InChild([&mark] {
    Background background;
    if (!background.Start(DaemonOptions()).ok()) return 99;
    PidFile file;
    file.Write(mark);
    background.Ready(DaemonOptions());
    return 98;  // of the daemon; the parent has long exited with 0
  });
  EXPECT_EQ(code, 0);
  EXPECT_FALSE(ReadTextFile(mark).empty());  // written before the parent was let go
}

TEST(ProcessTest, TheParentExitsWithTheCodeOfAStartThatFailed) {
  EXPECT_EQ(InChild([] {
              Background background;
              if (!background.Start(DaemonOptions()).ok()) return 99;
              background.Failed(ExitCode::kSystem);
              return 0;
            }),
            static_cast<int>(ExitCode::kSystem));
}

TEST(ProcessTest, TheParentNoticesADaemonThatEndedWithoutAWord) {
  EXPECT_EQ(InChild([] {
              Background background;
              if (!background.Start(DaemonOptions()).ok()) return 99;
              ::_exit(64);
            }),
            64);
}

TEST(ProcessTest, WhoeverEndsTheWaitingCommandEndsItsDaemon) {
  const TempDirectory directory;
  const std::string mark = directory.Sub("signal");
  std::array<int, 2> ends;  // the daemon's end of it closes when the daemon is gone
  ASSERT_EQ(::pipe(ends.data()), 0);
  const int code = InChild([&mark, &ends] {
    ::close(ends[0]);
    BlockSignals();
    Background background;
    if (!background.Start(DaemonOptions()).ok()) return 99;
    ::kill(::getppid(), SIGTERM);
    std::ofstream(mark) << TakeSignal(60'000'000'000);
    return 0;
  });
  EXPECT_EQ(code, 128 + SIGTERM);
  ::close(ends[1]);
  char nothing = 0;
  EXPECT_EQ(::read(ends[0], &nothing, 1), 0);
  ::close(ends[0]);
  EXPECT_EQ(ReadTextFile(mark), std::to_string(SIGTERM));
}

TEST(ProcessTest, ClosedStdioIsOpenedBeforeAnythingTakesItsNumber) {
  EXPECT_EQ(InChild([] {
              for (const int fd : {STDIN_FILENO, STDERR_FILENO}) ::close(fd);
              OpenMissingStdio();
              struct stat null;
              if (::stat("/dev/null", &null) != 0) return 1;
              for (const int fd : {STDIN_FILENO, STDERR_FILENO}) {
                struct stat opened;
                if (::fstat(fd, &opened) != 0 || opened.st_rdev != null.st_rdev) return 2;
              }
              // Stdout was open and stays what it was; nothing else is left open.
              const int next = ::open("/dev/null", O_RDONLY);
              OpenMissingStdio();
              return ::open("/dev/null", O_RDONLY) == next + 1 ? 0 : 3;
            }),
            0);
}

TEST(ProcessTest, APidFileIsWrittenWholeAndRemoved) {
  const TempDirectory directory;
  const std::string path = directory.Sub("terraced.pid");
  PidFile file;
  file.Write(path);
  EXPECT_EQ(ReadTextFile(path), std::to_string(::getpid()) + "\n");
  EXPECT_NE(::access((path + ".tmp").c_str(), F_OK), 0);
  file.Remove();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  file.Remove();  // twice does nothing
}

TEST(ProcessTest, APidFileInAFolderOfSomebodyElseIsEmptied) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const TempDirectory directory;
  const std::string path = directory.Sub("terraced.pid");
  EXPECT_EQ(InChild([&path] {
              PidFile file;
              file.Write(path);
              if (!BecomeAccount({.name = "nobody", .uid = 65534, .gid = 65534}).ok()) return 1;
              file.Remove();
              return 0;
            }),
            0);
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  EXPECT_EQ(ReadTextFile(path), "");
}

TEST(ProcessTest, APidFileThatNamesALiveProcessIsAWarning) {
  const TempDirectory directory;
  const std::string path = directory.Sub("terraced.pid");
  std::ofstream(path) << ::getppid() << "\n";
  PidFile file;
  testing::internal::CaptureStderr();
  file.Write(path);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("names process " + std::to_string(::getppid())));
  EXPECT_EQ(ReadTextFile(path), std::to_string(::getpid()) + "\n");
}

TEST(ProcessTest, AStartThatFailsHandsAPidFileBack) {
  const TempDirectory directory;
  const std::string path = directory.Sub("terraced.pid");
  const std::string other = std::to_string(::getppid()) + "\n";
  std::ofstream(path) << other;
  PidFile file;
  testing::internal::CaptureStderr();  // the warning
  file.Write(path);
  file.TakeBack();
  EXPECT_EQ(ReadTextFile(path), other);

  std::ofstream(path) << "999999999\n";  // nobody: what stood there was stale
  file.Write(path);
  file.TakeBack();
  testing::internal::GetCapturedStderr();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST(ProcessTest, APidFileOfSomebodyElseByNowIsLeftAlone) {
  const TempDirectory directory;
  const std::string path = directory.Sub("terraced.pid");
  for (const bool in_place : {true, false}) {
    PidFile file;
    file.Write(path);
    if (!in_place) ::unlink(path.c_str());
    std::ofstream(path) << "1\n";
    file.Remove();
    EXPECT_EQ(ReadTextFile(path), "1\n");
    ::unlink(path.c_str());
  }
}

TEST(ProcessTest, APidFileThatCannotBeWrittenIsAWarning) {
  PidFile file;
  testing::internal::CaptureStderr();
  file.Write("/nonexistent/terraced.pid");
  EXPECT_EQ(
      testing::internal::GetCapturedStderr(),
      "terraced: -P: cannot write /nonexistent/terraced.pid.tmp: No such file or directory\n");
}

TEST(ProcessTest, OnlyRootMustNameAUser) {
  const Result<std::optional<Account>> none = FindAccount("");
  if (::geteuid() != 0) {
    ASSERT_TRUE(none.ok());
    EXPECT_FALSE(none.value().has_value());
    return;
  }
  EXPECT_EQ(none.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("-u root"));
  const Result<std::optional<Account>> unknown = FindAccount("no-such-user-here");
  EXPECT_EQ(unknown.status().code(), StatusCode::kNotFound);
  const Result<std::optional<Account>> root = FindAccount("root");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root.value()->uid, 0U);
}

TEST(ProcessTest, PrivilegesAreDroppedForGood) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  EXPECT_EQ(InChild([] {
              const Result<std::optional<Account>> nobody = FindAccount("nobody");
              if (!nobody.ok() || !BecomeAccount(*nobody.value()).ok()) return 1;
              if (::geteuid() != nobody.value()->uid || ::getegid() != nobody.value()->gid)
                return 2;
              if (::setuid(0) == 0) return 3;
              std::array<gid_t, 64> groups;
              const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
              for (int i = 0; i < count; ++i) {
                if (groups[static_cast<size_t>(i)] == 0) return 4;
              }
              return 0;
            }),
            0);
}

TEST(ProcessTest, TheDescriptorLimitIsRaisedOrTheStartRefused) {
  EXPECT_EQ(InChild([] {
              const struct rlimit low = {.rlim_cur = 128, .rlim_max = 4096};
              if (::setrlimit(RLIMIT_NOFILE, &low) != 0) return 1;
              Options options;
              options.server.connections_max = 1000;
              if (!RaiseDescriptorLimit(options).ok()) return 2;
              struct rlimit now;
              ::getrlimit(RLIMIT_NOFILE, &now);
              return now.rlim_cur >= 1000 ? 0 : 3;
            }),
            0);
  // Beyond what any kernel grants (fs.nr_open), root or not.
  Options options;
  options.server.connections_max = 4'000'000'000;
  const Status status = RaiseDescriptorLimit(options);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              StartsWith("-c 4000000000 and what else is open need"));
}

TEST(ProcessTest, TheFlashDirectoryIsMadeWithItsParents) {
  const TempDirectory directory;
  const std::string path = directory.Sub("a/b/cache");
  ASSERT_TRUE(MakeFlashDirectory(path, std::nullopt).ok());
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  EXPECT_TRUE(MakeFlashDirectory(path, std::nullopt).ok());  // there already
  std::ofstream(directory.Sub("file")) << "x";
  EXPECT_THAT(std::string(MakeFlashDirectory(directory.Sub("file/cache"), std::nullopt).message()),
              StartsWith("-o flash_path: cannot make "));
}

TEST(ProcessTest, RootGivesTheFlashDirectoryToItsUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const TempDirectory directory;
  const Account owner{.name = "somebody", .uid = 12345, .gid = 12346};
  ASSERT_TRUE(MakeFlashDirectory(directory.Sub("cache"), owner).ok());
  struct stat status;
  ASSERT_EQ(::stat(directory.Sub("cache").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 12345U);
  EXPECT_EQ(status.st_gid, 12346U);
}

TEST(ProcessTest, FlashSpaceIsMeasuredBeforeTheDirectoryExistsAndAfter) {
  const TempDirectory directory;
  const std::string path = directory.Sub("not/yet");
  const Result<FlashSpace> before = MeasureFlashSpace(path);
  ASSERT_TRUE(before.ok());
  EXPECT_GT(before.value().free_bytes, 0U);
  EXPECT_EQ(before.value().used_bytes, 0U);
  ASSERT_TRUE(MakeFlashDirectory(path + "/db", std::nullopt).ok());
  std::ofstream(path + "/db/000001.sst") << std::string(1U << 20, 'x');
  // Somebody else's directory, which will be refused: what it holds is not ours to use again.
  EXPECT_EQ(MeasureFlashSpace(path).value().used_bytes, 0U);
  std::ofstream(path + "/FORMAT") << "1\n";
  const Result<FlashSpace> after = MeasureFlashSpace(path);
  ASSERT_TRUE(after.ok());
  EXPECT_GE(after.value().used_bytes, 1U << 20);
}

TEST(ProcessTest, PathsBecomeAbsoluteAndLoseTheirLastSlash) {
  EXPECT_EQ(AbsolutePath("/srv//cache/../tier/").value(), "/srv/tier");
  EXPECT_EQ(AbsolutePath("/").value(), "/");
  EXPECT_THAT(AbsolutePath("cache").value(), testing::EndsWith("/cache"));
  EXPECT_EQ(AbsolutePath("cache").value()[0], '/');
}

TEST(ProcessTest, ThePortFileHasALineForEachSocket) {
  const TempDirectory directory;
  const std::string path = directory.Sub("ports");
  ASSERT_TRUE(WritePortFile(path, {"127.0.0.1:11211", "[::1]:11212"}).ok());
  EXPECT_EQ(ReadTextFile(path), "TCP INET: 11211\nTCP INET6: 11212\n");
  ASSERT_TRUE(WritePortFile(directory.Sub("none"), {"unix:/run/a:5"}).ok());
  EXPECT_FALSE(std::filesystem::exists(directory.Sub("none")));
}

TEST(ProcessTest, SignalsAreTakenOneByOneAndNobodyDiesOfThem) {
  EXPECT_EQ(InChild([] {
              BlockSignals();
              ::raise(SIGPIPE);
              ::raise(SIGXFSZ);
              if (TakeSignal(0) != 0) return 1;
              ::raise(SIGHUP);
              if (TakeSignal(0) != SIGHUP) return 2;
              ::raise(SIGTERM);
              if (TakeSignal(1'000'000'000) != SIGTERM) return 3;
              return TakeSignal(0);
            }),
            0);
}

// Raises SIGTERM, waits until it was taken and answers whether it was heard as a wish to hurry.
bool HurriedBySigterm(int64_t same_request_ns) {
  BlockSignals();
  const HurrySignals hurry(same_request_ns);
  ::kill(::getpid(), SIGTERM);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  sigset_t pending;
  do {
    std::this_thread::yield();
    sigpending(&pending);
  } while (sigismember(&pending, SIGTERM) == 1 && std::chrono::steady_clock::now() < end);
  while (same_request_ns == 0 && !hurry.Heard() && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  return hurry.Heard();
}

TEST(ProcessTest, ASecondStopSignalHurriesAndADuplicateDoesNot) {
  EXPECT_EQ(InChild([] { return HurriedBySigterm(0) ? 0 : 1; }), 0);
  EXPECT_EQ(InChild([] { return HurriedBySigterm(3'600'000'000'000) ? 1 : 0; }), 0);
}

TEST(ProcessTest, TheNextSecondIsNeverFurtherThanASecond) {
  const int64_t wait_ns = NanosecondsToNextSecond();
  EXPECT_GT(wait_ns, 0);
  EXPECT_LE(wait_ns, 1'001'000'000);
}

}  // namespace
}  // namespace terraced::server
