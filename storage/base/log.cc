#include "storage/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

namespace terraced {

std::atomic<int> Log::verbosity_{0};

void Log::Write(LogLevel level, const char* format, ...) {
  if (!On(level)) return;
  std::array<char, 2048> line;
  va_list arguments;
  va_start(arguments, format);
  const int wanted = std::vsnprintf(line.data(), line.size() - 1, format, arguments);
  va_end(arguments);
  if (wanted < 0) return;
  const size_t length = std::min(static_cast<size_t>(wanted), line.size() - 2);
  line[length] = '\n';
  const ssize_t written = ::write(STDERR_FILENO, line.data(), length + 1);
  static_cast<void>(written);
}

}  // namespace terraced
