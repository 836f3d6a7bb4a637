#include "tiering/event_sink.h"

namespace terraced::tiering {
namespace {

class NullSink final : public EventSink {
  void Note(const Event&) override {}
};

}  // namespace

EventSink& NoEvents() {
  static NullSink sink;
  return sink;
}

}  // namespace terraced::tiering
