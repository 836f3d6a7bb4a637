// watch: from here on the client is told what happens (src/watch), and listened to no more.
#include "src/commands/command_table.h"
#include "src/watch/event_line.h"

namespace terraced::server {

Step HandleWatch(const CommandContext& context, const Request& request, tiering::Evidence*,
                 ReplySink& sink) {
  if (!context.options.watch_enabled) {
    sink.Answer(request, Reply::kWatchNotAllowed);
    return Step::kDone;
  }
  if (!ParseWatchLine(request.line).has_value()) {
    sink.Answer(request, Reply::kUnknownCommand);
    return Step::kDone;
  }
  return Step::kWatch;
}

}  // namespace terraced::server
