// Connection: one client: its read buffer, the request it is in the middle of, its replies in order. Requests
// that are there together are run together and answered by one write. A command whose answer lies on flash
// keeps a slot in the replies; later reads overtake it, a command that changes something waits.
// Threads: belongs to one worker. Ownership: by the worker (ConnectionHost); the socket is ours.
// Errors: a client that breaks the protocol beyond repair or is gone is closed; nobody else notices.
// Sizes: a read buffer of up to kLineBytesMax, pipelined_reads_max slots, and replies of up to reply_bytes_max or
// what is left of the workers' common ReplyBudget, at least a block, plus one reply from RAM or two from flash.
#pragma once

#include <sys/uio.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "src/net/buffer_pool.h"
#include "src/net/client_socket.h"
#include "src/net/connection_host.h"
#include "src/net/connection_listing.h"
#include "src/net/peer_address.h"
#include "src/net/reply_queue.h"
#include "src/protocol/codec.h"
#include "src/watch/watcher.h"
#include "tiering/administration.h"

struct event;  // libevent's

namespace terraced::server {

class ListeningSocket;
class SaslSession;

class Connection {
 public:
  Connection(ConnectionHost& host, int fd, std::unique_ptr<Transport> transport = nullptr);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void OnReadable();  // Receive() and then RunReceived()
  // Two halves, so that a worker can receive from all that are readable before it runs what they sent.
  void Receive();
  void RunReceived();
  // The key of the request that will be run first, as far as a glance tells; empty if there is none, and where a whole
  // batch is there, which is looked after by itself.
  std::string_view NextKey() const;
  void OnWritable();
  void Run();                                  // what is buffered: after RunSoon
  void RetryRoom();                            // a store command waited for room
  void FinishSuspended(Suspended& suspended);  // its fill is there or will not come
  void FillArrived(Suspended& suspended);      // from FillDone: only handed on
  void FlushReplies();                         // after one or more FinishSuspended
  void DemoteDone();
  void ConnectionsListed(const std::vector<ConnectionView>& views);
  void AddDumpPiece(const tiering::DumpPiece& piece);
  void SendLines();                   // of a connection that watches
  void Close();                       // at once; nothing outstanding is answered
  void CloseFor(CloseReason reason);  // Close() calls it a normal end

  // What its listening socket or -B say; before anything is read.
  void Speak(BindingProtocol binding) { codec_.Speak(binding); }

  ConnectionHost& Host() const { return host_; }
  int Fd() const { return socket_.Fd(); }
  bool IsClosed() const { return socket_.IsClosed(); }
  // For idle_timeout: nothing is under way, the client has not said anything since then.
  bool IsIdle() const;
  uint32_t DeadlineS() const { return socket_.DeadlineS(); }  // of a handshake; 0: none
  uint32_t LastHeardS() const { return last_heard_s_; }
  // Demote or ListConnections is under way.
  bool WaitsForHost() const { return waits_for_host_; }
  // What `stats conns` calls what it does now: memcached's name of the state that is nearest.
  std::string_view StateName() const;
  size_t SuspendedCount() const { return suspended_.size(); }
  uint64_t UnsentBytes() const { return replies_.UnsentBytes(); }
  tiering::ReadAsker& Asker() { return asker_; }

  ::event* watch = nullptr;                 // the host's
  size_t index = 0;                         // in the host's list
  const ListeningSocket* origin = nullptr;  // the host's: where the client connected

 private:
  enum class State : uint8_t {
    kCommands,  // between data blocks
    kValue,     // a data block is being read into its item
    kSwallow,   // a data block that was refused is being thrown away
    kDraining,  // no more requests: close when everything is answered
    kWatching,  // no more requests either: is sent lines until it goes
  };

  // Reading.
  void ReadSome();
  void Read();
  void ReadCommands();
  void ReadValue();
  void ReadSwallow();
  bool ReadResult(ssize_t result);  // false: nothing to do now (blocked, ended, closed)
  bool MakeRoom();
  std::string_view Unread() const;

  // Running.
  void Advance();
  // At most *left requests. True: requests are left that have to wait, see MustPause().
  bool RunCommands(uint32_t* left);
  bool MustPause();
  uint64_t ReplyLimit();
  bool RepliesFull();
  size_t ReadsAllowed();
  size_t BatchKeys();
  enum class Gathering : uint8_t {
    kGoesOn,    // the batch is full, or ends in a data block that is still to be read
    kNeedMore,  // nothing complete is left in the buffer
    kClose,     // what is left is no client's
  };
  Gathering Gather(uint32_t* left);
  bool TakeBlock(Gathered* gathered);
  bool RunBatch(uint32_t* left);
  void RunGathered(Gathered* gathered, tiering::Draft* draft);
  void RunKeys(const Request& request);
  void RunStore(Gathered* gathered, tiering::Draft* draft);
  bool RequestRoom(const Gathered& gathered, tiering::Draft* draft);
  void BeginSwallow(const Request& request);
  void BeginValue(const Request& request, tiering::Draft draft);
  void FinishValue();
  void StoreValue(Request* request, tiering::Draft* draft, std::string_view line_end);
  size_t LineEndBytes() const { return store_.command->BlockEnd().size(); }
  void DropBuffered() { begin_ = end_; }
  Step Execute(const Request& request);
  void Suspend(const Request& request);
  uint64_t FlashDeadlineUs(const Request& request) const;
  bool Postpone(Suspended& suspended);
  void ResumePostponed();
  void Resume(Suspended& suspended);
  void Forget(Suspended& suspended);
  void FinishTouchKeys(const Request& request);
  void BeginDump();
  void ContinueDump();
  void SwallowBuffered();
  bool Flush(uint64_t* left);
  void Settle();
  void ShowLine(const Request& request) const;

  // Watching.
  void BeginWatching(const Request& request);
  void ReadWatching();
  bool TakeLines();
  void AdvanceWatching();
  void EndWatching();
  void ReportOpened() const;
  void ReportClosed() const;
  // Logging in.
  void LogIn(const Request& request);
  void ListMechanisms(const Request& request);
  void StepSasl(const Request& request);
  void EndLogin(const Request& request, bool accepted);

  // Constant after construction.
  ConnectionHost& host_;
  const CommandContext& context_;
  ReplyAccount& account_;
  const PeerAddress peer_;
  // The worker's.
  ClientSocket socket_;
  Codec codec_;
  State state_ = State::kCommands;
  CloseReason close_reason_ = CloseReason::kNormal;
  bool wants_read_ = true;  // events of the socket
  bool wants_write_ = false;
  bool more_to_read_ = false;  // the last read filled its room, or the transport has the next
  uint32_t reads_left_ = 0;    // before others have their turn
  bool yielded_ = false;
  bool waits_for_room_ = false;
  bool write_waits_ = false;        // the next request changes something: earlier flash reads first
  bool waits_for_host_ = false;     // for Demote or ListConnections
  bool heard_ = false;              // the client has said something
  bool touch_keys_failed_ = false;  // a key of the gat under way could not be read
  bool touch_keys_open_ = false;    // its END is still to be written
  uint32_t writes_suspended_ = 0;
  size_t postponed_count_ = 0;
  uint32_t last_heard_s_;
  tiering::ReadAsker asker_;       // expects the largest reply of late, slowly forgotten
  uint64_t room_deadline_us_ = 0;  // 0: no store command is waiting for room

  Block buffer_;
  size_t begin_ = 0;  // unread bytes of the buffer
  size_t end_ = 0;

  ReplyQueue replies_;
  std::vector<std::unique_ptr<Suspended>> suspended_;
  ReplyQueue::Slot host_slot_ = nullptr;  // of what the host will answer
  ReplyQueue::Slot dump_slot_ = nullptr;  // where the next piece of a dump goes
  bool dump_asked_ = false;
  std::shared_ptr<Watcher> watcher_;   // the logger may still be writing to it
  std::unique_ptr<SaslSession> sasl_;  // a login that has begun

  // The data block under way.
  Request store_;
  std::array<char, kKeyBytesMax> store_key_;
  std::string store_flags_;  // of a meta command
  tiering::Draft draft_;
  std::vector<std::span<char>> value_;  // places still to be filled
  size_t value_next_ = 0;
  std::array<char, 2> line_end_;
  size_t line_end_bytes_ = 0;
  uint64_t swallow_bytes_ = 0;
};

}  // namespace terraced::server
