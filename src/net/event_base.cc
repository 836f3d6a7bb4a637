#include "src/net/event_base.h"

#include <event2/event.h>

namespace terraced::server {

void EventDeleter::operator()(::event* event) const {
  event_free(event);
}
void EventDeleter::operator()(::event_base* base) const {
  event_base_free(base);
}

EventBasePtr MakeEventBase() {
  struct event_config* const config = event_config_new();
  if (config == nullptr) return nullptr;
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  EventBasePtr base(event_base_new_with_config(config));
  event_config_free(config);
  return base;
}

}  // namespace terraced::server
