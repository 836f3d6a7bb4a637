// The contradictions of src/options_check.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "src/options.h"

namespace terraced::server {
namespace {

using testing::HasSubstr;

// What CheckOptions says about a command line; empty: nothing.
std::string Checked(std::initializer_list<const char*> arguments, Options* checked = nullptr) {
  Result<CommandLine> line =
      ParseCommandLine(std::span<const char* const>(arguments.begin(), arguments.size()));
  EXPECT_TRUE(line.ok()) << line.status().message();
  if (!line.ok()) return "";
  Options options = std::move(line).value().options;
  const Status status = CheckOptions(&options);
  if (checked != nullptr) *checked = options;
  if (!status.ok()) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  }
  return status.ok() ? "" : std::string(status.message());
}

TEST(OptionsCheckTest, DefaultsAndSmallOnesStand) {
  EXPECT_EQ(Checked({}), "");
  EXPECT_EQ(Checked({"-m", "2"}), "");
  EXPECT_EQ(Checked({"-m", "1", "-I", "512k"}), "");
  EXPECT_EQ(Checked({"-I", "1k"}), "");
  EXPECT_EQ(Checked({"-I", "1g", "-m", "2048"}), "");
}

TEST(OptionsCheckTest, TlsNeedsItsFilesAndATcpPort) {
  EXPECT_THAT(Checked({"-Z"}), HasSubstr("ssl_chain_cert"));
  EXPECT_THAT(Checked({"-Z", "-o", "ssl_chain_cert=c"}), HasSubstr("ssl_key"));
  EXPECT_EQ(Checked({"-Z", "-o", "ssl_chain_cert=c,ssl_key=k"}), "");
  EXPECT_EQ(Checked({"-o", "ssl_chain_cert=c"}), "");
  const char* const files = "ssl_chain_cert=c,ssl_key=k";
  EXPECT_THAT(Checked({"-Z", "-o", files, "-p", "0"}), HasSubstr("-Z needs a TCP port"));
  EXPECT_THAT(Checked({"-Z", "-o", files, "-p", "0", "-U", "1"}), HasSubstr("-Z needs a TCP port"));
  EXPECT_THAT(Checked({"-Z", "-o", files, "-s", "socket"}), HasSubstr("-Z needs a TCP port"));
}

TEST(OptionsCheckTest, ThePortOfUdpIsTcpsWhereThatHasNone) {
  Options options;
  EXPECT_EQ(Checked({"-U", "11300"}, &options), "");
  EXPECT_EQ(options.server.tcp_port, 11'300);
  EXPECT_EQ(Checked({"-U", "11300", "-p", "11211"}, &options), "");
  EXPECT_EQ(options.server.tcp_port, 11'211);
  EXPECT_EQ(Checked({"-U", "0"}, &options), "");
  EXPECT_EQ(options.server.tcp_port, 11'211);
  EXPECT_EQ(Checked({"-U", "11300", "-p", "0"}, &options), "");
  EXPECT_EQ(options.server.tcp_port, 0);
}

TEST(OptionsCheckTest, AnItemIsAtMostHalfOfMemory) {
  EXPECT_EQ(Checked({"-m", "1"}),
            "-I 1m is more than half of -m: give -m 2 or more, or a smaller -I");
  EXPECT_THAT(Checked({"-m", "8", "-I", "5m"}), HasSubstr("give -m 10 or more"));
}

TEST(OptionsCheckTest, AnItemIsAMultipleOfTheLargestChunk) {
  EXPECT_EQ(Checked({"-I", "1500k"}),
            "-I 1500k is no multiple of slab_chunk_max (512k): give 1m or 1536k");
  EXPECT_EQ(Checked({"-I", "3m"}), "");
  EXPECT_THAT(Checked({"-I", "256k", "-o", "slab_chunk_max=512"}),
              HasSubstr("larger than -I (256k): give at most 256k"));
}

TEST(OptionsCheckTest, EncryptionOfAnAddressNeedsEncryption) {
  EXPECT_THAT(Checked({"-l", "127.0.0.1,mtls:[::1]"}), HasSubstr("need -Z"));
  EXPECT_EQ(Checked({"-l", "proto[ascii]:tag[a]:127.0.0.1"}), "");
}

TEST(OptionsCheckTest, NapiIdsAreAtMostTheThreads) {
  EXPECT_EQ(Checked({"-N", "5"}), "-N 5 is more than -t (4): give at most as many");
  EXPECT_EQ(Checked({"-N", "5", "-t", "5"}), "");
}

TEST(OptionsCheckTest, TheSmallestChunkFitsTheLargest) {
  EXPECT_THAT(Checked({"-n", "400k"}), HasSubstr("give at most 256k"));
}

TEST(OptionsCheckTest, ChunkSizesAscendWithinTheirBounds) {
  EXPECT_EQ(Checked({"-o", "slab_sizes=100-200-300"}), "");
  EXPECT_THAT(Checked({"-o", "slab_sizes=1-2-3"}), HasSubstr("1 is not between -n (48)"));
  EXPECT_THAT(Checked({"-o", "slab_sizes=100-600000"}), HasSubstr("600000 is not between"));
  EXPECT_THAT(Checked({"-o", "slab_sizes=100-104"}), HasSubstr("give at least 109"));
  EXPECT_THAT(Checked({"-o", "slab_sizes=200-100"}), HasSubstr("100 after 200 is too small"));
  std::string many = "slab_sizes=100";
  for (int i = 1; i < 63; ++i) many += "-" + std::to_string(100 + 16 * i);
  EXPECT_THAT(Checked({"-o", many.c_str()}), HasSubstr("names 63 sizes: give at most 62"));
}

TEST(OptionsCheckTest, ThereIsAPortToConnectTo) {
  EXPECT_THAT(Checked({"-p", "0"}), HasSubstr("nobody could connect"));
  EXPECT_THAT(Checked({"-l", "127.0.0.1:0,[::1]:0"}), HasSubstr("nobody could connect"));
  EXPECT_EQ(Checked({"-p", "-1"}), "");
  EXPECT_EQ(Checked({"-p", "0", "-s", "/run/terraced.socket"}), "");
  EXPECT_EQ(Checked({"-p", "0", "-l", "127.0.0.1:11211"}), "");
  EXPECT_EQ(Checked({"-l", "127.0.0.1:0,[::1]:11211"}), "");
}

TEST(OptionsCheckTest, HotAndWarmLeaveRoomForCold) {
  EXPECT_EQ(Checked({"-o", "hot_lru_pct=40,warm_lru_pct=40"}), "");
  EXPECT_THAT(Checked({"-o", "hot_lru_pct=50,warm_lru_pct=50"}), HasSubstr("add up to 100"));
}

TEST(OptionsCheckTest, ReplyMemoryFollowsFromMUnlessItIsSaid) {
  Options options;
  Checked({}, &options);
  EXPECT_EQ(ReplyMemoryBytes(options), 16ULL << 20);
  Checked({"-m", "4096"}, &options);
  EXPECT_EQ(ReplyMemoryBytes(options), 256ULL << 20);
  Checked({"-m", "4096", "-o", "reply_memory=5m"}, &options);
  EXPECT_EQ(ReplyMemoryBytes(options), 5ULL << 20);
}

TEST(OptionsCheckTest, FlashSizeNeedsAPathAndRoomForSixteenBatches) {
  EXPECT_THAT(Checked({"-o", "flash_size=1g"}), HasSubstr("needs flash_path"));
  // A batch is by default a sixteenth of -m: 4 MB here.
  EXPECT_EQ(Checked({"-o", "flash_path=/x,flash_size=64m"}), "");
  EXPECT_EQ(Checked({"-o", "flash_path=/x,flash_size=63m"}),
            "-o flash_size 63m is too small: give at least 64m");
  EXPECT_EQ(Checked({"-m", "8", "-o", "flash_path=/x,flash_size=8m"}), "");
  EXPECT_EQ(Checked({"-o", "flash_path=/x,flash_size=16m,flash_batch=2m"}),
            "-o flash_size 16m is too small: give at least 32m");
  EXPECT_EQ(Checked({"-o", "flash_path=/x,flash_size=16m,flash_batch=1m"}), "");
}

TEST(OptionsCheckTest, FlashOptionsAgreeWithEachOther) {
  EXPECT_THAT(Checked({"-o", "flash_path=/x,flash_batch=1k"}), HasSubstr("at least 64k"));
  EXPECT_THAT(Checked({"-o", "flash_path=/x,flash_batch=64m"}), HasSubstr("half of -m"));
  EXPECT_THAT(Checked({"-o", "flash_path=/x,flash_item_min=2k,flash_item_max=1k"}),
              HasSubstr("flash_item_min (2k) is more than flash_item_max (1k)"));
  EXPECT_THAT(Checked({"-o", "flash_path=/x,flash_read_deadline=20000"}),
              HasSubstr("more than flash_wait_deadline"));
}

TEST(OptionsCheckTest, WhatCanBeChangedLaterIsCheckedByItselfToo) {
  Options options;
  options.cache.flash_item_min_bytes = 2'048;
  options.cache.flash_item_max_bytes = 1'024;
  EXPECT_TRUE(CheckLiveOptions(options).ok()) << "without flash it does not matter";
  options.cache.flash_path = "/x";
  EXPECT_FALSE(CheckLiveOptions(options).ok());
  options.cache.flash_item_min_bytes = 1'024;
  EXPECT_TRUE(CheckLiveOptions(options).ok());
}

TEST(OptionsCheckTest, WhatFollowsFromOthersIsFilledIn) {
  Options options;
  EXPECT_EQ(Checked({"-I", "2m", "-k"}, &options), "");
  EXPECT_EQ(options.server.item_bytes_max, 2ULL << 20);
  EXPECT_TRUE(options.cache.slabs.lock_memory);
}

Options WithFlash(uint64_t size_bytes) {
  Options options;
  options.cache.flash_path = "/x";
  options.cache.flash_size_bytes = size_bytes;
  return options;
}

TEST(OptionsCheckTest, FlashSizeIsByDefaultAQuarterOfTheSpaceUpToEightGigabytes) {
  Options options = WithFlash(0);
  ASSERT_TRUE(ResolveFlashSize(&options, {.free_bytes = 100ULL << 30}).ok());
  EXPECT_EQ(options.cache.flash_size_bytes, 8ULL << 30);
  options = WithFlash(0);
  ASSERT_TRUE(ResolveFlashSize(&options, {.free_bytes = 10ULL << 30}).ok());
  EXPECT_EQ(options.cache.flash_size_bytes, 2560ULL << 20);
}

TEST(OptionsCheckTest, WhatTheTierTakesAlreadyCountsAsItsOwn) {
  Options options = WithFlash(0);
  ASSERT_TRUE(
      ResolveFlashSize(&options, {.free_bytes = 6ULL << 30, .used_bytes = 2ULL << 30}).ok());
  EXPECT_EQ(options.cache.flash_size_bytes, 2ULL << 30);
  options = WithFlash(7ULL << 30);
  EXPECT_TRUE(
      ResolveFlashSize(&options, {.free_bytes = 1ULL << 30, .used_bytes = 6ULL << 30}).ok());
}

TEST(OptionsCheckTest, AFlashSizeBeyondTheFreeSpaceIsRefused) {
  Options options = WithFlash(2ULL << 30);
  const Status status = ResolveFlashSize(&options, {.free_bytes = 1ULL << 30});
  EXPECT_EQ(status.message(),
            "-o flash_size 2g is more than the free space of /x: give at most 1024m");
  options = WithFlash(0);
  EXPECT_THAT(std::string(ResolveFlashSize(&options, {.free_bytes = 100ULL << 20}).message()),
              HasSubstr("/x has 100m of free space"));
}

TEST(OptionsCheckTest, DescriptorsCoverConnectionsWorkersAndFlashFiles) {
  Options options;
  options.server.connections_max = 1000;
  options.server.worker_threads = 2;
  EXPECT_EQ(DescriptorsNeeded(options), 1000U + 8 + kDescriptorsReserve);
  options.cache.flash_path = "/x";
  options.cache.flash_open_files_max = 100;
  EXPECT_EQ(DescriptorsNeeded(options), 1100U + 8 + kDescriptorsReserve);
}

}  // namespace
}  // namespace terraced::server
