// -S and -Y: the same attempts to log in, by SASL and by text, to the reference memcached and to terraced, and their
// replies compared; what differs on purpose; passwords that change while the daemon runs; starts that are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/binary.h"
#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

namespace terraced::support {
namespace {

using testing::HasSubstr;

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::trunc) << text;
}

std::unique_ptr<Daemon> Started(const std::string& binary, std::vector<std::string> arguments) {
  Result<std::unique_ptr<Daemon>> daemon =
      Daemon::Start({.binary = binary, .arguments = std::move(arguments), .asks_for_login = true});
  EXPECT_TRUE(daemon.ok()) << daemon.status().message();
  return daemon.ok() ? std::move(daemon).value() : nullptr;
}

// --- Text ------------------------------------------------------------------------------------------

std::string Login(const std::string& credentials) {
  return "set any any any " + std::to_string(credentials.size()) + "\r\n" + credentials + "\r\n";
}

// One line after the other, each when the last is answered: in a pipeline memcached drops answers.
std::string Converse(const Daemon& daemon, const std::vector<std::string>& requests) {
  const std::unique_ptr<Client> client = daemon.Connect();
  std::string all;
  for (const std::string& request : requests) {
    EXPECT_TRUE(client->Send(request).ok());
    const Result<std::string> line = client->ReadLine();
    if (!line.ok()) return all + "<closed>";
    all += line.value();
  }
  return all;
}

class TextLoginTest : public testing::Test {
 protected:
  void SetUp() override { WriteFile(path_, "bob:secret\nann:a:b\nz:p q\nbob:second\nu:\n"); }
  std::unique_ptr<Daemon> Reference() { return Started(ReferenceBinary(), {"-Y", path_}); }
  std::unique_ptr<Daemon> Ours(std::vector<std::string> more = {}) {
    more.insert(more.end(), {"-Y", path_});
    return Started(TerracedBinary(), more);
  }

  const TempDirectory directory_;
  const std::string path_ = directory_.Sub("users");
};

TEST_F(TextLoginTest, AnswersAsMemcachedDoes) {
  const std::unique_ptr<Daemon> reference = Reference();
  const std::unique_ptr<Daemon> ours = Ours();
  const std::string long_line = "set " + std::string(3'000, 'k') + " b c 10\r\nbob secret\r\n";
  const std::vector<std::vector<std::string>> cases = {
      {Login("bob secret"), "version\r\n", "set k 0 0 1\r\nv\r\n", "delete k\r\n"},
      {Login("bob second"), "get k\r\n"},
      {Login("ann a:b")},
      {Login("ann a")},
      {Login("z p q")},
      {Login("u x")},
      {Login("u ")},
      {Login("bob secret junk")},
      {Login("bob  secret ")},
      {Login(" bob secret")},
      {Login("bob wrong"), Login("bob secret"), "version\r\n"},
      {Login("bob secre")},
      {Login("bob secrets")},
      {Login("nobody secret")},
      {Login("bobsecret")},
      {Login("bob secret\r\n")},
      {Login(std::string("bob\0secret", 10))},
      {Login("bob\tsecret")},
      {Login("")},
      {"set any any any 10\r\nbob secretXX", Login("bob secret")},
      {"set a b c 10 noreply\r\nbob secret\r\n"},
      {"set a b c 10 d e f g h i j\r\nbob secret\r\n"},
      {"set a b c 10\nbob secret\r\n"},
      {" set  a b c +10\r\nbob secret\r\n"},
      {std::string("set a b c 10\0\r\nbob secret\r\n", 27)},
      {long_line, "version\r\n"},
      {"version\r\n", "quit\r\n", "mn\r\n", "a\n", "set a\r\n", Login("bob secret"), "version\r\n"},
      {"set a b c d\r\n"},
      {"set a b c -1\r\n"},
      {"set a b 10\r\n"},
      {"SET a b c 10\r\n"},
      {"sets a b c 10\r\n"},
      {"cas a b c 10 1\r\n"},
      {"set\ta b c 10\r\n"},
      {"GET / HTTP/1.0\r\n"},
      {std::string(2'500, 'a')},
      {std::string("\x80\n")},
  };
  for (const std::vector<std::string>& requests : cases) {
    EXPECT_EQ(Converse(*ours, requests), Converse(*reference, requests)) << requests[0];
  }
  const std::unique_ptr<Client> by_us = ours->Connect();
  const std::unique_ptr<Client> by_reference = reference->Connect();
  EXPECT_EQ(by_us->Ask(Login("bob secret")), by_reference->Ask(Login("bob secret")));
  for (const char* name : {"auth_cmds", "auth_errors", "cmd_set", "curr_items"}) {
    EXPECT_EQ(by_us->Stats()[name], by_reference->Stats()[name]) << name;
  }
  for (const char* name : {"auth_enabled_sasl", "auth_enabled_ascii", "binding_protocol"}) {
    EXPECT_EQ(by_us->Stats("settings")[name], by_reference->Stats("settings")[name]) << name;
  }
}

TEST_F(TextLoginTest, AnswersEachRequestOfAPipeline) {
  const std::unique_ptr<Daemon> ours = Ours();
  const std::unique_ptr<Client> client = ours->Connect();
  ASSERT_TRUE(client
                  ->Send("get k\r\n" + Login("bob wrong") + "set a b c 20000\r\n" +
                         std::string(20'000, 'x') + "\r\n" + Login("bob secret") +
                         "set k 0 0 1\r\nv\r\nget k\r\n")
                  .ok());
  const Result<std::string> all = client->ReadThrough("END\r\n");
  ASSERT_TRUE(all.ok()) << all.status().message();
  EXPECT_EQ(all.value(),
            "CLIENT_ERROR unauthenticated\r\nCLIENT_ERROR authentication failure\r\n"
            "CLIENT_ERROR auth token too long\r\nSTORED\r\nSTORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n");
}

TEST_F(TextLoginTest, KnowsManyUsers) {
  std::string users;
  for (int i = 0; i < 1'000; ++i)
    users += "u" + std::to_string(i) + ":p" + std::to_string(i) + "\n";
  WriteFile(path_, users);
  const std::unique_ptr<Daemon> ours = Ours();
  EXPECT_EQ(Converse(*ours, {Login("u0 p0")}), "STORED\r\n");
  EXPECT_EQ(Converse(*ours, {Login("u999 p999")}), "STORED\r\n");
  EXPECT_EQ(Converse(*ours, {Login("u999 p998")}), "CLIENT_ERROR authentication failure\r\n");
}

// Waits until `text` stands in what the daemon said.
bool Says(const Daemon& daemon, const std::string& text) {
  return support::Eventually([&] { return daemon.Stderr().find(text) != std::string::npos; });
}

TEST_F(TextLoginTest, ReadsTheFileAgainAfterSighup) {
  const std::unique_ptr<Daemon> ours = Ours({"-v"});
  const std::unique_ptr<Client> before = ours->Connect();
  EXPECT_EQ(before->Ask(Login("bob secret")), "STORED\r\n");
  WriteFile(path_, "bob:changed\n");
  ours->Signal(SIGHUP);
  ASSERT_TRUE(Says(*ours, "SIGHUP: " + path_ + " was read again"));
  EXPECT_EQ(Converse(*ours, {Login("bob secret")}), "CLIENT_ERROR authentication failure\r\n");
  EXPECT_EQ(Converse(*ours, {Login("bob changed")}), "STORED\r\n");
  EXPECT_THAT(before->Ask("version\r\n"), HasSubstr("VERSION"));
  WriteFile(path_, "bob:unread\nnonsense\n");
  ours->Signal(SIGHUP);
  ASSERT_TRUE(Says(*ours, "what was read before holds on: -Y: " + path_ + ":2: has no colon"));
  EXPECT_EQ(Converse(*ours, {Login("bob changed")}), "STORED\r\n");
  EXPECT_EQ(Converse(*ours, {Login("bob unread")}), "CLIENT_ERROR authentication failure\r\n");
}

TEST_F(TextLoginTest, ShowsNoPasswordInItsLog) {
  const std::unique_ptr<Daemon> ours = Ours({"-vv"});
  Converse(*ours, {Login("bob secret"), Login("bob wr0ng"), "bob secret\r\n", "version\r\n"});
  Converse(*ours, {"bob secret\r\n", Login("bob wr0ng"), "set bob secret\r\n"});
  ASSERT_TRUE(Says(*ours, "<"));
  EXPECT_EQ(ours->Stop(SIGTERM), 0);
  EXPECT_THAT(ours->Stderr(), HasSubstr("version"));
  EXPECT_THAT(ours->Stderr(), testing::Not(HasSubstr("secret")));
  EXPECT_THAT(ours->Stderr(), testing::Not(HasSubstr("wr0ng")));
}

// --- SASL ------------------------------------------------------------------------------------------

class SaslTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("SASL_CONF_PATH", directory_.Path().c_str(), 1);
    WriteFile(directory_.Sub("memcached.conf"),
              "mech_list: plain cram-md5 scram-sha-256\nlog_level: 5\nsasldb_path: " +
                  directory_.Sub("db") + "\n");
    const std::string make =
        "printf secret | PATH=$PATH:/usr/sbin saslpasswd2 -a memcached -c -p -f " +
        directory_.Sub("db") + " bob && chmod 644 " + directory_.Sub("db");
    ASSERT_EQ(std::system(make.c_str()), 0);
  }
  void TearDown() override {
    ::unsetenv("SASL_CONF_PATH");
    ::unsetenv("MEMCACHED_SASL_PWDB");
  }

  const TempDirectory directory_;
};

std::string Plain(const std::string& user, const std::string& password) {
  return Packet(kSaslAuthOp, "PLAIN",
                std::string(1, '\0') + user + std::string(1, '\0') + password);
}

BinaryResponse Ask(Client& client, const std::string& packet) {
  EXPECT_TRUE(client.Send(packet).ok());
  const Result<std::string> header = client.ReadBytes(kBinaryHeader);
  if (!header.ok()) {
    BinaryResponse none;
    none.opcode = 0xff;
    return none;
  }
  const Result<std::string> body = client.ReadBytes(NumberIn(header.value().substr(8, 4)));
  EXPECT_TRUE(body.ok());
  return ParseResponse(header.value() + body.value());
}

std::string AskAll(const Daemon& daemon, const std::vector<std::string>& packets) {
  const std::unique_ptr<Client> client = daemon.Connect();
  std::string all;
  for (const std::string& packet : packets) {
    BinaryResponse response = Ask(*client, packet);
    if (response.opcode == 0xff) return all + "<closed>";
    // A challenge is another each time.
    if (response.status == 0x21 && !response.value.empty()) response.value = "<challenge>";
    all += response.Describe() + "\n";
  }
  return all;
}

TEST_F(SaslTest, AnswersAsMemcachedDoes) {
  const std::unique_ptr<Daemon> reference = Started(ReferenceBinary(), {"-S"});
  const std::unique_ptr<Daemon> ours = Started(TerracedBinary(), {"-S"});
  const std::string good = Plain("bob", "secret");
  const std::string set = Packet(kSetOp, "k", "v");
  const std::string get = Packet(kGetOp, "k");
  std::vector<std::vector<std::string>> cases = {
      {Packet(kSaslListOp), Packet(kSaslListOp), good, set, get},
      {Packet(kSaslListOp, "x"), get},
      {Packet(kSaslListOp, "", "x"), get},
      {Plain("bob", "wrong"), Plain("bob", ""), Plain("nobody", "secret"), good, get},
      {Plain("bob", "wrong"), get, get},
      {Packet(kVersionOp), get, get},
      {Packet(kSaslAuthOp, "PLAIN", std::string("bob\0bob\0secret", 14)), get},
      {Packet(kSaslAuthOp, "PLAIN", std::string("ann\0bob\0secret", 14)), get, get},
      {Packet(kSaslAuthOp, "PLAIN", "junk"), get, get},
      {Packet(kSaslAuthOp, "plain", std::string("\0bob\0secret", 11)), get},
      {Packet(kSaslAuthOp, "PLAIN"), Packet(kSaslStepOp, "PLAIN", std::string("\0bob\0secret", 11)),
       get},
      {Packet(kSaslAuthOp, "ANONYMOUS", "me"), get, get},
      {Packet(kSaslAuthOp, "NOPE", "x"), good},
      {Packet(kSaslAuthOp, std::string(32, 'M'), "x"), good},
      {Packet(kSaslAuthOp, std::string(33, 'M'), "x"), good},
      {Packet(kSaslAuthOp, std::string(251, 'M'), "x"), good},
      {Packet(kSaslAuthOp, "", "x"), good},
      {Packet(kSaslStepOp, "PLAIN", std::string("\0bob\0secret", 11)), good},
      {Packet(kSaslStepOp, "", "x"), good},
      {Packet(kSaslAuthOp, "CRAM-MD5"), get, get},
      {Packet(kSaslAuthOp, "CRAM-MD5"), Packet(kSaslStepOp, "CRAM-MD5", "bob 00"), get, get},
      {Packet(kSaslAuthOp, "CRAM-MD5"), good, get},
      {good, Plain("bob", "wrong"), get, get},
      {good, Packet(kSaslStepOp, "PLAIN", "x"), get, get},
      {Plain("bob", std::string(8'000, 'p')), good},
      {Plain("bob", std::string(100'000, 'p')), good},
  };
  for (int opcode = 0; opcode < 0x30; ++opcode) {
    if (opcode < kSaslListOp || opcode > kSaslStepOp) {
      cases.push_back({Packet(static_cast<uint8_t>(opcode), "k"), get});
    }
  }
  for (const std::vector<std::string>& packets : cases) {
    EXPECT_EQ(AskAll(*ours, packets), AskAll(*reference, packets))
        << unsigned{static_cast<uint8_t>(packets[0][1])} << " "
        << packets[0].substr(kBinaryHeader, 40);
  }
  for (const char* const group : {"", "settings"}) {
    for (const char* const name : {"auth_cmds", "auth_errors", "auth_enabled_sasl",
                                   "auth_enabled_ascii", "binding_protocol"}) {
      const auto shown = [&](const Daemon& daemon) {
        const std::unique_ptr<Client> client = daemon.Connect();
        Ask(*client, good);
        for (BinaryResponse stat = Ask(*client, Packet(kStatOp, group)); !stat.key.empty();
             stat = Ask(*client, "")) {
          if (stat.key == name) return stat.value;
        }
        return std::string();
      };
      EXPECT_EQ(shown(*ours), shown(*reference)) << name;
    }
  }
}

TEST_F(SaslTest, StaysLoggedInWhenAskedForMechanismsAndLogsInAgain) {
  const std::unique_ptr<Daemon> ours = Started(TerracedBinary(), {"-S"});
  const std::unique_ptr<Client> client = ours->Connect();
  EXPECT_EQ(Ask(*client, Plain("bob", "secret")).value, "Authenticated");
  EXPECT_EQ(Ask(*client, Packet(kSaslListOp)).value, "PLAIN CRAM-MD5 SCRAM-SHA-256");
  EXPECT_EQ(Ask(*client, Packet(kSetOp, "k", "v")).status, 0);
  EXPECT_EQ(Ask(*client, Plain("bob", "secret")).value, "Authenticated");
  EXPECT_EQ(Ask(*client, Packet(kGetOp, "k")).value, "v");
  // A pipeline is decoded as what its login made of the client.
  const std::unique_ptr<Client> other = ours->Connect();
  EXPECT_EQ(Ask(*other, Plain("bob", "secret") + Packet(kGetOp, "k")).value, "Authenticated");
  EXPECT_EQ(Ask(*other, "").value, "v");
  EXPECT_EQ(Ask(*other, Plain("bob", "wrong") + Packet(kGetOp, "k")).status, 0x20);
  EXPECT_EQ(Ask(*other, "").status, 0x20);
  EXPECT_TRUE(other->ServerCloses(Client::kPatience));
}

TEST_F(SaslTest, SpeaksNoText) {
  const std::unique_ptr<Daemon> ours = Started(TerracedBinary(), {"-S"});
  const std::unique_ptr<Client> client = ours->Connect();
  ASSERT_TRUE(client->Send("version\r\n").ok());
  EXPECT_FALSE(client->ReadLine().ok());
}

TEST_F(SaslTest, ShowsNoPasswordInItsLog) {
  const std::unique_ptr<Daemon> ours = Started(TerracedBinary(), {"-S", "-vv"});
  AskAll(*ours, {Plain("bob", "secret"), Plain("bob", "wr0ng"), Plain("bob", "secret")});
  EXPECT_EQ(ours->Stop(SIGTERM), 0);
  EXPECT_THAT(ours->Stderr(), HasSubstr("SASL_AUTH"));
  EXPECT_THAT(ours->Stderr(), testing::Not(HasSubstr("secret")));
  EXPECT_THAT(ours->Stderr(), testing::Not(HasSubstr("wr0ng")));
}

// Debian's memcached is built without it.
TEST_F(SaslTest, TakesPasswordsFromAFileAndReadsItEachTime) {
  const std::string users = directory_.Sub("users");
  ::setenv("MEMCACHED_SASL_PWDB", users.c_str(), 1);
  WriteFile(users, "ann:hers:more\n");
  const std::unique_ptr<Daemon> ours = Started(TerracedBinary(), {"-S"});
  const std::unique_ptr<Client> client = ours->Connect();
  EXPECT_EQ(Ask(*client, Plain("ann", "wrong")).status, 0x20);
  EXPECT_EQ(Ask(*client, Plain("ann", "hers")).value, "Authenticated");
  WriteFile(users, "ann:changed\n");
  EXPECT_EQ(Ask(*client, Plain("ann", "hers")).status, 0x20);
  EXPECT_EQ(Ask(*client, Plain("ann", "changed")).value, "Authenticated");
}

// --- Starts ----------------------------------------------------------------------------------------

TEST_F(SaslTest, RefusesAStartThatContradictsItself) {
  const std::string users = directory_.Sub("users");
  const std::string bad = directory_.Sub("bad");
  WriteFile(users, "bob:secret\n");
  WriteFile(bad, "bob:secret\nsecret\n");
  const struct {
    std::vector<std::string> arguments;
    int code;
    std::string text;
  } cases[] = {
      {{"-S", "-B", "ascii"}, 64, "You cannot allow the ASCII protocol while using SASL"},
      {{"-B", "auto", "-S"}, 64, "You cannot allow the ASCII protocol while using SASL"},
      {{"-Y", users, "-B", "binary"}, 64, "You cannot allow the BINARY protocol while using ascii"},
      {{"-Y", users, "-B", "auto"}, 64, "You cannot allow the BINARY protocol while using ascii"},
      {{"-S", "-U", "11399"}, 64, "-U: nobody can log in over UDP: leave it out, or -S"},
      {{"-Y", users, "-U", "11399"}, 64, "-U: nobody can log in over UDP: leave it out, or -Y"},
      {{"-S", "-Y", users}, 64, "-S and -Y are for different protocols"},
      {{"-S", "-l", "proto[ascii]:127.0.0.1"}, 64, "-l: -S means binary"},
      {{"-Y", users, "-l", "proto[negotiating]:127.0.0.1"}, 64, "-l: -Y means ascii"},
      {{"-Y", bad}, 1, "-Y: " + bad + ":2: has no colon: give user:password"},
      {{"-Y", "/nonexistent"}, 1, "-Y: cannot read /nonexistent"},
  };
  for (const auto& [arguments, code, text] : cases) {
    const FailedStart failed = StartRefused({.binary = TerracedBinary(), .arguments = arguments});
    EXPECT_EQ(failed.exit_status, code) << text;
    EXPECT_THAT(failed.stderr_text, HasSubstr(text));
    EXPECT_THAT(failed.stderr_text, testing::Not(HasSubstr("secret")));
  }
  for (const auto& [arguments, code, text] : cases) {
    // Whatever memcached lets pass, we may refuse; but nothing with another code.
    if (code != 64 || arguments.back() == users || arguments.back().starts_with("proto")) continue;
    const FailedStart failed = StartRefused({.binary = ReferenceBinary(), .arguments = arguments});
    EXPECT_EQ(failed.exit_status, code) << text;
  }
}

TEST_F(SaslTest, RefusesAStartWithoutAConfiguration) {
  const std::string empty = directory_.Sub("empty");
  ASSERT_EQ(::mkdir(empty.c_str(), 0755), 0);
  ::setenv("SASL_CONF_PATH", empty.c_str(), 1);
  const FailedStart none = StartRefused({.binary = TerracedBinary(), .arguments = {"-S"}});
  EXPECT_EQ(none.exit_status, 1);
  EXPECT_THAT(none.stderr_text, HasSubstr("-S: no memcached.conf can be read in " + empty));
  WriteFile(empty + "/memcached.conf", "mech_list: anonymous\n");
  const FailedStart anybody = StartRefused({.binary = TerracedBinary(), .arguments = {"-S"}});
  EXPECT_EQ(anybody.exit_status, 1);
  EXPECT_THAT(anybody.stderr_text, HasSubstr("-S: Cyrus SASL has none of the mechanisms"));
}

}  // namespace
}  // namespace terraced::support
