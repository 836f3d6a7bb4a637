#include "tests/support/stale_proxy.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace terraced::support {
namespace {

bool IsStorage(std::string_view line) {
  for (const std::string_view verb : {"set ", "add ", "replace ", "append ", "prepend ", "cas "}) {
    if (line.starts_with(verb)) return true;
  }
  return false;
}

// The length in a storage command's line, its fifth word.
size_t DataBytes(const std::string& line) {
  size_t at = 0;
  for (int word = 0; word < 4; ++word) at = line.find(' ', at) + 1;
  return std::strtoull(line.c_str() + at, nullptr, 10);
}

bool IsGetOfOneKey(std::string_view line) {
  return line.starts_with("get ") && line.find(' ', 4) == std::string_view::npos;
}

}  // namespace

Result<std::unique_ptr<StaleProxy>> StaleProxy::Start(int server_port, uint64_t stale_every) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return Status::FromErrno("socket", errno);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      listen(listener, 64) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int error = errno;
    close(listener);
    return Status::FromErrno("listen", error);
  }
  return std::unique_ptr<StaleProxy>(
      new StaleProxy(listener, ntohs(address.sin_port), server_port, stale_every));
}

StaleProxy::StaleProxy(int listener, int port, int server_port, uint64_t stale_every)
    : listener_(listener), port_(port), server_port_(server_port), stale_every_(stale_every) {
  acceptor_ = std::thread([this] { Accept(); });
}

StaleProxy::~StaleProxy() {
  shutdown(listener_, SHUT_RDWR);  // wakes accept
  acceptor_.join();
  close(listener_);
  std::vector<std::thread> connections;
  {
    MutexLock lock(mutex_);
    connections.swap(connections_);
  }
  for (std::thread& connection : connections) connection.join();
}

void StaleProxy::Accept() {
  for (;;) {
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) return;
    MutexLock lock(mutex_);
    connections_.emplace_back([this, descriptor] {
      const std::unique_ptr<Client> client = Client::Adopt(descriptor);
      Result<std::unique_ptr<Client>> server = Client::Connect(server_port_);
      if (server.ok()) Serve(*client, *server.value());
    });
  }
}

void StaleProxy::Serve(Client& client, Client& server) {
  for (;;) {
    Result<std::string> line = client.ReadLine();
    if (!line.ok() || !RelayOne(client, server, line.value()).ok()) return;
  }
}

Status StaleProxy::RelayOne(Client& client, Client& server, const std::string& line) {
  const std::string replay = Replay(line);
  if (!replay.empty()) return client.Send(replay);
  std::string request = line;
  if (IsStorage(line)) {
    TERRACED_ASSIGN_OR_RETURN(const std::string data, client.ReadBytes(DataBytes(line) + 2));
    request += data;
  }
  TERRACED_RETURN_IF_ERROR(server.Send(request));
  TERRACED_ASSIGN_OR_RETURN(const std::string reply, server.ReadReply(ShapeOf(request)));
  Keep(line, reply);
  return client.Send(reply);
}

std::string StaleProxy::Replay(const std::string& line) {
  if (stale_every_ == 0 || !IsGetOfOneKey(line)) return std::string();
  MutexLock lock(mutex_);
  const auto kept = kept_.find(line);
  if (kept == kept_.end() || ++gets_ % stale_every_ != 0) return std::string();
  return kept->second;
}

void StaleProxy::Keep(const std::string& line, const std::string& reply) {
  if (!IsGetOfOneKey(line) || !reply.starts_with("VALUE ")) return;
  MutexLock lock(mutex_);
  kept_.emplace(line, reply);
}

}  // namespace terraced::support
