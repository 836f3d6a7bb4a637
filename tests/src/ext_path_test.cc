#include "src/ext_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <initializer_list>
#include <string>

#include "tests/support/process.h"

namespace terraced::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<CommandLine> Parse(std::initializer_list<const char*> arguments) {
  return ParseCommandLine(std::span<const char* const>(arguments.begin(), arguments.size()));
}

TEST(ExtPathTest, SeveralExtstorePathsAreOneTierInTheFirst) {
  const support::TempDirectory directory;
  const std::string given =
      "ext_path=" + directory.Path() + ":1G,ext_path=/mnt/d2/ext:512m:compact,ext_path=/c:1P";
  Result<CommandLine> line = Parse({"-o", given.c_str()});
  ASSERT_TRUE(line.ok()) << line.status().message();
  EXPECT_EQ(line.value().options.cache.flash_path, directory.Path());
  EXPECT_EQ(line.value().options.cache.flash_size_bytes,
            (1ULL << 50) + (1ULL << 30) + (512U << 20));
  ASSERT_EQ(line.value().notices.size(), 2U);
  EXPECT_THAT(line.value().notices[0], HasSubstr("3 paths are one flash tier"));
  EXPECT_THAT(line.value().notices[1], HasSubstr("compact is taken without effect"));
}

TEST(ExtPathTest, ExtstoresFileBecomesADirectoryBesideIt) {
  const support::TempDirectory directory;
  const std::string file = directory.Sub("extstore");
  const std::string given = "ext_path=" + file + ":1g";
  Result<CommandLine> line = Parse({"-o", given.c_str()});
  ASSERT_TRUE(line.ok()) << line.status().message();
  EXPECT_EQ(line.value().options.cache.flash_path, file);
  EXPECT_THAT(line.value().notices,
              ElementsAre("-o ext_path: the flash tier is the directory " + file));
  std::ofstream(file) << "memcached's";
  line = Parse({"-o", given.c_str()});
  ASSERT_TRUE(line.ok()) << line.status().message();
  EXPECT_EQ(line.value().options.cache.flash_path, file + ".flash");
  EXPECT_THAT(line.value().notices, ElementsAre(HasSubstr(file + ".flash, beside the file")));
  // What was said later counts.
  line = Parse({"-o", given.c_str(), "-o", "flash_path=/srv/other"});
  EXPECT_EQ(line.value().options.cache.flash_path, "/srv/other");
  EXPECT_TRUE(line.value().notices.empty());
}

TEST(ExtPathTest, WithoutExtPathNothingIsSaidOrChanged) {
  Options options;
  options.cache.flash_path = "/nonexistent/flash";
  EXPECT_TRUE(SettleExtPaths(&options).empty());
  EXPECT_EQ(options.cache.flash_path, "/nonexistent/flash");
}

}  // namespace
}  // namespace terraced::server
