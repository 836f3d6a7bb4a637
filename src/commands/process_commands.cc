// shutdown: what a client may ask of the process.
#include <string_view>

#include "src/commands/command_table.h"

namespace terraced::server {

Step HandleShutdown(const CommandContext& context, const Request& request, tiering::Evidence*,
                    ReplySink& sink) {
  if (!context.options.shutdown_command) {
    sink.Answer(request, Reply::kShutdownNotEnabled);
    return Step::kDone;
  }
  const bool graceful =
      request.argument_count == 1 && std::string_view(request.arguments[0]) == "graceful";
  if (request.argument_count != 0 && !graceful) {
    sink.Answer(request, Reply::kBadShutdownMode);
    return Step::kDone;
  }
  context.control.RequestStop(graceful);
  return Step::kClose;
}

}  // namespace terraced::server
