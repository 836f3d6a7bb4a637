// A client's bytes through a real connection and the command handlers, over the fake cache: [control] [piece sizes]
// [schedule: length, bytes] [text, stretched]. The text is sent twice: once as it is to a cache that has all in RAM;
// then in pieces, while items move to flash, their reads come back in any order, stores are told to wait and replies
// are read late. The client must see the same bytes. Control 1: some reads take too long; 2: the client is gone before
// it has read anything; then there is nothing to compare. Whatever happened, everything is given back at the end.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "storage/base/log.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/text_pieces.h"
#include "tests/src/hand_host.h"

namespace terraced::fuzz {
namespace {

using server::Connection;
using server::HandHost;

constexpr size_t kRepliesMax = 4U << 20;  // enough of one input
constexpr int kStepsMax = 2'000'000;

struct Behaviour {
  bool calm = true;  // one thing after the other, everything at once
  bool reads_time_out = false;
  bool vanishes = false;
};

class Conversation {
 public:
  Conversation(HandHost* host, Behaviour behaviour, std::string_view schedule)
      : host_(*host), behaviour_(behaviour), schedule_(schedule) {
    host_.cache.Forget();
    host_.reads = true;
    host_.writes = host_.run_soon = host_.retry_room = host_.closed = false;
    host_.demoting = host_.listing = false;
    std::array<int, 2> pair{};
    FUZZ_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) ==
               0);
    client_ = pair[0];
    connection_ = std::make_unique<Connection>(host_, pair[1]);
  }

  ~Conversation() {
    if (client_ >= 0) ::close(client_);
    if (connection_ != nullptr) connection_->Close();
  }

  // True: the replies were complete and are fit to be compared.
  bool Talk(std::string_view text, PieceSizes* sizes) {
    const size_t all = text.size();
    while (!text.empty() && !host_.closed && replies_.size() <= kRepliesMax) {
      const size_t size = behaviour_.calm ? text.size() : sizes->Next(all);
      const ssize_t sent = ::send(client_, text.data(), std::min(size, text.size()), MSG_NOSIGNAL);
      if (sent > 0) text.remove_prefix(static_cast<size_t>(sent));
      if (sent > 0 && !behaviour_.calm && (Scheduled() & 1U) != 0) continue;
      Go();
    }
    if (behaviour_.vanishes) {
      ::close(std::exchange(client_, -1));
    } else {
      ::shutdown(client_, SHUT_WR);
    }
    Go();
    const bool complete = replies_.size() <= kRepliesMax;
    FUZZ_CHECK(host_.closed || !complete);
    connection_->Close();
    connection_.reset();
    if (client_ >= 0) Receive();
    CheckNothingIsHeld();
    return complete;
  }

  const std::string& Replies() const { return replies_; }

 private:
  uint8_t Scheduled() {
    if (behaviour_.calm || schedule_.empty()) return 0;
    return static_cast<uint8_t>(schedule_[next_++ % schedule_.size()]);
  }

  // Until there is nothing more to do.
  void Go() {
    int steps = 0;
    while (!host_.closed && replies_.size() <= kRepliesMax && Step()) {
      FUZZ_CHECK(++steps < kStepsMax);
    }
  }

  bool Step() {
    const uint8_t how = Scheduled();
    if ((how & 0xc0U) == 0xc0U) host_.cache.PutAllOnFlash();
    if ((how & 0xe0U) == 0xa0U && waits_left_ > 0) {
      --waits_left_;
      host_.cache.LetAllocateWait(how & 3);
    }
    // The same things can be done at any time; the schedule says which is looked at first.
    for (uint8_t i = 0; i < kThings; ++i) {
      if (Do(static_cast<uint8_t>((how + i) % kThings), how)) return true;
    }
    return false;
  }

  static constexpr uint8_t kThings = 6;
  bool Do(uint8_t thing, uint8_t how) {
    switch (thing) {
      case 0:
        if (!std::exchange(host_.run_soon, false)) return false;
        connection_->Run();
        return true;
      case 1:
        if (!std::exchange(host_.retry_room, false)) return false;
        connection_->RetryRoom();
        return true;
      case 2:
        return AnswerForHost();
      case 3:
        return AnswerRead(how);
      case 4:
        return Read();
      default:
        return Receive();
    }
  }

  bool AnswerForHost() {
    if (std::exchange(host_.listing, false)) {
      connection_->ConnectionsListed({});
      return true;
    }
    if (!std::exchange(host_.demoting, false)) return false;
    host_.cache.PutAllOnFlash();
    connection_->DemoteDone();
    return true;
  }

  bool AnswerRead(uint8_t how) {
    if (host_.wanted.empty()) return false;
    const bool late = behaviour_.reads_time_out && (how & 0x10U) != 0;
    host_.Answer((how / kThings) % host_.wanted.size(), !late);
    return true;
  }

  bool Read() {
    if (!host_.reads) return false;
    char byte = 0;
    if (::recv(connection_->Fd(), &byte, 1, MSG_PEEK) < 0) return false;
    const uint64_t before = host_.counters.bytes_read.Get();
    connection_->OnReadable();
    // One that gave way does not read until its turn has come.
    return host_.closed || !host_.reads || host_.counters.bytes_read.Get() != before;
  }

  bool Receive() {
    if (client_ < 0) return false;
    std::array<char, 65536> buffer;
    const ssize_t got = ::recv(client_, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    replies_.append(buffer.data(), static_cast<size_t>(got));
    if (connection_ != nullptr && host_.writes && !host_.closed) connection_->OnWritable();
    return true;
  }

  void CheckNothingIsHeld() {
    FUZZ_CHECK(host_.wanted.empty() && host_.completed.empty());
    host_.Account().Publish();
    FUZZ_CHECK(host_.budget.HeldBytes() == 0);
    FUZZ_CHECK(host_.buffers.Taken() == 0);
    for (const storage::SlabClassStats& stats : host_.cache.Stats().slabs) {
      FUZZ_CHECK(stats.used_chunks == 0);
    }
  }

  HandHost& host_;
  const Behaviour behaviour_;
  const std::string_view schedule_;
  size_t next_ = 0;
  int waits_left_ = 64;  // a cache that always says wait would never be done
  int client_ = -1;
  std::unique_ptr<Connection> connection_;
  std::string replies_;
};

HandHost& Host() {
  // For good: it has a thread and an arena of some megabytes.
  static HandHost* const host = [] {
    auto* const made = new HandHost;
    made->options.test_commands = true;
    made->options.reply_bytes_max = 1U << 20;
    return made;
  }();
  return *host;
}

void RunConnection(std::string_view bytes) {
  FuzzInput input(bytes);
  const uint8_t control = input.Byte();
  PieceSizes sizes(&input);
  const std::string_view schedule = input.Take(input.Byte());
  const std::string text = Stretch(input.Rest());
  const Behaviour wild = {
      .calm = false, .reads_time_out = (control & 1U) != 0, .vanishes = (control & 2U) != 0};
  Conversation in_pieces(&Host(), wild, schedule);
  const bool complete = in_pieces.Talk(text, &sizes);
  if (complete && !wild.reads_time_out && !wild.vanishes && !HasLongLine(text)) {
    Conversation whole(&Host(), Behaviour(), {});
    FUZZ_CHECK(!whole.Talk(text, &sizes) || whole.Replies() == in_pieces.Replies());
  }
  Log::SetVerbosity(0);  // `verbosity` is the daemon's, not the connection's
}

const FuzzRegistration kRegistration("connection", &RunConnection);

}  // namespace
}  // namespace terraced::fuzz
