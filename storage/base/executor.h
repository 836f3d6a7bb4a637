// Executor: where a completion runs. A worker of src/ is one (its mailbox, drained by its event
// loop); tests have one that is cranked by hand. Owned by the lower layer so that storage and
// tiering can call upwards without knowing sockets.
// Threads: Post() from any thread; Run() of a completion on the executor's own thread.
// Ownership: a posted completion stays owned by whoever made it and must live until Run() was
// called.
// Errors: Post() cannot fail and never blocks on the receiver: completions are linked, not copied,
// so their place is reserved by their own existence.
#pragma once

namespace terraced {

class Completion {
 public:
  virtual void Run() = 0;

  Completion* next = nullptr;  // the list it is posted in; nobody else touches it while posted

 protected:
  ~Completion() = default;
};

class Executor {
 public:
  virtual ~Executor() = default;
  // A whole list at once (linked through `next`), so that many completions cost one wake-up.
  virtual void Post(Completion* first) = 0;
};

}  // namespace terraced
