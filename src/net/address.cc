#include "src/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>

namespace terraced::server {
namespace {

constexpr int kPortMax = 65535;
constexpr int kUdpBufferBytes = 8 << 20;

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

std::string Shown(const ListenAddress& address) {
  const std::string host = address.host.empty() ? "*" : address.host;
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(address.port);
}

// "127.0.0.1:11211"; "?" of what is neither IPv4 nor IPv6.
std::string NameOf(const sockaddr_storage& address, uint16_t* port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof(six));
    inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
    *port = ntohs(six.sin6_port);
    return "[" + std::string(text.data()) + "]:" + std::to_string(*port);
  }
  if (address.ss_family != AF_INET) return "?";
  sockaddr_in four{};
  std::memcpy(&four, &address, sizeof(four));
  inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
  *port = ntohs(four.sin_port);
  return std::string(text.data()) + ":" + std::to_string(*port);
}

std::string BoundName(int fd, uint16_t* port) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  return NameOf(address, port);
}

Result<AddressList> Resolve(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port < 0 ? 0 : address.port);
  const int error = getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), port.c_str(),
                                &hints, &list);
  if (error != 0) {
    const char* const why = error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error);
    return Status(StatusCode::kInvalidArgument, "cannot listen on " + Shown(address) + ": " + why);
  }
  return AddressList(list);
}

Status TakenPort(const std::string& host, uint16_t port) {
  const std::string holder = HolderOfPort(port);
  std::string message = "port " + std::to_string(port) + " on " + host + " is in use";
  message += holder.empty() ? " by another process" : " by " + holder;
  return Status(StatusCode::kBusy, message);
}

std::string HostOf(const addrinfo& one) {
  std::array<char, NI_MAXHOST> host{};
  if (getnameinfo(one.ai_addr, one.ai_addrlen, host.data(), host.size(), nullptr, 0,
                  NI_NUMERICHOST) != 0) {
    return "?";
  }
  return host.data();
}

void SetPort(addrinfo* one, uint16_t port) {
  if (one->ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(one->ai_addr)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(one->ai_addr)->sin_port = htons(port);
  }
}

// kNotFound: this machine has no such kind of address (IPv6 turned off), which is no failure of a wildcard.
Result<ListeningSocket> BindOne(const addrinfo& one, int port, const ListenTraits& traits,
                                uint32_t backlog) {
  const std::string host = HostOf(one);
  const std::string what = "cannot listen on " + host + " port " + std::to_string(port);
  const int fd = socket(one.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 && errno == EAFNOSUPPORT) return Status(StatusCode::kNotFound, what);
  if (fd < 0) return Status::FromErrno(what, errno);
  const bool is_ipv6 = one.ai_family == AF_INET6;
  ListeningSocket listening(fd, is_ipv6 ? SocketFamily::kIpv6 : SocketFamily::kIpv4, traits);
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
    return Status::FromErrno(what, errno);
  if (is_ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) {
    return Status::FromErrno(what, errno);
  }
  if (bind(fd, one.ai_addr, one.ai_addrlen) != 0) {
    if (errno == EADDRINUSE) return TakenPort(host, static_cast<uint16_t>(port));
    if (errno == EADDRNOTAVAIL && is_ipv6) return Status(StatusCode::kNotFound, what);
    return Status::FromErrno(what, errno);
  }
  // Two sockets may both bind with SO_REUSEADDR; only one may listen.
  if (listen(fd, static_cast<int>(backlog)) != 0) {
    if (errno == EADDRINUSE) return TakenPort(host, static_cast<uint16_t>(port));
    return Status::FromErrno(what, errno);
  }
  uint16_t bound = 0;
  listening.SetName(BoundName(fd, &bound));
  return listening;
}

// Without SO_REUSEADDR: of two UDP sockets on one port the later would get everything.
Result<ListeningSocket> BindOneUdp(const addrinfo& one, int port) {
  const std::string host = HostOf(one);
  const std::string what = "cannot receive UDP on " + host + " port " + std::to_string(port);
  const int fd = socket(one.ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 && errno == EAFNOSUPPORT) return Status(StatusCode::kNotFound, what);
  if (fd < 0) return Status::FromErrno(what, errno);
  const bool is_ipv6 = one.ai_family == AF_INET6;
  ListeningSocket receiving(fd, is_ipv6 ? SocketFamily::kIpv6 : SocketFamily::kIpv4, {});
  const int on = 1;
  if (is_ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) {
    return Status::FromErrno(what, errno);
  }
  // As much as the system gives: a burst of requests, or the datagrams of a large reply.
  for (const int buffer : {SO_RCVBUF, SO_SNDBUF}) {
    static_cast<void>(setsockopt(fd, SOL_SOCKET, buffer, &kUdpBufferBytes, sizeof(int)));
  }
  if (bind(fd, one.ai_addr, one.ai_addrlen) != 0) {
    const int error = errno;
    if (error == EADDRNOTAVAIL && is_ipv6) return Status(StatusCode::kNotFound, what);
    return Status::FromErrno(what, error);
  }
  uint16_t bound = 0;
  receiving.SetName((is_ipv6 ? "udp6:" : "udp:") + BoundName(fd, &bound));
  return receiving;
}

// Where a name stands twice for an address.
bool IsRepeated(const addrinfo* list, const addrinfo& last) {
  for (const addrinfo* one = list; one != &last; one = one->ai_next) {
    if (one->ai_addrlen == last.ai_addrlen &&
        std::memcmp(one->ai_addr, last.ai_addr, last.ai_addrlen) == 0) {
      return true;
    }
  }
  return false;
}

// Every address that a name stands for; an ephemeral port is the same for all of them.
Status BindAddress(const ListenAddress& address,
                   const std::function<Result<ListeningSocket>(const addrinfo&, int)>& bind_one,
                   std::vector<ListeningSocket>* sockets) {
  TERRACED_ASSIGN_OR_RETURN(const AddressList list, Resolve(address));
  const size_t before = sockets->size();
  uint16_t port = address.port < 0 ? 0 : static_cast<uint16_t>(address.port);
  Status missing;
  for (addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    SetPort(one, port);
    if (port != 0 && IsRepeated(list.get(), *one)) continue;
    Result<ListeningSocket> bound = bind_one(*one, port);
    if (!bound.ok() && bound.status().code() == StatusCode::kNotFound) {
      missing = bound.status();
      continue;
    }
    if (!bound.ok()) return bound.status();
    if (port == 0) static_cast<void>(BoundName(bound.value().Fd(), &port));
    sockets->push_back(std::move(bound).value());
  }
  if (sockets->size() > before) return Status();
  if (!missing.ok())
    return Status(StatusCode::kIoError, std::string(missing.message()) + ": no such address here");
  return Status(StatusCode::kInvalidArgument,
                "cannot listen on " + Shown(address) + ": no address");
}

// "name]:" or "name_:" after `prefix` and its bracket, removed from *text. Nothing: it does not stand there.
std::optional<std::string_view> TakeBracketed(std::string_view prefix, std::string_view* text) {
  if (!text->starts_with(prefix) || text->size() <= prefix.size()) return std::nullopt;
  const char open = (*text)[prefix.size()];
  if (open != '[' && open != '_') return std::nullopt;
  const std::string_view rest = text->substr(prefix.size() + 1);
  const size_t end = rest.find(open == '[' ? "]:" : "_:");
  if (end == std::string_view::npos) return std::nullopt;
  text->remove_prefix(prefix.size() + 1 + end + 2);
  return rest.substr(0, end);
}

bool ParseProtocol(std::string_view name, std::optional<BindingProtocol>* protocol) {
  if (name == "ascii") *protocol = BindingProtocol::kAscii;
  if (name == "binary") *protocol = BindingProtocol::kBinary;
  if (name == "negotiating") *protocol = BindingProtocol::kAuto;
  return protocol->has_value();
}

// What stands in front of the address, removed from *text.
Status TakeTraits(std::string_view* text, ListenTraits* traits) {
  constexpr size_t kTagBytesMax = 8;
  constexpr std::pair<std::string_view, ListenTls> kTls[] = {
      {"notls:", ListenTls::kOff}, {"btls:", ListenTls::kBasic}, {"mtls:", ListenTls::kMutual}};
  for (const auto& [prefix, tls] : kTls) {
    if (!text->starts_with(prefix)) continue;
    traits->tls = tls;
    text->remove_prefix(prefix.size());
    break;
  }
  if (const std::optional<std::string_view> name = TakeBracketed("proto", text)) {
    if (!ParseProtocol(*name, &traits->protocol)) {
      return Status(StatusCode::kInvalidArgument,
                    "proto[" + std::string(*name) +
                        "] is not spoken here: give ascii, binary or negotiating");
    }
  }
  if (const std::optional<std::string_view> tag = TakeBracketed("tag", text)) {
    if (tag->empty() || tag->size() > kTagBytesMax) {
      return Status(StatusCode::kInvalidArgument,
                    "tag[" + std::string(*tag) + "] is no tag: give 1 to 8 characters");
    }
    traits->tag = *tag;
  }
  return Status();
}

bool ParsePort(std::string_view text, int* port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *port);
  return error == std::errc() && end == text.data() + text.size() && *port >= -1 &&
         *port <= kPortMax;
}

}  // namespace

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      family_(other.family_),
      traits_(std::move(other.traits_)),
      name_(std::move(other.name_)),
      file_(std::move(other.file_)) {}

ListeningSocket& ListeningSocket::operator=(ListeningSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(family_, other.family_);
  std::swap(traits_, other.traits_);
  std::swap(name_, other.name_);
  std::swap(file_, other.file_);
  return *this;
}

ListeningSocket::~ListeningSocket() {
  if (fd_ >= 0) ::close(fd_);
}

Result<ListenAddress> ParseListenAddress(std::string_view text, int port) {
  ListenAddress address{"", port, {}};
  std::string_view host = text;
  TERRACED_RETURN_IF_ERROR(TakeTraits(&host, &address.traits));
  std::string_view port_text;
  const Status bad(StatusCode::kInvalidArgument,
                   "'" + std::string(text) +
                       "' holds what is no address: give host, host:port, [v6] or [v6]:port");
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return bad;
    port_text = host.substr(end + 1);
    host = host.substr(1, end - 1);
    if (!port_text.empty() && !port_text.starts_with(':')) return bad;
  } else if (const size_t colon = host.find(':');
             colon != std::string_view::npos && colon == host.rfind(':')) {
    // Several colons and no brackets: an IPv6 address without a port.
    port_text = host.substr(colon);
    host = host.substr(0, colon);
  }
  if (!port_text.empty() && !ParsePort(port_text.substr(1), &address.port)) return bad;
  if (host.empty()) return bad;
  if (host != "*") address.host = host;
  return address;
}

Result<std::vector<ListenAddress>> ListenAddresses(const ServerOptions& options) {
  std::vector<ListenAddress> addresses;
  std::set<std::string_view> seen;
  for (const std::string& given : options.listen) {
    std::string_view rest = given;
    while (!rest.empty()) {
      const size_t end = rest.find_first_of(",;");
      const std::string_view piece = rest.substr(0, end);
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
      if (piece.empty()) continue;
      TERRACED_ASSIGN_OR_RETURN(ListenAddress address, ParseListenAddress(piece, options.tcp_port));
      if (!seen.insert(piece).second && address.port > 0) continue;  // said twice, meant once
      addresses.push_back(std::move(address));
    }
  }
  if (addresses.empty()) addresses.push_back(ListenAddress{"", options.tcp_port, {}});
  return addresses;
}

Result<std::vector<ListeningSocket>> BindAll(const ServerOptions& options) {
  std::vector<ListeningSocket> sockets;
  if (!options.unix_socket.empty()) {
    TERRACED_ASSIGN_OR_RETURN(ListeningSocket socket, BindUnix(options));
    sockets.push_back(std::move(socket));
    return sockets;
  }
  TERRACED_ASSIGN_OR_RETURN(const std::vector<ListenAddress> addresses, ListenAddresses(options));
  for (const ListenAddress& address : addresses) {
    if (address.port == 0) continue;
    const auto bind_one = [&](const addrinfo& one, int port) {
      return BindOne(one, port, address.traits, options.backlog);
    };
    TERRACED_RETURN_IF_ERROR(BindAddress(address, bind_one, &sockets));
  }
  return sockets;
}

Result<std::vector<ListeningSocket>> BindUdp(const ServerOptions& options) {
  std::vector<ListeningSocket> sockets;
  if (options.udp_port == 0 || !options.unix_socket.empty()) return sockets;
  ServerOptions udp = options;
  udp.tcp_port = options.udp_port;
  TERRACED_ASSIGN_OR_RETURN(const std::vector<ListenAddress> addresses, ListenAddresses(udp));
  for (const ListenAddress& address : addresses) {
    if (address.port == 0) continue;
    TERRACED_RETURN_IF_ERROR(BindAddress(address, &BindOneUdp, &sockets));
  }
  return sockets;
}

std::string StatsName(const ListeningSocket& socket) {
  const bool is_tcp = socket.Family() != SocketFamily::kUnix && !socket.Name().starts_with("udp");
  if (!is_tcp) return socket.Name();
  return (socket.Family() == SocketFamily::kIpv6 ? "tcp6:" : "tcp:") + socket.Name();
}

std::string PeerStatsName(int fd, const ListeningSocket* listening) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  uint16_t port = 0;
  if (address.ss_family == AF_INET) return "tcp:" + NameOf(address, &port);
  if (address.ss_family == AF_INET6) return "tcp6:" + NameOf(address, &port);
  return listening == nullptr ? "unix:" : StatsName(*listening);
}

}  // namespace terraced::server
