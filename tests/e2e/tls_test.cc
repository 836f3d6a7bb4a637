// TLS with a real OpenSSL client: values of all sizes, from RAM and flash; who is let in; clients that do not finish
// their handshake or speak no TLS; certificates that change under load; what a start refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/flash_fixture.h"
#include "tests/e2e/tls_pipe.h"
#include "tests/support/daemon.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

namespace terraced {
namespace {

using support::Client;
using support::Daemon;
using support::TempDirectory;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kTcpLine[] = "TCP INET: ";

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() { MakeCertificate("server", "one"); }

  // name.pem and name.key; itself its authority.
  void MakeCertificate(const std::string& name, const std::string& common_name) {
    const std::string base = directory_.Sub(name);
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        "/CN=" +
        common_name + " -keyout " + base + ".key -out " + base + ".pem 2>" + base + ".log";
    ASSERT_EQ(std::system(command.c_str()), 0) << support::ReadTextFile(base + ".log");
  }
  std::string File(const std::string& name) const { return directory_.Sub(name); }
  std::string Files() const {
    return "ssl_chain_cert=" + File("server.pem") + ",ssl_key=" + File("server.key");
  }

  void Start(const std::string& more = "", std::vector<std::string> arguments = {},
             const std::string& user = "root") {
    const std::vector<std::string> own = {"-v", "-Z",           "-t", "2",
                                          "-l", "127.0.0.1:-1", "-o", Files() + more};
    arguments.insert(arguments.end(), own.begin(), own.end());
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start({.binary = support::TerracedBinary(),
                                                            .arguments = arguments,
                                                            .listen = "notls:127.0.0.1",
                                                            .user = user});
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
    plain_ = daemon_->Connect();
  }
  int TlsPort(size_t nth = 1) const { return daemon_->PortOf(kTcpLine, nth); }
  TlsPipeSpec Spec() const { return {.port = TlsPort()}; }
  std::string Refused(const std::vector<std::string>& arguments) {
    const support::FailedStart failed =
        support::StartRefused({.binary = support::TerracedBinary(), .arguments = arguments});
    EXPECT_EQ(failed.exit_status, 64);
    return failed.stderr_text;
  }

  TempDirectory directory_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> plain_;
};

TEST_F(TlsTest, ValuesOfAllSizesGoBothWays) {
  ASSERT_NO_FATAL_FAILURE(Start("", {"-m", "256", "-I", "32m"}));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsPipe pipe({.port = TlsPort(), .version_max = version});
    ASSERT_TRUE(pipe.IsOpen());
    const std::unique_ptr<Client> client = pipe.Adopt();
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{16'383}, size_t{16'384}, size_t{16'385},
                               size_t{65'536}, size_t{1'000'000}, size_t{20'000'000}}) {
      const std::string value = support::ValueOf("k", bytes, static_cast<uint64_t>(version));
      EXPECT_EQ(client->Set("k", value), "STORED\r\n") << bytes;
      EXPECT_TRUE(client->Get("k") == value) << bytes;
      EXPECT_TRUE(plain_->Get("k") == value) << bytes;
    }
  }
}

TEST_F(TlsTest, ALongPipelineIsAnsweredInOrder) {
  ASSERT_NO_FATAL_FAILURE(Start());
  TlsPipe pipe(Spec());
  const std::unique_ptr<Client> client = pipe.Adopt();
  std::string requests;
  std::string expected;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = "key" + std::to_string(i);
    requests += "set " + key + " 0 0 3\r\nabc\r\nget " + key + "\r\n";
    expected += "STORED\r\nVALUE " + key + " 0 3\r\nabc\r\nEND\r\n";
  }
  ASSERT_TRUE(client->Send(requests).ok());
  const Result<std::string> got = client->ReadBytes(expected.size());
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_TRUE(got.value() == expected);
}

TEST_F(TlsTest, ValuesOnFlashAreAnswered) {
  TempDirectory flash;
  ASSERT_NO_FATAL_FAILURE(
      Start(",test_commands,flash_size=512m,flash_path=" + flash.Sub("flash"), {"-m", "64"}));
  TlsPipe pipe(Spec());
  const std::unique_ptr<Client> client = pipe.Adopt();
  for (int i = 0; i < 200; ++i) {
    const std::string key = "key" + std::to_string(i);
    ASSERT_EQ(client->Set(key, support::ValueOf(key, i < 190 ? 3'000 : 500'000)), "STORED\r\n");
  }
  ASSERT_EQ(client->Ask("debug demote\r\n"), "OK\r\n");
  std::string requests;
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    const std::string key = "key" + std::to_string(i);
    const std::string value = support::ValueOf(key, i < 190 ? 3'000 : 500'000);
    requests += "get " + key + "\r\n";
    expected +=
        "VALUE " + key + " 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\nEND\r\n";
  }
  ASSERT_TRUE(client->Send(requests).ok());
  const Result<std::string> got = client->ReadBytes(expected.size());
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_TRUE(got.value() == expected);
  EXPECT_GT(plain_->Stat("get_hits_flash"), 100U);
}

TEST_F(TlsTest, AClientThatSpeaksNoTlsIsHungUpOnAndNobodyElse) {
  ASSERT_NO_FATAL_FAILURE(Start());
  TlsPipe pipe(Spec());
  const std::unique_ptr<Client> good = pipe.Adopt();
  const std::unique_ptr<Client> rude = Client::Adopt(ConnectPlain(TlsPort()));
  ASSERT_TRUE(rude->Send("get key\r\n").ok());
  EXPECT_TRUE(rude->ServerCloses(std::chrono::seconds(30)));
  EXPECT_THAT(good->Ask("version\r\n"), StartsWith("VERSION "));
  EXPECT_EQ(plain_->Stat("ssl_handshake_errors"), 1U);
  EXPECT_EQ(plain_->Stat("ssl_proto_errors"), 0U);
}

TEST_F(TlsTest, AClientThatDoesNotFinishItsHandshakeIsHungUpOn) {
  ASSERT_NO_FATAL_FAILURE(Start(",ssl_handshake_timeout=1"));
  TlsPipe pipe(Spec());
  const std::unique_ptr<Client> good = pipe.Adopt();
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(Client::Adopt(ConnectPlain(TlsPort())));
    // The head of a handshake message whose rest does not come.
    if (i % 2 == 1) {
      ASSERT_TRUE(slow.back()->Send(std::string("\x16\x03\x01\x02\x00\x01", 6)).ok());
    }
  }
  EXPECT_THAT(good->Ask("version\r\n"), StartsWith("VERSION "));
  for (const std::unique_ptr<Client>& one : slow) {
    EXPECT_TRUE(one->ServerCloses(std::chrono::seconds(30)));
  }
  EXPECT_EQ(plain_->Stat("ssl_handshake_errors"), 8U);
  EXPECT_THAT(good->Ask("version\r\n"), StartsWith("VERSION "));
}

TEST_F(TlsTest, CertificatesOfClientsAreAskedForAsTheListenerSays) {
  MakeCertificate("client", "client");
  MakeCertificate("stranger", "stranger");
  ASSERT_NO_FATAL_FAILURE(Start(",ssl_verify_mode=1,ssl_ca_cert=" + File("client.pem"),
                                {"-l", "mtls:127.0.0.1:-1", "-l", "btls:127.0.0.1:-1"}));
  const auto serves = [this](size_t nth, const std::string& name) {
    TlsPipeSpec spec = {.port = TlsPort(nth)};
    if (!name.empty()) {
      spec.certificate = File(name + ".pem");
      spec.key = File(name + ".key");
    }
    TlsPipe pipe(spec);
    // In TLS 1.3 the client learns of a refusal only when it reads.
    return pipe.IsOpen() && pipe.Adopt()->Ask("version\r\n").starts_with("VERSION ");
  };
  constexpr size_t kMutual = 1;
  constexpr size_t kBasic = 2;
  constexpr size_t kAsConfigured = 3;
  EXPECT_TRUE(serves(kMutual, "client"));
  EXPECT_FALSE(serves(kMutual, "stranger"));
  EXPECT_FALSE(serves(kMutual, ""));
  EXPECT_TRUE(serves(kBasic, "stranger"));
  EXPECT_TRUE(serves(kBasic, ""));
  EXPECT_TRUE(serves(kAsConfigured, "client"));
  EXPECT_TRUE(serves(kAsConfigured, ""));
  EXPECT_FALSE(serves(kAsConfigured, "stranger"));
}

TEST_F(TlsTest, TheKeyMayBeDer) {
  const std::string make = "openssl ec -in " + File("server.key") + " -outform DER -out " +
                           File("server.der") + " 2>" + File("der.log");
  ASSERT_EQ(std::system(make.c_str()), 0) << support::ReadTextFile(File("der.log"));
  EXPECT_THAT(Refused({"-Z", "-o",
                       "ssl_chain_cert=" + File("server.pem") + ",ssl_key=" + File("server.der")}),
              HasSubstr("ssl_key"));
  // The one given last counts.
  ASSERT_NO_FATAL_FAILURE(Start(",ssl_keyformat=DER,ssl_key=" + File("server.der")));
  EXPECT_THAT(TlsPipe(Spec()).Adopt()->Ask("version\r\n"), StartsWith("VERSION "));
}

TEST_F(TlsTest, NobodyHasASecondHandshake) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const TlsPipe pipe({.port = TlsPort(), .version_max = TLS1_2_VERSION, .renegotiates = true});
  EXPECT_TRUE(pipe.IsOpen());
  EXPECT_FALSE(pipe.WasRenegotiated());
  EXPECT_THAT(TlsPipe(Spec()).Adopt()->Ask("version\r\n"), StartsWith("VERSION "));
}

TEST_F(TlsTest, TheLeastVersionIsKept) {
  ASSERT_NO_FATAL_FAILURE(Start(",ssl_min_version=3"));
  EXPECT_FALSE(TlsPipe({.port = TlsPort(), .version_max = TLS1_2_VERSION}).IsOpen());
  EXPECT_TRUE(TlsPipe(Spec()).IsOpen());
}

TEST_F(TlsTest, SessionsAreResumedWhereTheCacheIsOn) {
  for (const bool cache : {false, true}) {
    ASSERT_NO_FATAL_FAILURE(Start(cache ? ",ssl_session_cache" : ""));
    TlsPipe first({.port = TlsPort(), .version_max = TLS1_2_VERSION});
    EXPECT_THAT(first.Adopt()->Ask("version\r\n"), StartsWith("VERSION "));
    SSL_SESSION* const session = first.Session();
    TlsPipe second({.port = TlsPort(), .version_max = TLS1_2_VERSION, .resumed = session});
    EXPECT_EQ(second.WasResumed(), cache);
    SSL_SESSION_free(session);
    EXPECT_EQ(plain_->Stat("ssl_new_sessions") > 0, cache);
  }
}

TEST_F(TlsTest, ASessionIsNoCertificateForAnotherListener) {
  MakeCertificate("client", "client");
  ASSERT_NO_FATAL_FAILURE(Start(",ssl_session_cache,ssl_ca_cert=" + File("client.pem"),
                                {"-l", "mtls:127.0.0.1:-1", "-l", "btls:127.0.0.1:-1"}));
  constexpr size_t kMutual = 1;
  constexpr size_t kBasic = 2;
  TlsPipe basic({.port = TlsPort(kBasic), .version_max = TLS1_2_VERSION});
  EXPECT_THAT(basic.Adopt()->Ask("version\r\n"), StartsWith("VERSION "));
  SSL_SESSION* const session = basic.Session();
  EXPECT_TRUE(TlsPipe({.port = TlsPort(kBasic), .version_max = TLS1_2_VERSION, .resumed = session})
                  .WasResumed());
  EXPECT_FALSE(
      TlsPipe({.port = TlsPort(kMutual), .version_max = TLS1_2_VERSION, .resumed = session})
          .IsOpen());
  SSL_SESSION_free(session);
}

TEST_F(TlsTest, CertificatesAreReadAgainUnderLoad) {
  ASSERT_NO_FATAL_FAILURE(Start());
  TlsPipe old(Spec());
  const std::unique_ptr<Client> old_client = old.Adopt();
  std::atomic<bool> ends = false;
  std::atomic<uint64_t> failures = 0;
  std::vector<std::thread> load;
  for (int i = 0; i < 3; ++i) {
    load.emplace_back([&, i] {
      const std::string key = "load" + std::to_string(i);
      while (!ends.load()) {
        TlsPipe pipe(Spec());
        const std::unique_ptr<Client> client = pipe.Adopt();
        const std::string value = support::ValueOf(key, 40'000);
        if (client->Set(key, value) != "STORED\r\n" || client->Get(key) != value) ++failures;
      }
    });
  }
  for (int round = 0; round < 10; ++round) {
    const std::string name = "name" + std::to_string(round);
    MakeCertificate("server", name);
    ASSERT_EQ(plain_->Ask("refresh_certs\r\n"), "OK\r\n");
    EXPECT_EQ(TlsPipe(Spec()).ServerName(), name);
  }
  EXPECT_LE(plain_->Stat("time_since_server_cert_refresh"), 30U);
  // A bad one keeps the last.
  std::ofstream(File("server.pem")) << "no certificate\n";
  EXPECT_THAT(plain_->Ask("refresh_certs\r\n"), HasSubstr("ssl_chain_cert " + File("server.pem")));
  EXPECT_EQ(TlsPipe(Spec()).ServerName(), "name9");
  ends.store(true);
  for (std::thread& one : load) one.join();
  EXPECT_EQ(failures.load(), 0U);
  EXPECT_THAT(old_client->Ask("version\r\n"), StartsWith("VERSION "));
  EXPECT_EQ(old.ServerName(), "one");
  EXPECT_THAT(daemon_->Stderr(), HasSubstr("the old certificates stay"));
}

TEST_F(TlsTest, SighupReadsCertificatesAgain) {
  ASSERT_NO_FATAL_FAILURE(Start());
  MakeCertificate("server", "two");
  daemon_->Signal(SIGHUP);
  std::string name;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (name != "two" && std::chrono::steady_clock::now() < end)
    name = TlsPipe(Spec()).ServerName();
  EXPECT_EQ(name, "two");
}

TEST_F(TlsTest, AKeyThatRootAloneMayReadIsSaidAtTheStart) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  std::filesystem::permissions(directory_.Path(), std::filesystem::perms(0711));
  std::filesystem::permissions(File("server.pem"), std::filesystem::perms(0644));
  std::filesystem::permissions(File("server.key"), std::filesystem::perms(0600));
  ASSERT_NO_FATAL_FAILURE(Start("", {}, "nobody"));
  const std::string said = "user nobody may not read it, so refresh_certs and SIGHUP will fail";
  EXPECT_THAT(daemon_->Stderr(), HasSubstr("ssl_key " + File("server.key") + ": " + said));
  EXPECT_THAT(daemon_->Stderr(), Not(HasSubstr("ssl_chain_cert")));
  EXPECT_THAT(plain_->Ask("refresh_certs\r\n"), HasSubstr("ssl_key " + File("server.key")));
  EXPECT_TRUE(TlsPipe(Spec()).IsOpen());
}

TEST_F(TlsTest, WithoutTlsThereIsNothingToReadAgain) {
  Result<std::unique_ptr<Daemon>> daemon =
      Daemon::Start({.binary = support::TerracedBinary(), .arguments = {}});
  ASSERT_TRUE(daemon.ok());
  EXPECT_EQ(daemon.value()->Connect()->Ask("refresh_certs\r\n"), "Error TLS not enabled\r\n");
}

TEST_F(TlsTest, AStartThatCannotServeTlsSaysWhy) {
  const std::string cert = "ssl_chain_cert=" + File("server.pem");
  EXPECT_THAT(Refused({"-Z"}), HasSubstr("ssl_chain_cert"));
  EXPECT_THAT(Refused({"-Z", "-o", cert}), HasSubstr("ssl_key"));
  EXPECT_THAT(Refused({"-Z", "-o", cert + ",ssl_key=" + File("none")}),
              HasSubstr("ssl_key " + File("none") + ": No such file"));
  MakeCertificate("other", "other");
  EXPECT_THAT(Refused({"-Z", "-o", cert + ",ssl_key=" + File("other.key")}), HasSubstr("ssl_key"));
  EXPECT_THAT(Refused({"-Z", "-o", Files() + ",ssl_ciphers=NONSENSE"}),
              HasSubstr("ssl_ciphers NONSENSE"));
  EXPECT_THAT(Refused({"-Z", "-o", Files() + ",ssl_ca_cert=" + File("none")}),
              HasSubstr("ssl_ca_cert"));
}

}  // namespace
}  // namespace terraced
