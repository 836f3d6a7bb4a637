#include "src/auth/sasl.h"

#include <sasl/sasl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "src/auth/password_file.h"
#include "storage/base/log.h"

namespace terraced::server {
namespace {

constexpr const char* kApplication = "memcached";
constexpr const char* kConfigFile = "/memcached.conf";
constexpr std::string_view kConfigPath = "/etc/sasl:/etc/sasl2";

Status Refuse(const std::string& what) {
  return Status(StatusCode::kInvalidArgument, "-S: " + what);
}

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string HostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// --- Cyrus's mutexes: without these it has none ----------------------------------------------------

void* NewMutex() {
  return new std::mutex;
}
int LockMutex(void* mutex) {
  static_cast<std::mutex*>(mutex)->lock();
  return SASL_OK;
}
int UnlockMutex(void* mutex) {
  static_cast<std::mutex*>(mutex)->unlock();
  return SASL_OK;
}
void DeleteMutex(void* mutex) {
  delete static_cast<std::mutex*>(mutex);
}

// --- What Cyrus asks back --------------------------------------------------------------------------

// Its traces show passwords; they begin behind SASL_LOG_NOTE.
int WriteLog(void*, int level, const char* message) {
  if (level > SASL_LOG_NONE && level <= SASL_LOG_NOTE && Log::On(LogLevel::kVerbose)) {
    Log::Write(LogLevel::kVerbose, "SASL: %s", message);
  }
  return SASL_OK;
}

// Read anew for each login, as memcached does: whoever changes the file tells nobody.
int CheckPassword(sasl_conn_t*, void*, const char* user, const char* password, unsigned bytes,
                  propctx*) {
  const Result<PasswordFile> file =
      PasswordFile::Read(Environment("MEMCACHED_SASL_PWDB"), PasswordFile::Format::kLoose);
  if (!file.ok()) {
    Log::Write(LogLevel::kNotice, "terraced: MEMCACHED_SASL_PWDB: %s",
               std::string(file.status().message()).c_str());
    return SASL_FAIL;
  }
  // Cyrus has put the realm behind a name that had none; the file may have it or not.
  const std::string_view whole = user;
  const std::string realm = "@" + HostName();
  const std::string_view given =
      whole.ends_with(realm) ? whole.substr(0, whole.size() - realm.size()) : whole;
  const std::string_view secret(password, bytes);
  const bool accepted = file.value().Accepts(whole, secret) || file.value().Accepts(given, secret);
  return accepted ? SASL_OK : SASL_NOAUTHZ;
}

// Without a memcached.conf: the one mechanism that a file of passwords is enough for.
int PlainOnly(void*, const char* plugin, const char* option, const char** result,
              unsigned* length) {
  if (plugin != nullptr || std::strcmp(option, "mech_list") != 0) return SASL_FAIL;
  *result = "PLAIN";
  if (length != nullptr) *length = static_cast<unsigned>(std::strlen(*result));
  return SASL_OK;
}

// Cyrus knows the kind of a callback by its number alone.
template <typename Function>
sasl_callback_t Callback(unsigned long id, Function* function) {
  return {id, reinterpret_cast<int (*)()>(reinterpret_cast<void (*)()>(function)), nullptr};
}
const sasl_callback_t kEndOfCallbacks = {SASL_CB_LIST_END, nullptr, nullptr};
// Cyrus keeps a pointer to them.
std::array<sasl_callback_t, 4> g_callbacks;

bool HasConfig(std::string_view path) {
  while (true) {
    const std::string directory(path.substr(0, path.find(':')));
    if (::access((directory + kConfigFile).c_str(), R_OK) == 0) return true;
    if (directory.size() == path.size()) return false;
    path.remove_prefix(directory.size() + 1);
  }
}

SaslSession::Outcome OutcomeOf(int result, const char* bytes, unsigned length,
                               std::string_view* challenge) {
  *challenge = {};
  if (result == SASL_OK) return SaslSession::Outcome::kAccepted;
  if (result != SASL_CONTINUE) return SaslSession::Outcome::kRefused;
  if (bytes != nullptr) *challenge = {bytes, length};
  return SaslSession::Outcome::kGoesOn;
}

}  // namespace

SaslSession::~SaslSession() {
  sasl_conn_t* connection = connection_;
  sasl_dispose(&connection);
}

std::string_view SaslSession::Mechanisms() {
  const char* names = nullptr;
  unsigned length = 0;
  const int result = sasl_listmech(connection_, nullptr, "", " ", "", &names, &length, nullptr);
  return result == SASL_OK ? std::string_view(names, length) : std::string_view();
}

SaslSession::Outcome SaslSession::Begin(std::string_view mechanism, std::string_view credentials,
                                        std::string_view* challenge) {
  const char* bytes = nullptr;
  unsigned length = 0;
  // Where nothing was sent along, the client waits to be asked: that is no empty answer.
  const char* const sent = credentials.empty() ? nullptr : credentials.data();
  const int result = sasl_server_start(connection_, std::string(mechanism).c_str(), sent,
                                       static_cast<unsigned>(credentials.size()), &bytes, &length);
  return OutcomeOf(result, bytes, length, challenge);
}

SaslSession::Outcome SaslSession::Continue(std::string_view credentials,
                                           std::string_view* challenge) {
  const char* bytes = nullptr;
  unsigned length = 0;
  const int result = sasl_server_step(connection_, credentials.data(),
                                      static_cast<unsigned>(credentials.size()), &bytes, &length);
  return OutcomeOf(result, bytes, length, challenge);
}

Result<std::unique_ptr<SaslServer>> SaslServer::Start() {
  const std::string asked = Environment("SASL_CONF_PATH");
  std::string path = asked.empty() ? std::string(kConfigPath) : asked;
  const std::string passwords = Environment("MEMCACHED_SASL_PWDB");
  const bool has_config = HasConfig(path);
  if (!has_config && (!asked.empty() || passwords.empty())) {
    return Refuse("no memcached.conf can be read in " + path +
                  ": write one that says mech_list, or name its directory in SASL_CONF_PATH");
  }
  size_t callbacks = 0;
  g_callbacks[callbacks++] = Callback(SASL_CB_LOG, &WriteLog);
  if (!passwords.empty()) {
    const Result<PasswordFile> file = PasswordFile::Read(passwords, PasswordFile::Format::kLoose);
    if (!file.ok()) {
      return Refuse("MEMCACHED_SASL_PWDB: " + std::string(file.status().message()));
    }
    g_callbacks[callbacks++] = Callback(SASL_CB_SERVER_USERDB_CHECKPASS, &CheckPassword);
    if (!has_config) g_callbacks[callbacks++] = Callback(SASL_CB_GETOPT, &PlainOnly);
  }
  g_callbacks[callbacks] = kEndOfCallbacks;
  sasl_set_mutex(&NewMutex, &LockMutex, &UnlockMutex, &DeleteMutex);
  sasl_set_path(SASL_PATH_TYPE_CONFIG, path.data());
  const int started = sasl_server_init(g_callbacks.data(), kApplication);
  if (started != SASL_OK) {
    return Refuse(std::string("Cyrus SASL does not start: ") +
                  sasl_errstring(started, nullptr, nullptr));
  }
  std::unique_ptr<SaslServer> server(new SaslServer);
  server->realm_ = HostName();
  const std::unique_ptr<SaslSession> session = server->NewSession();
  if (session == nullptr || session->Mechanisms().empty()) {
    return Refuse(
        "Cyrus SASL has none of the mechanisms that mech_list of memcached.conf allows: "
        "is the package libsasl2-modules there?");
  }
  return server;
}

SaslServer::~SaslServer() {
  sasl_server_done();
}

std::unique_ptr<SaslSession> SaslServer::NewSession() const {
  sasl_conn_t* connection = nullptr;
  const char* const realm = realm_.empty() ? nullptr : realm_.c_str();
  if (sasl_server_new(kApplication, nullptr, realm, nullptr, nullptr, nullptr, 0, &connection) !=
      SASL_OK) {
    return nullptr;
  }
  std::unique_ptr<SaslSession> session(new SaslSession(connection));
  // A login of nobody is none, and what follows one is not encrypted.
  sasl_security_properties_t properties{};
  properties.security_flags = SASL_SEC_NOANONYMOUS;
  if (sasl_setprop(connection, SASL_SEC_PROPS, &properties) != SASL_OK) return nullptr;
  return session;
}

}  // namespace terraced::server
