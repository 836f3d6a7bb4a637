// shutdown, refresh_certs: what a client may ask of the process.
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

Step HandleRefreshCerts(const CommandContext& context, const Request& request, tiering::Evidence*,
                        ReplySink& sink) {
  const Status status = context.control.RefreshCertificates();
  if (status.ok()) {
    sink.Answer(request, Reply::kOk);
  } else if (status.code() == StatusCode::kUnavailable) {
    sink.Answer(request, Reply::kTlsNotEnabled);
  } else {
    sink.Refuse(request, status.message());
  }
  return Step::kDone;
}

}  // namespace terraced::server
