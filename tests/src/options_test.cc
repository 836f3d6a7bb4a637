#include "src/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <initializer_list>

#include "src/option_table.h"
#include "src/option_value.h"
#include "tests/support/process.h"

namespace terraced::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Result<CommandLine> Parse(std::initializer_list<const char*> arguments) {
  return ParseCommandLine(std::span<const char* const>(arguments.begin(), arguments.size()));
}

Options Parsed(std::initializer_list<const char*> arguments) {
  Result<CommandLine> line = Parse(arguments);
  EXPECT_TRUE(line.ok()) << line.status().message();
  return line.ok() ? std::move(line).value().options : Options();
}

std::string Refused(std::initializer_list<const char*> arguments) {
  const Result<CommandLine> line = Parse(arguments);
  EXPECT_FALSE(line.ok());
  return std::string(line.status().message());
}

// A configuration file that lives as long as the test.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) : path_(directory_.Sub("terraced.conf")) {
    std::ofstream(path_) << text;
  }
  const char* Path() const { return path_.c_str(); }

 private:
  const support::TempDirectory directory_;
  const std::string path_;
};

TEST(OptionsTest, NothingGivenIsEveryDefault) {
  const Options options = Parsed({});
  const Options defaults;
  for (const OptionSpec& spec : OptionTable()) {
    EXPECT_EQ(FormatValue(spec, options), FormatValue(spec, defaults)) << spec.name;
  }
}

TEST(OptionsTest, ShortAndLongFormsMeanTheSame) {
  for (const auto& arguments : {std::initializer_list<const char*>{"-m", "100"},
                                {"-m100"},
                                {"-m", "100m"},
                                {"--memory-limit=100"},
                                {"--memory-limit", "100"},
                                {"--memory_limit=102400k"}}) {
    EXPECT_EQ(Parsed(arguments).cache.slabs.limit_bytes, 100ULL << 20);
  }
}

TEST(OptionsTest, LettersWithoutValueShareAWord) {
  const Options options = Parsed({"-dkvM", "-CFvp", "0"});
  EXPECT_TRUE(options.daemon.daemonize);
  EXPECT_TRUE(options.daemon.lock_memory);
  EXPECT_EQ(options.daemon.verbosity, 2);
  EXPECT_FALSE(options.cache.evict_to_free);
  EXPECT_FALSE(options.server.cas_enabled);
  EXPECT_FALSE(options.server.flush_enabled);
  EXPECT_EQ(options.server.tcp_port, 0);
}

TEST(OptionsTest, ANegativePortIsAValueAndNoOption) {
  EXPECT_EQ(Parsed({"-p", "-1"}).server.tcp_port, -1);
  EXPECT_EQ(Parsed({"-p-1"}).server.tcp_port, -1);
}

TEST(OptionsTest, TheLastOfSeveralCounts) {
  EXPECT_EQ(Parsed({"-t", "2", "-t", "8"}).server.worker_threads, 8U);
  EXPECT_TRUE(Parsed({"-o", "no_lru_crawler,lru_crawler"}).cache.lru_crawler);
}

TEST(OptionsTest, ListsTakeNamesAndValuesSeparatedByCommas) {
  const Options options = Parsed(
      {"-o", "flash_path=/srv/c,flash_size=4g,,no_maxconns_fast", "-o", "promote_hits=0,modern"});
  EXPECT_EQ(options.cache.flash_path, "/srv/c");
  EXPECT_EQ(options.cache.flash_size_bytes, 4ULL << 30);
  EXPECT_FALSE(options.server.maxconns_fast);
  EXPECT_EQ(options.cache.promote_hits, 0U);
}

TEST(OptionsTest, SlabAutomoveNeedsNoValue) {
  EXPECT_EQ(Parsed({"-o", "slab_automove"}).cache.slab_automove, 1U);
  EXPECT_EQ(Parsed({"-o", "slab_automove=2"}).cache.slab_automove, 2U);
  EXPECT_EQ(Parsed({"-o", "no_slab_automove"}).cache.slab_automove, 0U);
}

TEST(OptionsTest, NoTemporaryTtlTurnsTheSegmentOff) {
  EXPECT_EQ(Parsed({"-o", "temporary_ttl=61"}).cache.temporary_ttl_s, 61);
  EXPECT_EQ(Parsed({"-o", "temporary_ttl=61,no_temporary_ttl"}).cache.temporary_ttl_s, -1);
}

TEST(OptionsTest, WithoutTheMaintainerThereAreNoSegments) {
  EXPECT_FALSE(Parsed({"-o", "no_lru_maintainer"}).cache.lru_segmented);
  EXPECT_TRUE(Parsed({"-o", "no_lru_maintainer,lru_maintainer"}).cache.lru_segmented);
}

TEST(OptionsTest, NoModernIsMemcachedsOldDefaults) {
  const Options options = Parsed({"-o", "no_modern"});
  EXPECT_FALSE(options.cache.lru_maintainer);
  EXPECT_FALSE(options.cache.lru_crawler);
  EXPECT_FALSE(options.cache.slab_reassign);
  EXPECT_EQ(options.cache.slab_automove, 0U);
  EXPECT_FALSE(options.server.maxconns_fast);
}

TEST(OptionsTest, SwitchesTakeYesAndNo) {
  EXPECT_FALSE(Parsed({"-o", "lru_crawler=no"}).cache.lru_crawler);
  EXPECT_TRUE(Parsed({"--flash_direct_reads=1"}).cache.flash_direct_reads);
  EXPECT_THAT(Refused({"-o", "lru_crawler=maybe"}),
              StartsWith("-o lru_crawler: 'maybe' is neither yes nor no"));
}

TEST(OptionsTest, ExtstoresPathAndSizeAreTakenApart) {
  const Options options = Parsed({"-o", "ext_path=/mnt/d1/extstore:1G:default,ext_threads=8"});
  EXPECT_EQ(options.cache.flash_path, "/mnt/d1/extstore");
  EXPECT_EQ(options.cache.flash_size_bytes, 1ULL << 30);
  EXPECT_EQ(options.cache.flash_read_threads, 8U);
  EXPECT_EQ(Parsed({"-o", "ext_recache_rate=1"}).cache.promote_hits, 2U);
  EXPECT_EQ(Parsed({"-o", "ext_recache_rate=0"}).cache.promote_hits, 0U);
  for (const char* text : {"ext_path=/mnt", "ext_path=:1g", "ext_path=/mnt:", "ext_path=/mnt:0",
                           "ext_path=/mnt:1g,ext_path=/b"}) {
    EXPECT_THAT(Refused({"-o", text}), HasSubstr("PATH:SIZE"));
  }
}

TEST(OptionsTest, AddressesThatCannotBeAreRefused) {
  for (const char* text : {"[::1", "h:x", "h:65536", "[::1]5", "127.0.0.1,h:x"}) {
    EXPECT_THAT(Refused({"-l", text}), HasSubstr("holds what is no address")) << text;
  }
  EXPECT_THAT(Refused({"-l", "proto[proxy]:127.0.0.1"}),
              StartsWith("-l: proto[proxy] is not spoken here"));
}

TEST(OptionsTest, TheMaskOfAUnixSocketIsOctal) {
  EXPECT_EQ(Parsed({}).server.unix_mask, 0700U);
  EXPECT_EQ(Parsed({"-s", "/run/t", "-a", "0770"}).server.unix_mask, 0770U);
  for (const char* text : {"800", "1777", "x", "-1", "7 7"}) {
    EXPECT_THAT(Refused({"-a", text}), HasSubstr("is no mask: give permissions in octal")) << text;
  }
}

TEST(OptionsTest, RangesOfAddressesAreTakenOrNamed) {
  EXPECT_EQ(Parsed({"-o", "allow=127.0.0.1;10.0.0.0/8;fd00::/8"}).server.allow.size(), 3U);
  EXPECT_THAT(Refused({"-o", "allow=10.0.0.0/8;10.0.0.0/33"}),
              StartsWith("-o allow: '10.0.0.0/33' is no range of addresses: give address"));
}

TEST(OptionsTest, TheProtocolIsOneOfThree) {
  EXPECT_EQ(Parsed({}).server.binding_protocol, BindingProtocol::kAuto);
  EXPECT_EQ(Parsed({"-B", "ascii"}).server.binding_protocol, BindingProtocol::kAscii);
  EXPECT_EQ(Parsed({"-B", "binary"}).server.binding_protocol, BindingProtocol::kBinary);
}

TEST(OptionsTest, WhatMemcachedCallsMisuseHasACodeOfItsOwn) {
  for (const auto& arguments : {std::initializer_list<const char*>{"-B", "foo"},
                                {"-p", "70000"},
                                {"-I", "100"},
                                {"-m", "x"}}) {
    EXPECT_EQ(Parse(arguments).status().code(), StatusCode::kNotFound);
  }
  EXPECT_EQ(Parse({"-t", "0"}).status().code(), StatusCode::kInvalidArgument);
}

TEST(OptionsTest, NumbersWithoutEffectAreNumbersAllTheSame) {
  EXPECT_EQ(
      Parse({"-o", "ext_page_size=64,ext_wbuf_size=8,ext_max_sleep=0"}).value().notices.size(), 3U);
  EXPECT_EQ(Refused({"-o", "ext_wbuf_size=8x"}),
            "-o ext_wbuf_size: '8x' is not a number: give one from 0 to 4294967295");
}

TEST(OptionsTest, ManyThreadsAreNoticed) {
  EXPECT_TRUE(Parse({"-t", "64"}).value().notices.empty());
  EXPECT_THAT(Parse({"-t", "65"}).value().notices, ElementsAre(StartsWith("-t: ")));
}

TEST(OptionsTest, TheProxyIsRefused) {
  for (const char* text : {"proxy_config=/etc/proxy.lua", "proxy_uring"}) {
    EXPECT_THAT(Refused({"-o", text}), HasSubstr("proxy is not there")) << text;
  }
}

TEST(OptionsTest, WhatHasNoEffectIsTakenAndNoticedOnce) {
  Result<CommandLine> line =
      Parse({"-o", "hashpower=20,no_hashexpand,tail_repair_time=60,modern", "-o",
             "inline_ascii_resp,no_drop_privileges,no_chunked_items", "-o",
             "sock_cookie_id=5,resp_obj_mem_limit=3,hash_algorithm=xxh3", "-o",
             "read_buf_mem_limit=1", "-N", "2"});
  ASSERT_TRUE(line.ok()) << line.status().message();
  EXPECT_EQ(line.value().notices.size(), 11U);  // `modern` says nothing, as in memcached
  EXPECT_THAT(line.value().notices[0], StartsWith("-o hashpower: "));
  EXPECT_EQ(line.value().options.accepted.hashpower, 20U);
  EXPECT_FALSE(line.value().options.accepted.hashexpand);
}

TEST(OptionsTest, WhatIsUnknownIsNamed) {
  EXPECT_THAT(Refused({"-z"}), StartsWith("-z: unknown option"));
  EXPECT_THAT(Refused({"-vz"}), StartsWith("-z: unknown option"));
  EXPECT_THAT(Refused({"--colour"}), StartsWith("--colour: unknown option"));
  EXPECT_THAT(Refused({"-o", "colour=red"}), StartsWith("-o colour: unknown name"));
  EXPECT_THAT(Refused({"-o", "no_colour"}), StartsWith("-o no_colour: unknown name"));
  EXPECT_THAT(Refused({"-o", "no_flash_size"}), StartsWith("-o no_flash_size: unknown name"));
  EXPECT_THAT(Refused({"-o", "memory-limit=5"}), StartsWith("-o memory-limit: unknown name"));
  EXPECT_THAT(Refused({"--no-memory-limit"}), StartsWith("--no-memory-limit: unknown option"));
  EXPECT_THAT(Refused({"11211"}), StartsWith("'11211': is no option"));
  EXPECT_THAT(Refused({"--", "-v"}), StartsWith("'-v': is no option"));
  EXPECT_THAT(Refused({"-"}), StartsWith("'-': is no option"));
  EXPECT_THAT(Refused({""}), StartsWith("'': is no option"));
}

TEST(OptionsTest, WhatLacksItsValueSaysWhatToGive) {
  EXPECT_EQ(Refused({"-t"}), "-t: needs a value: give a number from 1 to 256");
  EXPECT_EQ(Refused({"-vt"}), "-t: needs a value: give a number from 1 to 256");
  EXPECT_EQ(Refused({"--threads"}), "--threads: needs a value: give a number from 1 to 256");
  EXPECT_EQ(Refused({"-o", "idle_timeout"}),
            "-o idle_timeout: needs a value: give a number from 0 to 2147483647");
  EXPECT_THAT(Refused({"-o"}), StartsWith("-o: needs a value"));
}

TEST(OptionsTest, WhatTakesNoValueRefusesOne) {
  EXPECT_EQ(Refused({"--daemon=yes"}), "--daemon: takes no value");
  EXPECT_EQ(Refused({"--verbose=3"}), "--verbose: takes no value");
  EXPECT_EQ(Refused({"--help=me"}), "--help: takes no value");
  EXPECT_EQ(Refused({"-o", "no_lru_crawler=1"}), "-o no_lru_crawler: takes no value");
}

TEST(OptionsTest, HelpAndVersionEndTheReading) {
  EXPECT_EQ(Parse({"-h", "-z"}).value().action, StartAction::kHelp);
  EXPECT_EQ(Parse({"-vV"}).value().action, StartAction::kVersion);
  EXPECT_EQ(Parse({"--version"}).value().action, StartAction::kVersion);
  EXPECT_FALSE(Parse({"-z", "-h"}).ok());
}

TEST(OptionsTest, ASmallItemLimitLowersTheChunkLimitUnlessThatWasGiven) {
  EXPECT_EQ(Parsed({"-I", "64k"}).cache.slabs.slab_chunk_bytes_max, 64U << 10);
  EXPECT_EQ(Parsed({"-I", "64k", "-o", "slab_chunk_max=128"}).cache.slabs.slab_chunk_bytes_max,
            128U << 10);
}

TEST(OptionsTest, TheFileIsReadWhereverItIsNamedAndTheCommandLineWins) {
  const ConfigFile file("-m 200\n-t 3\n-o promote_hits=0,lru_crawler\n");
  for (const auto& arguments : {std::initializer_list<const char*>{
                                    "-t", "5", "-o", "no_lru_crawler", "--config", file.Path()},
                                {"--config", file.Path(), "-t", "5", "-o", "no_lru_crawler"}}) {
    const Options options = Parsed(arguments);
    EXPECT_EQ(options.cache.slabs.limit_bytes, 200ULL << 20);
    EXPECT_EQ(options.server.worker_threads, 5U);
    EXPECT_EQ(options.cache.promote_hits, 0U);
    EXPECT_FALSE(options.cache.lru_crawler);
    EXPECT_EQ(options.daemon.config_file, file.Path());
  }
}

TEST(OptionsTest, AddressesOfTheCommandLineReplaceThoseOfTheFile) {
  const ConfigFile file("-l 10.0.0.1\n-l 10.0.0.2\n-v\n-v\n");
  const Options from_file = Parsed({"--config", file.Path()});
  EXPECT_THAT(from_file.server.listen, ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_EQ(from_file.daemon.verbosity, 2);
  const Options options = Parsed({"--config", file.Path(), "-l", "127.0.0.1", "-l", "::1", "-v"});
  EXPECT_THAT(options.server.listen, ElementsAre("127.0.0.1", "::1"));
  EXPECT_EQ(options.daemon.verbosity, 1);
}

TEST(OptionsTest, ASwitchOfTheFileIsTakenBackByItsLongName) {
  const ConfigFile file("-d\n-C\n-o lru_crawler\n");
  const Options options =
      Parsed({"--config", file.Path(), "--no-daemon", "--no_disable-cas", "--no-lru_crawler"});
  EXPECT_FALSE(options.daemon.daemonize);
  EXPECT_TRUE(options.server.cas_enabled);
  EXPECT_FALSE(options.cache.lru_crawler);
  EXPECT_TRUE(Parsed({"--config", file.Path(), "--no-daemon", "-d"}).daemon.daemonize);
  EXPECT_THAT(Refused({"--no-threads"}), StartsWith("--no-threads: unknown option"));
  EXPECT_THAT(Refused({"-o", "no_daemon"}), StartsWith("-o no_daemon: unknown name"));
}

// The lines that matter of the file that Debian's memcached package installs.
TEST(OptionsTest, DebiansConfigurationOfMemcachedIsUnderstood) {
  const ConfigFile file(
      "# memcached default config file\n\n-d\n\nlogfile /var/log/memcached.log\n\n# -v\n"
      "-m 64\n\n-p 11211\n\n-u memcache\n\n-l 127.0.0.1\n\n# -c 1024\n# -k\n\n"
      "-P /var/run/memcached/memcached.pid\n");
  const Options options = Parsed({"--config", file.Path()});
  EXPECT_TRUE(options.daemon.daemonize);
  EXPECT_EQ(options.daemon.log_file, "/var/log/memcached.log");
  EXPECT_EQ(options.daemon.user, "memcache");
  EXPECT_EQ(options.daemon.pid_file, "/var/run/memcached/memcached.pid");
  EXPECT_THAT(options.server.listen, ElementsAre("127.0.0.1"));
  EXPECT_FALSE(options.daemon.lock_memory);
}

TEST(OptionsTest, ErrorsOfTheFileNameFileAndLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"\n-t 0\n", ":2: -t: '0' is too little"},
      {"-v\n-o flash_size=big\n", ":2: -o flash_size: 'big' is not a size"},
      {"# x\n\n-q\n", ":3: -q: unknown option"},
      {"memory 64\n", ":1: 'memory': is no option"},
      {"-m\n64\n", ":1: -m: needs a value"},
      {"-m 64 65\n", ":1: '65': is no option"},
      {"-h\n", ":1: -h: belongs on the command line"},
      {"--config other\n", ":1: --config: belongs on the command line"},
      {"-P 'x\n", ":1: a quote is not closed"},
      {"logfile\n", ":1: logfile: needs a value"},
  };
  for (const auto& [text, message] : cases) {
    const ConfigFile file(text);
    EXPECT_THAT(Refused({"--config", file.Path()}), StartsWith(std::string(file.Path()) + message));
  }
}

TEST(OptionsTest, AFileThatCannotBeReadIsNamed) {
  EXPECT_EQ(Refused({"--config", "/nonexistent/terraced.conf"}),
            "--config: cannot read /nonexistent/terraced.conf: No such file or directory");
  EXPECT_THAT(Refused({"--config", "/"}), StartsWith("--config: cannot read /: Is a directory"));
}

#ifndef TERRACED_MUTANTS
TEST(OptionsTest, MutantsExistOnlyInTheirOwnBuild) {
  EXPECT_THAT(Refused({"-o", "mutant=none"}), StartsWith("-o mutant: unknown name"));
}
#endif

}  // namespace
}  // namespace terraced::server
