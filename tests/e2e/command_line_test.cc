// The command line of the real daemon: what is printed, what is refused, exit codes, -d, --config.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

namespace terraced {
namespace {

using support::Process;
using support::ReadTextFile;
using support::TempDirectory;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::chrono::seconds kPatience{60};

struct Ended {
  int code = -1;  // -1: it ran on
  std::string out;
  std::string error;
};

// A shell sends the output of the daemon to two files; "$@" carries the arguments untouched.
Ended RunDaemon(const std::vector<std::string>& arguments,
                const std::string& program = support::TerracedBinary()) {
  const TempDirectory directory;
  support::ProcessSpec spec;
  spec.arguments = {"/bin/sh", "-c", "exec \"$@\" >\"$OUT\" 2>\"$ERR\" </dev/null", "sh", program};
  spec.arguments.insert(spec.arguments.end(), arguments.begin(), arguments.end());
  spec.environment = {{"OUT", directory.Sub("out")}, {"ERR", directory.Sub("err")}};
  Result<std::unique_ptr<Process>> process = Process::Start(spec);
  EXPECT_TRUE(process.ok());
  Ended ended;
  ended.code = process.value()->WaitFor(kPatience).value_or(-1);
  ended.out = ReadTextFile(directory.Sub("out"));
  ended.error = ReadTextFile(directory.Sub("err"));
  return ended;
}

// With the user that root must name and a port nobody else has.
Ended RunServing(std::vector<std::string> arguments,
                 const std::string& program = support::TerracedBinary()) {
  arguments.insert(arguments.end(), {"-p", "-1", "-l", "127.0.0.1"});
  if (::geteuid() == 0) arguments.insert(arguments.end(), {"-u", "root"});
  return RunDaemon(arguments, program);
}

// More connections than a hard limit of 4096 open files bears. Whether that limit holds: a root with
// CAP_SYS_RESOURCE may raise it up to fs.nr_open.
constexpr const char* kManyConnections = "10000000";
constexpr const char* kFewFiles = "ulimit -n 4096";
bool FewFilesCanBeRaised() {
  const pid_t child = ::fork();
  if (child == 0) {
    const struct rlimit few = {.rlim_cur = 4096, .rlim_max = 4096};
    const struct rlimit many = {.rlim_cur = 10'000'000, .rlim_max = 10'000'000};
    ::_exit(::setrlimit(RLIMIT_NOFILE, &few) != 0 || ::setrlimit(RLIMIT_NOFILE, &many) == 0);
  }
  int ended = 0;
  EXPECT_EQ(::waitpid(child, &ended, 0), child);
  return ended != 0;
}

void ExpectOneLine(const Ended& ended, const std::string& begin) {
  EXPECT_THAT(ended.error, StartsWith("terraced: " + begin));
  EXPECT_EQ(ended.error.find('\n') + 1, ended.error.size()) << ended.error;
  EXPECT_EQ(ended.out, "");
}

TEST(CommandLineTest, HelpAndVersionGoToStdoutAndExitWithZero) {
  for (const char* option : {"-h", "--help"}) {
    const Ended ended = RunDaemon({option});
    EXPECT_EQ(ended.code, 0);
    EXPECT_THAT(ended.out, HasSubstr("-m, --memory-limit=<megabytes>"));
    EXPECT_THAT(ended.out, HasSubstr("-o flash_path=<directory>"));
    EXPECT_EQ(ended.error, "");
  }
  for (const char* option : {"-V", "--version"}) {
    const Ended ended = RunDaemon({option});
    EXPECT_EQ(ended.code, 0);
    EXPECT_THAT(ended.out, testing::MatchesRegex("terraced [0-9]+\\.[0-9]+\\.[0-9]+\n"));
    EXPECT_EQ(ended.error, "");
  }
}

TEST(CommandLineTest, TheLicenceGoesToStdoutAndExitsWithZero) {
  for (const char* option : {"-i", "--license"}) {
    const Ended ended = RunDaemon({option});
    EXPECT_EQ(ended.code, 0);
    EXPECT_THAT(ended.out, StartsWith("terraced "));
    EXPECT_EQ(ended.out.substr(ended.out.find('\n') + 1),
              ReadTextFile(TERRACED_SOURCE_DIR "/LICENSE"));
    EXPECT_EQ(ended.error, "");
  }
  EXPECT_EQ(RunDaemon({"-i"}, support::ReferenceBinary()).code, 0);
}

TEST(CommandLineTest, AValueThatCannotBeExitsWithOneAndOneLine) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"-z"}, "-z: unknown option"},
      {{"--colour"}, "--colour: unknown option"},
      {{"-o", "colour"}, "-o colour: unknown name"},
      {{"-t"}, "-t: needs a value"},
      {{"-t", "0"}, "-t: '0' is too little: give a number from 1 to 256"},
      {{"-f", "1"}, "-f: '1' is too little"},
      {{"-c", "0"}, "-c: '0' is too little"},
      {{"-o", "slab_automove=5"}, "-o slab_automove: '5' is too much"},
      {{"-o", "flash_size=big"}, "-o flash_size: 'big' is not a size"},
      {{"-l", "[::1"}, "-l: '[::1' holds what is no address"},
      {{"--config", "/nonexistent"}, "--config: cannot read /nonexistent"},
      {{"memcached"}, "'memcached': is no option"},
  };
  for (const auto& [arguments, begin] : cases) {
    const Ended ended = RunDaemon(arguments);
    EXPECT_EQ(ended.code, 1) << begin;
    ExpectOneLine(ended, begin);
  }
}

// And values that memcached only sees to be wrong beside others.
TEST(CommandLineTest, ContradictionsExitWithSixtyFour) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"-m", "lots"}, "-m: 'lots' is not a size"},
      {{"-m", "1"}, "-I 1m is more than half of -m"},
      {{"-I", "1500k"}, "-I 1500k is no multiple of slab_chunk_max"},
      {{"-o", "hot_lru_pct=50,warm_lru_pct=50"}, "-o hot_lru_pct and warm_lru_pct"},
      {{"-o", "flash_size=1g"}, "-o flash_size needs flash_path"},
      {{"-o", "flash_path=/nonexistent,flash_size=1m"}, "-o flash_size 1m is too small"},
  };
  for (const auto& [arguments, begin] : cases) {
    const Ended ended = RunServing(arguments);
    EXPECT_EQ(ended.code, 64) << begin;
    ExpectOneLine(ended, begin);
  }
}

TEST(CommandLineTest, NoPortToServeExitsWithSixtyFour) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"-p", "0"}, {"-l", "127.0.0.1:0"}}) {
    const Ended ended = RunDaemon(arguments);
    EXPECT_EQ(ended.code, 64);
    ExpectOneLine(ended, "-p and -l name no port but 0");
  }
}

TEST(CommandLineTest, RootMustNameAUserThatExists) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root has to";
  const Ended missing = RunDaemon({"-p", "-1", "-l", "127.0.0.1"});
  EXPECT_EQ(missing.code, 64);
  ExpectOneLine(missing, "-u: can't run as root");
  const Ended unknown = RunDaemon({"-p", "-1", "-l", "127.0.0.1", "-u", "no-such-user-here"});
  EXPECT_EQ(unknown.code, 67);
  ExpectOneLine(unknown, "-u no-such-user-here: can't find the user");
}

TEST(CommandLineTest, TooFewOpenFilesExitWithSeventyOne) {
  if (FewFilesCanBeRaised()) GTEST_SKIP() << "this user may have as many open files as it likes";
  const TempDirectory directory;
  const Ended files =
      RunServing({"-c", kManyConnections}, support::TerracedAfter(directory.Path(), kFewFiles));
  EXPECT_EQ(files.code, 71);
  ExpectOneLine(files, "-c 10000000 and what else is open need a limit of");
}

TEST(CommandLineTest, ATakenPortExitsWithSeventyOne) {
  Result<std::unique_ptr<support::Daemon>> first =
      support::Daemon::Start({.binary = support::TerracedBinary(), .arguments = {}});
  ASSERT_TRUE(first.ok()) << first.status().message();
  std::vector<std::string> arguments = {"-l", "127.0.0.1", "-p",
                                        std::to_string(first.value()->Port())};
  if (::geteuid() == 0) arguments.insert(arguments.end(), {"-u", "root"});
  const Ended taken = RunDaemon(arguments);
  EXPECT_EQ(taken.code, 71);
  ExpectOneLine(taken, "");
  EXPECT_THAT(taken.error, HasSubstr(std::to_string(first.value()->Port())));
}

TEST(CommandLineTest, TheFileIsReadAndTheCommandLineWins) {
  const TempDirectory directory;
  const std::string path = directory.Sub("terraced.conf");
  std::ofstream(path) << "# a comment\n-m 128\n-t 2 # two\n\n-o promote_hits=0\n";
  Result<std::unique_ptr<support::Daemon>> daemon = support::Daemon::Start(
      {.binary = support::TerracedBinary(), .arguments = {"-t", "3", "--config", path}});
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  const auto settings = daemon.value()->Connect()->Stats("settings");
  EXPECT_EQ(settings.at("maxbytes"), std::to_string(128U << 20));
  EXPECT_EQ(settings.at("num_threads"), "3");
  EXPECT_EQ(settings.at("promote_hits"), "0");

  std::ofstream(path) << "-v\n-t none\n";
  const Ended ended = RunServing({"--config", path});
  EXPECT_EQ(ended.code, 1);
  ExpectOneLine(ended, path + ":2: -t: 'none' is not a number");
}

TEST(CommandLineTest, EverySignalThatStopsDoesSoWithZero) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    Result<std::unique_ptr<support::Daemon>> daemon =
        support::Daemon::Start({.binary = support::TerracedBinary(), .arguments = {}});
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    ::kill(daemon.value()->Pid(), SIGHUP);  // changes nothing
    EXPECT_EQ(daemon.value()->Stop(signal), 0);
    EXPECT_EQ(daemon.value()->Stderr(), signal == SIGUSR1 ? "Gracefully stopping\n" : "");
  }
}

// The process that -d left behind; ends with its owner. Held by descriptor: its number may be somebody
// else's once it has ended, and it is no child of this process.
class BackgroundDaemon {
 public:
  explicit BackgroundDaemon(const std::string& pid_file)
      : fd_(static_cast<int>(
            ::syscall(SYS_pidfd_open, std::atoi(ReadTextFile(pid_file).c_str()), 0))) {}
  ~BackgroundDaemon() {
    Signal(SIGKILL);
    if (fd_ >= 0) ::close(fd_);
  }
  BackgroundDaemon(const BackgroundDaemon&) = delete;
  BackgroundDaemon& operator=(const BackgroundDaemon&) = delete;

  bool Exists() const { return fd_ >= 0; }
  void Signal(int signal) {
    if (fd_ >= 0) ::syscall(SYS_pidfd_send_signal, fd_, signal, nullptr, 0);
  }
  bool Ends() {
    struct pollfd ended = {.fd = fd_, .events = POLLIN, .revents = 0};
    return ::poll(&ended, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
  }

 private:
  const int fd_;
};

TEST(CommandLineTest, TheCommandReturnsWhenTheDaemonServes) {
  const TempDirectory directory;
  const std::string pid_file = directory.Sub("pid");
  ::setenv("MEMCACHED_PORT_FILENAME", directory.Sub("ports").c_str(), 1);
  const Ended ended = RunServing({"-d", "-P", pid_file});
  ::unsetenv("MEMCACHED_PORT_FILENAME");
  BackgroundDaemon daemon(pid_file);
  EXPECT_EQ(ended.code, 0) << ended.error;
  EXPECT_EQ(ended.error, "");
  ASSERT_TRUE(daemon.Exists());
  const std::string ports = ReadTextFile(directory.Sub("ports"));
  ASSERT_THAT(ports, StartsWith("TCP INET: "));
  Result<std::unique_ptr<support::Client>> client =
      support::Client::Connect(std::atoi(ports.c_str() + 10));
  ASSERT_TRUE(client.ok());
  EXPECT_THAT(client.value()->Ask("version\r\n"), StartsWith("VERSION "));
  daemon.Signal(SIGTERM);
  ASSERT_TRUE(daemon.Ends());
  EXPECT_NE(::access(pid_file.c_str(), F_OK), 0);
}

// What a process of -d has around it, once its pid is written down; ends the process.
struct Surroundings {
  bool leads_session = false;
  std::string directory;
  std::string stdio;
  std::string limits;
};
Surroundings SurroundingsOf(const std::string& program, const std::vector<std::string>& more) {
  const TempDirectory directory;
  const std::string pid_file = directory.Sub("pid");
  std::vector<std::string> arguments = {"-d", "-P", pid_file};
  arguments.insert(arguments.end(), more.begin(), more.end());
  EXPECT_EQ(RunServing(arguments, program).code, 0);
  // memcached's command returns before.
  EXPECT_TRUE(support::Eventually([&] { return !ReadTextFile(pid_file).empty(); }));
  BackgroundDaemon daemon(pid_file);
  EXPECT_TRUE(daemon.Exists());
  const pid_t pid = std::atoi(ReadTextFile(pid_file).c_str());
  const std::string process = "/proc/" + std::to_string(pid);
  Surroundings found;
  found.leads_session = ::getsid(pid) == pid;
  found.directory = std::filesystem::read_symlink(process + "/cwd");
  for (const char* fd : {"/fd/0", "/fd/1", "/fd/2"}) {
    const std::string file = std::filesystem::read_symlink(process + fd);
    found.stdio += file == "/dev/null" ? "null " : "kept ";
  }
  found.limits = ReadTextFile(process + "/limits");
  daemon.Signal(SIGTERM);
  EXPECT_TRUE(daemon.Ends());
  return found;
}

TEST(CommandLineTest, TheBackgroundIsAsMemcacheds) {
  for (const std::string& program : {support::ReferenceBinary(), support::TerracedBinary()}) {
    const Surroundings plain = SurroundingsOf(program, {});
    EXPECT_TRUE(plain.leads_session) << program;
    EXPECT_EQ(plain.directory, "/") << program;
    EXPECT_EQ(plain.stdio, "null null null ") << program;
    const Surroundings dumping = SurroundingsOf(program, {"-r", "-v"});
    EXPECT_EQ(dumping.directory, std::filesystem::current_path()) << program;
    EXPECT_THAT(dumping.stdio, testing::EndsWith("kept ")) << program;
  }
}

// "soft hard " of core files, as /proc has them.
std::string CoreLimits(const std::string& limits) {
  constexpr std::string_view kName = "Max core file size";
  std::istringstream words(limits.substr(limits.find(kName) + kName.size()));
  std::string soft;
  std::string hard;
  words >> soft >> hard;
  return soft + " " + hard;
}

TEST(CommandLineTest, CoreFilesMayBeOfAnySizeThatIsAllowed) {
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_CORE, &before), 0);
  if (before.rlim_max == 0) GTEST_SKIP() << "no core files are allowed here";
  const struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_CORE, &none), 0);
  const std::string plain = CoreLimits(SurroundingsOf(support::TerracedBinary(), {}).limits);
  const std::string ours = CoreLimits(SurroundingsOf(support::TerracedBinary(), {"-r"}).limits);
  const std::string theirs = CoreLimits(SurroundingsOf(support::ReferenceBinary(), {"-r"}).limits);
  ASSERT_EQ(::setrlimit(RLIMIT_CORE, &before), 0);
  EXPECT_EQ(ours, theirs);
  EXPECT_THAT(plain, StartsWith("0 "));
  EXPECT_THAT(ours, testing::Not(StartsWith("0 ")));
}

TEST(CommandLineTest, LockedMemoryIsLockedOrAWarningSaysWhyNot) {
  Result<std::unique_ptr<support::Daemon>> daemon = support::Daemon::Start(
      {.binary = support::TerracedBinary(), .arguments = {"-k", "-v", "-m", "64"}});
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  EXPECT_EQ(daemon.value()->Connect()->Set("k", std::string(100'000, 'v')), "STORED\r\n");
  const std::string status =
      ReadTextFile("/proc/" + std::to_string(daemon.value()->Pid()) + "/status");
  const size_t at = status.find("VmLck:");
  ASSERT_NE(at, std::string::npos);
  const int locked_kb = std::atoi(status.c_str() + at + 6);
  if (locked_kb < 1'024) {
    EXPECT_THAT(daemon.value()->Stderr(), HasSubstr("(-k)"));
  } else {
    EXPECT_THAT(daemon.value()->Stderr(), testing::Not(HasSubstr("(-k)")));
  }
}

TEST(CommandLineTest, ADaemonThatCannotStartTellsTheCommand) {
  if (FewFilesCanBeRaised()) GTEST_SKIP() << "this user may have as many open files as it likes";
  const TempDirectory directory;
  const std::string pid_file = directory.Sub("pid");
  const Ended ended = RunServing({"-d", "-P", pid_file, "-c", kManyConnections},
                                 support::TerracedAfter(directory.Path(), kFewFiles));
  EXPECT_EQ(ended.code, 71);
  ExpectOneLine(ended, "-c 10000000 and what else is open need a limit of");
  EXPECT_NE(::access(pid_file.c_str(), F_OK), 0);
}

unsigned ModeOf(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777U : 0;
}

TEST(CommandLineTest, WhatRootMakesItsUserCanReach) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes somebody else";
  const TempDirectory directory;
  ASSERT_EQ(::chmod(directory.Path().c_str(), 0755), 0);
  const std::string pid_file = directory.Sub("pid");
  const std::string log_file = directory.Sub("log");
  const std::string flash = directory.Sub("not/yet/cache");
  const std::string program = support::TerracedAfter(directory.Path(), "umask 077");
  for (int start = 0; start < 2; ++start) {
    const Ended ended =
        RunDaemon({"-d", "-p", "-1", "-l", "127.0.0.1", "-u", "nobody", "-P", pid_file,
                   "--log-file", log_file, "-o", "flash_path=" + flash + ",flash_size=512m"},
                  program);
    EXPECT_EQ(ended.code, 0) << ended.error;
    BackgroundDaemon daemon(pid_file);
    ASSERT_TRUE(daemon.Exists());
    EXPECT_EQ(ModeOf(pid_file), 0644U);
    EXPECT_EQ(ModeOf(log_file), 0640U);
    EXPECT_EQ(ModeOf(directory.Sub("not/yet")), 0755U);
    EXPECT_EQ(ModeOf(flash), 0700U);
    EXPECT_EQ(ModeOf(flash + "/FORMAT"), 0600U);
    daemon.Signal(SIGTERM);
    ASSERT_TRUE(daemon.Ends());
  }
}

TEST(CommandLineTest, ClosedStdioIsTakenByNoOtherFile) {
  const TempDirectory directory;
  const std::string program = support::TerracedAfter(directory.Path(), ":", "<&- >&- 2>&-");
  const std::string flash = "flash_path=" + directory.Sub("flash") + ",flash_size=512m";
  Result<std::unique_ptr<support::Daemon>> daemon =
      support::Daemon::Start({.binary = program, .arguments = {"-vv", "-o", flash}});
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  for (const char* fd : {"/fd/0", "/fd/1", "/fd/2"}) {
    EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(daemon.value()->Pid()) + fd),
              "/dev/null");
  }
  EXPECT_EQ(daemon.value()->Stop(SIGTERM), 0);

  const std::string pid_file = directory.Sub("pid");
  const Ended ended = RunServing({"-d", "-P", pid_file, "-o", flash}, program);
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ReadTextFile(pid_file),
            std::to_string(std::atoi(ReadTextFile(pid_file).c_str())) + "\n");
  BackgroundDaemon background(pid_file);
  ASSERT_TRUE(background.Exists());
  background.Signal(SIGTERM);
  EXPECT_TRUE(background.Ends());
}

TEST(CommandLineTest, ARefusedSecondStartLeavesThePidFileToTheFirst) {
  const TempDirectory directory;
  const std::string pid_file = directory.Sub("pid");
  const std::vector<std::string> arguments = {
      "-P", pid_file, "-o", "flash_path=" + directory.Sub("flash") + ",flash_size=512m"};
  Result<std::unique_ptr<support::Daemon>> first =
      support::Daemon::Start({.binary = support::TerracedBinary(), .arguments = arguments});
  ASSERT_TRUE(first.ok()) << first.status().message();
  const std::string pid = std::to_string(first.value()->Pid()) + "\n";
  EXPECT_EQ(ReadTextFile(pid_file), pid);
  const Ended second = RunServing(arguments);
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.error, HasSubstr("in use"));
  EXPECT_EQ(ReadTextFile(pid_file), pid);
}

TEST(CommandLineTest, StartTerracedPassesItsFile) {
  const TempDirectory directory;
  const std::string path = directory.Sub("terraced.conf");
  std::ofstream(path) << "-t none\n";
  support::ProcessSpec spec;
  spec.arguments = {TERRACED_SOURCE_DIR "/scripts/start-terraced", path};
  spec.environment = {{"TERRACED", support::TerracedBinary()}};
  spec.stderr_path = directory.Sub("err");
  for (const auto& [argument, message] :
       {std::pair<std::string, std::string>{path, path + ":1: -t: 'none' is not a number"},
        {"/nonexistent", "cannot read the configuration file /nonexistent"}}) {
    spec.arguments[1] = argument;
    Result<std::unique_ptr<Process>> process = Process::Start(spec);
    ASSERT_TRUE(process.ok());
    EXPECT_EQ(process.value()->WaitFor(kPatience).value_or(-1), 1);
    EXPECT_THAT(ReadTextFile(spec.stderr_path), HasSubstr(message));
  }
}

TEST(CommandLineTest, StartTerracedStaysTheProcessThatWasStarted) {
  const TempDirectory directory;
  std::ofstream(directory.Sub("terraced.conf")) << "-d\n-t 3\n";
  const std::string program = directory.Sub("start");
  std::ofstream(program) << "#!/bin/sh\nTERRACED='" << support::TerracedBinary() << "' exec '"
                         << TERRACED_SOURCE_DIR "/scripts/start-terraced' '"
                         << directory.Sub("terraced.conf") << "' \"$@\"\n";
  ASSERT_EQ(::chmod(program.c_str(), 0700), 0);
  Result<std::unique_ptr<support::Daemon>> daemon =
      support::Daemon::Start({.binary = program, .arguments = {}});
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  const std::unique_ptr<support::Client> client = daemon.value()->Connect();
  EXPECT_EQ(client->Stats()["pid"], std::to_string(daemon.value()->Pid()));
  EXPECT_EQ(client->Stats()["threads"], "3");
}

TEST(CommandLineTest, StartTerracedExplainsItself) {
  const Ended ended = RunDaemon({"-h"}, TERRACED_SOURCE_DIR "/scripts/start-terraced");
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.out, HasSubstr("usage: start-terraced"));
}

}  // namespace
}  // namespace terraced
