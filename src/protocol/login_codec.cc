#include "src/protocol/login_codec.h"

#include <memory>

#include "src/protocol/binary_codec.h"
#include "src/protocol/words.h"

namespace terraced::server {
namespace {

constexpr uint64_t kBlockBytesMax = UINT32_MAX;

// With the longest credentials and their line end it still fits into a read buffer.
constexpr size_t kLoginLineBytesMax = kLineBytesMax - kCredentialsBytesMax - 2;
static_assert(kLoginLineBytesMax >= kCommandBytesMax);

void Refuse(Reply error, Request* request) {
  request->command = &RefusedCommand();
  request->error = error;
}

// Of `set <any> <any> <any> <bytes>`, whatever follows.
bool ParseBlockBytes(std::string_view line, uint64_t* bytes) {
  constexpr int kAnyWords = 3;
  if (TakeToken(&line) != "set") return false;
  for (int i = 0; i < kAnyWords; ++i) TakeToken(&line);
  return ParseUnsigned(TakeToken(&line), bytes) && *bytes <= kBlockBytesMax;
}

}  // namespace

LoginCodec::Result LoginCodec::Decode(std::string_view input, Request* request, size_t* consumed) {
  *consumed = 0;
  if (input.empty()) return Result::kNeedMore;
  const size_t line_bytes = input.find('\n') + 1;
  if (line_bytes == 0 && input.size() <= kCommandBytesMax) return Result::kNeedMore;
  if (line_bytes == 0 || line_bytes > kLoginLineBytesMax) return Result::kClose;
  std::construct_at(request);
  request->line = "(not logged in)";
  uint64_t bytes = 0;
  if (!ParseBlockBytes(CutLine(input.substr(0, line_bytes)), &bytes)) {
    Refuse(Reply::kUnauthenticated, request);
    *consumed = line_bytes;
    return Result::kRequest;
  }
  if (bytes > kCredentialsBytesMax) {
    request->command = &RefusedBlockCommand();
    request->error = Reply::kLongToken;
    request->value_bytes = bytes;
    *consumed = line_bytes;
    return Result::kRequest;
  }
  const std::string_view end = LoginCommand().BlockEnd();
  if (input.size() < line_bytes + bytes + end.size()) return Result::kNeedMore;
  *consumed = line_bytes + bytes + end.size();
  if (input.substr(line_bytes + bytes, end.size()) != end) {
    Refuse(Reply::kBadTermination, request);
    return Result::kRequest;
  }
  std::string_view block = input.substr(line_bytes, bytes);
  block = block.substr(0, block.find('\0'));  // as of a line, what follows is not looked at
  const std::string_view user = TakeToken(&block);
  const std::string_view password = TakeToken(&block);
  if (password.empty()) {
    Refuse(Reply::kBadTokenFormat, request);
    return Result::kRequest;
  }
  request->command = &LoginCommand();
  request->arguments[0] = {user.data(), user.size()};
  request->arguments[1] = {password.data(), password.size()};
  request->argument_count = 2;
  return Result::kRequest;
}

}  // namespace terraced::server
