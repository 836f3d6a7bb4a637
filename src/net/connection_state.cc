// What a connection is doing, in memcached's words, and the answer to `stats conns`.
#include <string>
#include <utility>

#include "src/net/connection.h"

namespace terraced::server {

std::string_view Connection::StateName() const {
  if (state_ == State::kWatching) return "conn_watch";
  if (waits_for_host_ || waits_for_room_ || yielded_) return "conn_parse_cmd";
  if (!suspended_.empty()) return "conn_io_queue";
  if (replies_.CanSend()) return "conn_mwrite";
  switch (state_) {
    case State::kValue:
      return "conn_nread";
    case State::kSwallow:
      return "conn_swallow";
    case State::kDraining:
      return "conn_closing";
    case State::kCommands:
    case State::kWatching:
      break;
  }
  return heard_ ? "conn_read" : "conn_new_cmd";
}

void Connection::ConnectionsListed(const std::vector<ConnectionView>& views) {
  waits_for_host_ = false;
  replies_.WriteTo(host_slot_);
  host_.Replies().Bind(&replies_, Fd());
  Request request;
  request.command = FindCommand("stats");
  ReplySink& sink = host_.Replies().For(request);
  for (const ConnectionView& view : views) {
    const std::string prefix = std::to_string(view.fd) + ":";
    if (view.is_udp) sink.Stat(prefix + "UDP", "UDP");
    sink.Stat(prefix + "addr", view.address);
    if (!view.listen_address.empty()) sink.Stat(prefix + "listen_addr", view.listen_address);
    sink.Stat(prefix + "state", view.state);
    sink.Stat(prefix + "secs_since_last_cmd", std::to_string(view.idle_s));
  }
  sink.Answer(request, Reply::kEnd);
  replies_.CloseSlot(std::exchange(host_slot_, nullptr));
  Advance();
}

}  // namespace terraced::server
