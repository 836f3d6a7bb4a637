#include "src/net/udp_port.h"

#include <event2/event.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "storage/base/check.h"

namespace terraced::server {
namespace {

constexpr int kReadsPerEvent = 32;  // datagrams, before others have their turn
constexpr size_t kDatagramBytesMax = 64U << 10;
constexpr size_t kDatagramsPerCall = 64;   // sent by one system call
constexpr size_t kDatagramsPerTurn = 192;  // sent of one reply, before others have their turn

}  // namespace

// --- The port -------------------------------------------------------------------------------------

UdpPort::~UdpPort() {
  for (const Outgoing& outgoing : outgoing_) host_.Account().GiveBack(outgoing.bytes.size());
}

void UdpPort::Watch(event_base* base) {
  readable_.reset(event_new(base, fd_, EV_READ | EV_PERSIST, &OnReadable, this));
  writable_.reset(event_new(base, fd_, EV_WRITE, &OnWritable, this));
  TERRACED_CHECK(readable_ != nullptr && writable_ != nullptr);
  event_add(readable_.get(), nullptr);
}

void UdpPort::StopReading() {
  event_del(readable_.get());
  event_del(writable_.get());
}

void UdpPort::OnReadable(int, short, void* port) {
  static_cast<UdpPort*>(port)->Receive();
}

void UdpPort::OnWritable(int, short, void* port) {
  static_cast<UdpPort*>(port)->SendQueued();
}

// All workers wake for a datagram and one of them gets it.
void UdpPort::Receive() {
  std::array<char, kDatagramBytesMax> datagram;
  for (int i = 0; i < kReadsPerEvent; ++i) {
    UdpPeer peer;
    peer.length = sizeof(peer.address);
    const ssize_t bytes = recvfrom(fd_, datagram.data(), datagram.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&peer.address), &peer.length);
    if (bytes < 0) return;
    host_.Counters().bytes_read.Add(static_cast<uint64_t>(bytes));
    const std::optional<UdpRequest> request =
        DecodeUdpRequest({datagram.data(), static_cast<size_t>(bytes)});
    if (!request.has_value()) continue;
    if (!host_.BeginExchange(*this, peer, *request)) host_.Counters().udp_requests_dropped.Add(1);
  }
}

void UdpPort::Reply(const UdpPeer& peer, uint16_t id, std::string bytes) {
  outgoing_.push_back({peer, id, std::move(bytes)});
  // Those before it are waiting for the socket.
  if (outgoing_.size() == 1) SendQueued();
}

// A turn of the first; the others behind it, so that a long one does not hold up short ones.
void UdpPort::SendQueued() {
  if (outgoing_.empty()) return;
  if (SendSome(&outgoing_.front())) {
    host_.Account().GiveBack(outgoing_.front().bytes.size());
    outgoing_.pop_front();
  } else if (outgoing_.size() > 1) {
    outgoing_.push_back(std::move(outgoing_.front()));
    outgoing_.pop_front();
  }
  if (!outgoing_.empty()) event_add(writable_.get(), nullptr);
}

bool UdpPort::SendSome(Outgoing* outgoing) {
  const std::string& bytes = outgoing->bytes;
  const size_t count = UdpDatagramsOf(bytes.size());
  const size_t turn_end = std::min(count, outgoing->next + kDatagramsPerTurn);
  while (outgoing->next < turn_end) {
    std::array<UdpHeader, kDatagramsPerCall> headers;
    std::array<std::array<iovec, 2>, kDatagramsPerCall> pieces;
    std::array<mmsghdr, kDatagramsPerCall> messages{};
    const size_t some = std::min(turn_end - outgoing->next, kDatagramsPerCall);
    for (size_t i = 0; i < some; ++i) {
      const size_t number = outgoing->next + i;
      const size_t begin = number * kUdpPayloadBytesMax;
      headers[i] = EncodeUdpHeader(outgoing->id, number, count);
      pieces[i][0] = {headers[i].data(), headers[i].size()};
      pieces[i][1] = {const_cast<char*>(bytes.data() + begin),
                      std::min(bytes.size() - begin, kUdpPayloadBytesMax)};
      msghdr& message = messages[i].msg_hdr;
      message.msg_name = &outgoing->peer.address;
      message.msg_namelen = outgoing->peer.length;
      message.msg_iov = pieces[i].data();
      message.msg_iovlen = pieces[i].size();
    }
    const int sent = sendmmsg(fd_, messages.data(), static_cast<unsigned>(some), MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (sent < 0) {
      // Nobody there, no way there: what is left of it is lost, as a datagram may be.
      host_.Counters().udp_replies_dropped.Add(1);
      return true;
    }
    for (int i = 0; i < sent; ++i) {
      host_.Counters().bytes_written.Add(messages[static_cast<size_t>(i)].msg_len);
    }
    outgoing->next += static_cast<size_t>(sent);
  }
  return outgoing->next == count;
}

// --- An exchange ----------------------------------------------------------------------------------

UdpExchange::~UdpExchange() {
  port_.Host().Account().GiveBack(reply_.size());
}

ssize_t UdpExchange::Read(std::span<const iovec> pieces) {
  size_t total = 0;
  for (const iovec& piece : pieces) {
    const size_t taken = std::min(piece.iov_len, request_.size() - read_);
    if (taken > 0) std::memcpy(piece.iov_base, request_.data() + read_, taken);
    read_ += taken;
    total += taken;
  }
  if (total == 0) ended_ = true;
  return static_cast<ssize_t>(total);
}

ssize_t UdpExchange::Write(std::span<const iovec> pieces) {
  ReplyAccount& account = port_.Host().Account();
  size_t bytes = 0;
  for (const iovec& piece : pieces) bytes += piece.iov_len;
  const uint64_t limit = std::min<uint64_t>(bytes_max_, kUdpReplyBytesMax);
  if (reply_.size() + bytes > limit || bytes > account.LeftBytes()) {
    port_.Host().Counters().udp_replies_dropped.Add(1);
    errno = EMSGSIZE;
    return -1;
  }
  for (const iovec& piece : pieces) {
    reply_.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  account.Take(bytes);
  return static_cast<ssize_t>(bytes);
}

void UdpExchange::Finish() {
  if (!reply_.empty()) port_.Reply(peer_, id_, std::exchange(reply_, std::string()));
}

}  // namespace terraced::server
