#include "src/auth/password_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "src/protocol/binary_codec.h"
#include "tests/support/process.h"

namespace terraced::server {
namespace {

using Format = PasswordFile::Format;

PasswordFile Parsed(std::string_view text, Format format = Format::kStrict) {
  Result<PasswordFile> file = PasswordFile::Parse(text, "users", format);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return file.ok() ? std::move(file).value() : PasswordFile();
}

std::string Refusal(std::string_view text) {
  const Result<PasswordFile> file = PasswordFile::Parse(text, "users", Format::kStrict);
  return file.ok() ? "" : std::string(file.status().message());
}

TEST(PasswordFileTest, AcceptsWhatStandsInItAndNothingElse) {
  const PasswordFile file = Parsed("bob:secret\nann:x\n");
  EXPECT_TRUE(file.Accepts("bob", "secret"));
  EXPECT_TRUE(file.Accepts("ann", "x"));
  for (const char* wrong : {"", "s", "secre", "secretx", "secretsecret", "Secret", "x"}) {
    EXPECT_FALSE(file.Accepts("bob", wrong)) << wrong;
  }
  EXPECT_FALSE(file.Accepts("bo", "secret"));
  EXPECT_FALSE(file.Accepts("", ""));
}

TEST(PasswordFileTest, ThePasswordIsAllBehindTheFirstColon) {
  const PasswordFile file = Parsed("bob:a:b\nz:p q");
  EXPECT_TRUE(file.Accepts("bob", "a:b"));
  EXPECT_FALSE(file.Accepts("bob", "a"));
  EXPECT_TRUE(file.Accepts("z", "p q"));
}

TEST(PasswordFileTest, AUserMayHaveSeveralPasswords) {
  const PasswordFile file = Parsed("bob:old\nbob:new\n");
  EXPECT_TRUE(file.Accepts("bob", "old"));
  EXPECT_TRUE(file.Accepts("bob", "new"));
  EXPECT_FALSE(file.Accepts("bob", "oldnew"));
}

TEST(PasswordFileTest, HoldsAnyNumberOfUsers) {
  std::string text;
  for (int i = 0; i < 5'000; ++i) text += "u" + std::to_string(i) + ":p" + std::to_string(i) + "\n";
  const PasswordFile file = Parsed(text);
  EXPECT_EQ(file.Passwords(), 5'000U);
  EXPECT_TRUE(file.Accepts("u4999", "p4999"));
  EXPECT_FALSE(file.Accepts("u4999", "p4998"));
}

TEST(PasswordFileTest, NobodyIsInAnEmptyFile) {
  EXPECT_FALSE(Parsed("").Accepts("", ""));
  EXPECT_TRUE(Parsed("u:\n").Accepts("u", ""));
}

TEST(PasswordFileTest, AnyOtherLineSpoilsItAndIsNamed) {
  EXPECT_EQ(Refusal("bob:x\nsecret\n"), "users:2: has no colon: give user:password");
  EXPECT_EQ(Refusal("bob:x\n\nann:y\n"), "users:2: has no colon: give user:password");
  EXPECT_EQ(Refusal("bob:x\r\n"), "users:1: holds a carriage return: give user:password");
  EXPECT_EQ(Refusal(std::string("bob:\0x\n", 7)), "users:1: holds a NUL byte: give user:password");
  EXPECT_EQ(Refusal("b:" + std::string(kCredentialsBytesMax - 1, 'p')),
            "users:1: is longer than a client may send: give user:password");
  EXPECT_EQ(Refusal("b:" + std::string(kCredentialsBytesMax - 2, 'p')), "");
}

TEST(PasswordFileTest, ALooseOneSkipsThemAndEndsPasswordsAtAColonToo) {
  const PasswordFile file = Parsed("# users\n\nbob:a:more:words\nann:y\n", Format::kLoose);
  EXPECT_TRUE(file.Accepts("bob", "a"));
  EXPECT_TRUE(file.Accepts("bob", "a:more:words"));
  EXPECT_FALSE(file.Accepts("bob", "more"));
  EXPECT_TRUE(file.Accepts("ann", "y"));
}

TEST(PasswordFileTest, AFifoIsNotWaitedFor) {
  const support::TempDirectory directory;
  const std::string path = directory.Sub("fifo");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Result<PasswordFile> file = PasswordFile::Read(path, Format::kStrict);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().message(), path + " is no file");
}

TEST(PasswordFileTest, SaysWhichFileCannotBeRead) {
  const Result<PasswordFile> missing = PasswordFile::Read("/nonexistent", Format::kStrict);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(std::string(missing.status().message()),
              testing::StartsWith("cannot read /nonexistent"));
  EXPECT_FALSE(PasswordFile::Read("/", Format::kStrict).ok());
}

}  // namespace
}  // namespace terraced::server
