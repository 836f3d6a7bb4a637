// SASL and -Y: who a client is. How far it has come with that, its connection knows (net/connection_login.cc).
#include "src/commands/command_table.h"

namespace terraced::server {

Step HandleLogin(const CommandContext&, const Request&, tiering::Evidence*, ReplySink&) {
  return Step::kLogIn;
}

Step HandleSasl(const CommandContext& context, const Request& request, tiering::Evidence*,
                ReplySink& sink) {
  if (context.options.sasl) return Step::kLogIn;
  sink.Answer(request, Reply::kUnknownCommand);
  return Step::kDone;
}

}  // namespace terraced::server
