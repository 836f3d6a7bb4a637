// Client: one blocking connection that speaks memcached's classic text protocol, for tests and measurements.
// It reads while it writes, so a long pipeline cannot lock it and the server into waiting for each other.
// Threads: one at a time. Ownership: closes its socket.
// Errors: Status when the server closes, says something that is no reply, or does not answer in time;
// Ask() and its kind turn that into a text in angle brackets, which no server answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"

namespace terraced::support {

// How the end of a reply is known.
enum class ReplyShape : uint8_t {
  kNone,    // noreply, quit
  kLine,    // one line
  kValues,  // VALUE blocks up to END; or one error line
  kStats,   // STAT lines up to END; or one other line (RESET, OK, ERROR)
};
// Of a well-formed classic command; `request` may hold its data block.
ReplyShape ShapeOf(std::string_view request);

struct ValueBlock {
  std::string key;
  std::string flags;
  std::string data;
  std::string cas_unique;  // empty: a get's
};
// The VALUE blocks of one reply, or of several in a row; other lines are passed over.
std::vector<ValueBlock> ParseValues(std::string_view reply);

class Client {
 public:
  static constexpr std::chrono::milliseconds kPatience{30'000};
  // What Ask() and its kind say then.
  static constexpr std::string_view kNoAnswerInTime = "<no answer in time>";

  static Result<std::unique_ptr<Client>> Connect(int port,
                                                 std::chrono::milliseconds patience = kPatience);
  // The other end of somebody's connection: an accepted socket, which it closes.
  static std::unique_ptr<Client> Adopt(int descriptor,
                                       std::chrono::milliseconds patience = kPatience);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Status Send(std::string_view bytes);
  Result<std::string> ReadBytes(size_t count);
  Result<std::string> ReadLine();  // with its "\r\n"
  Result<std::string> ReadReply(ReplyShape shape);
  // Up to and with `end`, wherever it first stands.
  Result<std::string> ReadThrough(std::string_view end);
  // Waits for the server to close; false: it still sends, or did not close in time. Drops what it sends.
  bool ServerCloses(std::chrono::milliseconds patience);

  // One request, its one reply.
  std::string Ask(std::string_view request);
  // Storage command with its data block.
  std::string Store(std::string_view command_line, std::string_view data);
  std::string Set(std::string_view key, std::string_view data, uint32_t flags = 0,
                  int64_t exptime = 0);
  // The value; "<miss>", or what else was answered in angle brackets.
  std::string Get(std::string_view key);
  ValueBlock Gets(std::string_view key);  // an empty key: a miss
  std::map<std::string, std::string> Stats(std::string_view group = "");
  std::map<std::string, std::string> SyncPoints();  // `debug sync_points`: name, how often passed
  uint64_t Stat(const std::string& name);           // 0 when there is none

  int Descriptor() const { return descriptor_; }
  void CloseNow(bool with_reset);  // with_reset: the server sees ECONNRESET

 private:
  Client(int descriptor, std::chrono::milliseconds patience)
      : descriptor_(descriptor), patience_(patience) {}
  std::map<std::string, std::string> StatLines(std::string_view request);
  // Reads what there is, waiting for the first byte until the deadline.
  Status Fill(std::chrono::steady_clock::time_point deadline);
  Status WaitReady(short events, std::chrono::steady_clock::time_point deadline, short* ready);
  Status ReadAvailable();
  std::string Take(size_t count);
  std::string_view Pending() const { return std::string_view(input_).substr(taken_); }
  // Length of the reply at the front of the input, 0 while it is not whole.
  size_t ReplyLength(ReplyShape shape);

  int descriptor_;
  const std::chrono::milliseconds patience_;
  std::string input_;
  size_t taken_ = 0;    // of input_, already handed out
  size_t scanned_ = 0;  // of Pending(), where the next line of an unfinished reply begins
};

}  // namespace terraced::support
