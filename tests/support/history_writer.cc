#include "tests/support/history_writer.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace terraced::support {
namespace {

constexpr std::string_view kFlashFailed = "SERVER_ERROR flash read failed\r\n";
constexpr uint64_t kOneInSlow = 50;
constexpr size_t kSlowBytesLeast = 30;

// Stores that were refused for memory change nothing, except a set, which must not leave the old value.
bool RefusedForMemory(const std::string& reply) {
  return reply.starts_with("SERVER_ERROR out of memory");
}

std::string StoreLine(const std::string& verb, size_t key, int64_t ttl_s, size_t bytes) {
  return verb + " " + HistoryKeys::Name(key) + " 0 " + std::to_string(ttl_s) + " " +
         std::to_string(bytes);
}

}  // namespace

void AppendNoise(std::mt19937_64& random, size_t bytes, std::string* text) {
  const size_t end = text->size() + bytes;
  while (text->size() < end) {
    const uint64_t word = random();
    text->append(reinterpret_cast<const char*>(&word), std::min(sizeof(word), end - text->size()));
  }
}

Status HistoryWriter::Unexpected(const std::string& request, const std::string& reply) {
  return Status(StatusCode::kCorruption, "'" + request.substr(0, request.find('\r')) +
                                             "' was answered by '" + reply.substr(0, 200) + "'");
}

bool HistoryWriter::Broke(const std::string& reply) {
  return reply.starts_with('<') && reply != Client::kNoAnswerInTime;
}

Status HistoryWriter::BreakOff(size_t key) {
  history_.BreakOffChange(key, Moment::Now());
  known_[key].unsure = true;
  return Status(StatusCode::kUnavailable, "the connection broke");
}

std::string HistoryWriter::StoreSlowly(const std::string& line, const std::string& value) {
  const std::string request = line + "\r\n" + value + "\r\n";
  const size_t first = request.size() - value.size() / 2;
  const size_t second = request.size() - value.size() / 4;
  if (client_->Send(request.substr(0, first)).ok()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // What the server says to the rest is the answer.
    if (client_->Send(request.substr(first, second - first)).ok()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  const Status sent = client_->Send(request.substr(second));
  if (!sent.ok()) return "<" + std::string(sent.message()) + ">";
  Result<std::string> reply = client_->ReadReply(ReplyShape::kLine);
  return reply.ok() ? std::move(reply).value() : "<" + std::string(reply.status().message()) + ">";
}

int64_t HistoryWriter::AnyTtl() {
  const uint64_t die = Below(20);
  if (die < 2) return 1 + static_cast<int64_t>(Below(2));
  if (die < 3) return -1;
  return 0;
}

std::string HistoryWriter::NewValue(size_t key, uint64_t version) {
  if (keys_.IsNumber(key)) {
    Known& known = known_[key];
    known.number += 1 + Below(5);
    return std::to_string(known.number);
  }
  std::string value = "key=" + std::to_string(key) + " version=" + std::to_string(version) +
                      " writer=" + std::to_string(index_) + ";";
  // Sizes vary, so that an item moves between slab classes as it is stored over; nothing compresses, so that
  // the flash tier fills up.
  AppendNoise(random_, Below(value_bytes_max_), &value);
  return value;
}

Status HistoryWriter::ChangeOnce(size_t key, Violation* violation) {
  if (known_[key].unsure) return Set(key, "set", violation);
  const uint64_t die = Below(100);
  if (die < 14) return Delete(key, violation);
  if (die < 26) return Touch(key, false, violation);
  if (die < 32) return Touch(key, true, violation);
  if (keys_.IsNumber(key) && die < 75) return Increment(key, violation);
  if (die < 42) return Cas(key, violation);
  if (die < 54 && !keys_.IsNumber(key)) return Append(key, violation);
  if (die < 58) return Set(key, "add", violation);
  if (die < 62) return Set(key, "replace", violation);
  if (die < 68) return SetQuietly(key, violation);
  return Set(key, "set", violation);
}

Status HistoryWriter::Conclude(size_t key, const std::string& reply, std::string_view yes,
                               std::string_view no, Violation* violation) {
  if (reply == yes) {
    *violation = history_.EndChange(key, Applied::kYes, Moment::Now());
    known_[key].unsure = false;
    return Status();
  }
  if (Broke(reply)) return BreakOff(key);
  (void)history_.EndChange(key, Applied::kNo, Moment::Now());
  if (reply == no || reply == kFlashFailed || RefusedForMemory(reply)) return Status();
  return Unexpected(HistoryKeys::Name(key), reply);
}

Status HistoryWriter::Set(size_t key, const char* verb, Violation* violation) {
  Known& known = known_[key];
  const std::string value = NewValue(key, ++known.version);
  const int64_t ttl_s = AnyTtl();
  const std::string line = StoreLine(verb, key, ttl_s, value.size());
  const bool is_set = line[0] == 's';
  const Moment begin = Moment::Now();
  history_.BeginChange(key,
                       {.kind = ttl_s < 0 ? ChangeKind::kRemove : ChangeKind::kStore,
                        .version = known.version,
                        .value = value,
                        .ttl_s = ttl_s,
                        .needs_value = line[0] == 'r'},
                       begin);
  const bool slowly = value.size() >= kSlowBytesLeast && Below(kOneInSlow) == 0;
  const std::string reply = slowly ? StoreSlowly(line, value) : client_->Store(line, value);
  if (is_set && RefusedForMemory(reply)) {
    known.unsure = false;
    // The new value is nowhere and the old one must be gone: a removal in effect.
    (void)history_.EndChange(key, Applied::kNo, Moment::Now());
    history_.BeginChange(key, {.kind = ChangeKind::kRemove, .version = known.version, .value = {}},
                         begin);
    *violation = history_.EndChange(key, Applied::kYes, Moment::Now());
    return Status();
  }
  TERRACED_RETURN_IF_ERROR(Conclude(
      key, reply, "STORED\r\n", is_set ? "<a set is never refused>" : "NOT_STORED\r\n", violation));
  if (reply == "STORED\r\n" && ttl_s >= 0) known.value = value;
  const bool found = line[0] == 'a' && reply == "NOT_STORED\r\n";
  if (found && !violation->has_value()) *violation = history_.JudgePresence(key, begin);
  return Status();
}

Status HistoryWriter::SetQuietly(size_t key, Violation* violation) {
  Known& known = known_[key];
  const std::string value = NewValue(key, ++known.version);
  history_.BeginChange(key, {.kind = ChangeKind::kStore, .version = known.version, .value = value},
                       Moment::Now());
  // A connection's commands take effect in order: the second one's reply acknowledges the first.
  const std::string request =
      StoreLine("set", key, 0, value.size()) + " noreply\r\n" + value + "\r\n";
  if (!client_->Send(request).ok()) return BreakOff(key);
  const std::string reply = client_->Ask("version\r\n");
  if (Broke(reply)) return BreakOff(key);
  if (!reply.starts_with("VERSION ")) return Unexpected(request, reply);
  // Whether it was stored or refused for memory is not said; either way the old value is gone.
  *violation = history_.EndChange(key, Applied::kYes, Moment::Now());
  known.value = value;
  return Status();
}

Status HistoryWriter::Cas(size_t key, Violation* violation) {
  const Moment get_begin = Moment::Now();
  const ValueBlock block = client_->Gets(HistoryKeys::Name(key));
  if (block.key.empty()) return Status();
  *violation = history_.JudgeHit(key, block.data, get_begin, Moment::Now());
  if (violation->has_value()) return Status();
  Known& known = known_[key];
  const std::string value = NewValue(key, ++known.version);
  history_.BeginChange(key,
                       {.kind = ChangeKind::kStore,
                        .version = known.version,
                        .value = value,
                        .ttl_s = 0,
                        .needs_value = true},
                       Moment::Now());
  const std::string line = StoreLine("cas", key, 0, value.size()) + " " + block.cas_unique;
  const std::string reply = client_->Store(line, value);
  if (reply == "EXISTS\r\n") {
    // Nobody else changes this key: the unique that gets showed must still be the item's.
    (void)history_.EndChange(key, Applied::kNo, Moment::Now());
    *violation =
        "cas of " + HistoryKeys::Name(key) + " with the unique of the gets before it: EXISTS";
    return Status();
  }
  TERRACED_RETURN_IF_ERROR(Conclude(key, reply, "STORED\r\n", "NOT_FOUND\r\n", violation));
  if (reply == "STORED\r\n") known.value = value;
  return Status();
}

Status HistoryWriter::Append(size_t key, Violation* violation) {
  Known& known = known_[key];
  if (known.value.size() > 2 * size_t{value_bytes_max_}) return Set(key, "set", violation);
  const std::string suffix = ";version=" + std::to_string(++known.version);
  const std::string value = known.value + suffix;
  history_.BeginChange(key,
                       {.kind = ChangeKind::kStore,
                        .version = known.version,
                        .value = value,
                        .ttl_s = 0,
                        .needs_value = true,
                        .keeps_exptime = true},
                       Moment::Now());
  const std::string reply = client_->Store(StoreLine("append", key, 0, suffix.size()), suffix);
  TERRACED_RETURN_IF_ERROR(Conclude(key, reply, "STORED\r\n", "NOT_STORED\r\n", violation));
  if (reply == "STORED\r\n") known.value = value;
  return Status();
}

Status HistoryWriter::Increment(size_t key, Violation* violation) {
  Known& known = known_[key];
  if (known.value.empty()) return Set(key, "set", violation);
  const uint64_t delta = 1 + Below(9);
  const uint64_t sum = std::stoull(known.value) + delta;
  const std::string value = std::to_string(sum);
  known.number = std::max(known.number, sum);  // even if nobody learns that it was counted
  history_.BeginChange(key,
                       {.kind = ChangeKind::kStore,
                        .version = ++known.version,
                        .value = value,
                        .ttl_s = 0,
                        .needs_value = true,
                        .keeps_exptime = true},
                       Moment::Now());
  const std::string request =
      "incr " + HistoryKeys::Name(key) + " " + std::to_string(delta) + "\r\n";
  const std::string reply = client_->Ask(request);
  const bool counted = !reply.empty() && reply[0] >= '0' && reply[0] <= '9';
  if (counted && reply != value + "\r\n") {
    (void)history_.EndChange(key, Applied::kNo, Moment::Now());
    *violation = "incr counted on a value that is not the key's: " + request + " on " +
                 known.value + " answered " + reply;
    return Status();
  }
  TERRACED_RETURN_IF_ERROR(Conclude(key, reply, value + "\r\n", "NOT_FOUND\r\n", violation));
  if (!counted) return Status();
  known.value = value;
  return Status();
}

Status HistoryWriter::Delete(size_t key, Violation* violation) {
  Known& known = known_[key];
  const Moment begin = Moment::Now();
  history_.BeginChange(key, {.kind = ChangeKind::kRemove, .version = ++known.version, .value = {}},
                       begin);
  const std::string request = "delete " + HistoryKeys::Name(key) + "\r\n";
  const std::string reply = client_->Ask(request);
  if (Broke(reply)) return BreakOff(key);
  // Judged before EndChange, while the state before the delete is still the last but one.
  if (reply == "DELETED\r\n") *violation = history_.JudgePresence(key, begin);
  // Whatever the answer, the key is gone: a delete removes the slots even if the record cannot be read.
  Violation ended = history_.EndChange(key, Applied::kYes, Moment::Now());
  if (!violation->has_value()) *violation = std::move(ended);
  if (reply == "DELETED\r\n" || reply == "NOT_FOUND\r\n" || reply == kFlashFailed) return Status();
  return Unexpected(request, reply);
}

Status HistoryWriter::Touch(size_t key, bool and_get, Violation* violation) {
  Known& known = known_[key];
  const uint64_t die = Below(4);
  const int64_t ttl_s = die == 0 ? -1 : die == 1 ? 1 : 0;
  const Moment begin = Moment::Now();
  history_.BeginChange(key,
                       {.kind = ttl_s < 0 ? ChangeKind::kRemove : ChangeKind::kTouch,
                        .version = ++known.version,
                        .value = {},
                        .ttl_s = ttl_s,
                        .needs_value = true},
                       begin);
  const std::string name = HistoryKeys::Name(key);
  if (!and_get) {
    const std::string reply = client_->Ask("touch " + name + " " + std::to_string(ttl_s) + "\r\n");
    return Conclude(key, reply, "TOUCHED\r\n", "NOT_FOUND\r\n", violation);
  }
  std::string reply = client_->Ask("gat " + std::to_string(ttl_s) + " " + name + "\r\n");
  const std::vector<ValueBlock> blocks = ParseValues(reply);
  if (blocks.size() == 1) {
    *violation = history_.JudgeHit(key, blocks[0].data, begin, Moment::Now());
    reply = "hit";
  }
  Violation ended;
  TERRACED_RETURN_IF_ERROR(Conclude(key, reply, "hit", "END\r\n", &ended));
  if (!violation->has_value()) *violation = std::move(ended);
  return Status();
}

}  // namespace terraced::support
