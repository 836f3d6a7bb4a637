// Explorer: visits every state that a model can reach, breadth first, until it is done or a step
// breaks a promise. Breadth first, so that the trace of a violation is one of the shortest. A model
// has `using State` (plain bytes, compared as such), `State Initial()`, and `ForEachStep(state,
// visit)`, which calls visit(Step{label, next, violation}) for every possible step. Threads: one.
// Ownership: holds every state found; Sizes: the state and about 16 bytes more each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <type_traits>
#include <vector>

namespace terraced::model {

struct Label {
  const char* what = "";
  int key = -1;    // printed as A, B
  int batch = -1;  // a serial or a number
};

template <typename State>
struct Step {
  Label label;
  State next;
  const char* violation = nullptr;
};

struct Exploration {
  uint64_t states = 0;
  bool exhausted = false;  // every reachable state was visited
  std::string violation;   // empty: none
  std::string trace;       // the steps that lead to it, one a line
};

template <typename Model>
class Explorer {
 public:
  using State = typename Model::State;
  static_assert(std::has_unique_object_representations_v<State>);

  explicit Explorer(const Model& model) : model_(model), places_(size_t{1} << 16, kNone) {}

  Exploration Run(uint64_t states_max) {
    Exploration result;
    Insert(model_.Canonical(model_.Initial()), kNone);
    for (uint32_t at = 0; at < nodes_.size() && result.violation.empty(); ++at) {
      if (nodes_.size() > states_max) break;
      const State state = nodes_[at].state;
      model_.ForEachStep(state, [&](const Step<State>& step) {
        if (!result.violation.empty()) return;
        if (step.violation != nullptr) {
          result.violation = step.violation;
          result.trace = Trace(at) + Describe(step.label) + "  <-- " + step.violation + "\n";
          return;
        }
        Insert(model_.Canonical(step.next), at);
      });
      result.exhausted = at + 1 == nodes_.size();
    }
    result.states = nodes_.size();
    return result;
  }

 private:
  struct Node {
    State state;
    uint32_t parent;
  };
  static constexpr uint32_t kNone = ~0U;

  static size_t Hash(const State& state) {
    uint64_t words[(sizeof(State) + 7) / 8] = {};
    std::memcpy(words, &state, sizeof(State));
    uint64_t hash = 0;
    for (const uint64_t word : words) {
      hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
      hash ^= hash >> 29;
    }
    return static_cast<size_t>(hash ^ (hash >> 32));
  }

  void Insert(const State& state, uint32_t parent) {
    size_t at = Hash(state) & (places_.size() - 1);
    for (; places_[at] != kNone; at = (at + 1) & (places_.size() - 1)) {
      if (std::memcmp(&nodes_[places_[at]].state, &state, sizeof(State)) == 0) return;
    }
    places_[at] = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back(Node{state, parent});
    if (nodes_.size() * 2 > places_.size()) Rehash();
  }

  void Rehash() {
    places_.assign(places_.size() * 2, kNone);
    uint32_t index = 0;
    for (const Node& node : nodes_) {
      size_t at = Hash(node.state) & (places_.size() - 1);
      while (places_[at] != kNone) at = (at + 1) & (places_.size() - 1);
      places_[at] = index++;
    }
  }

  static std::string Describe(const Label& label) {
    std::string line = label.what;
    if (label.key >= 0) line += label.key == 0 ? " A" : " B";
    if (label.batch >= 0) line += " #" + std::to_string(label.batch);
    return line;
  }

  // Labels are not kept: the steps of each parent are asked for again.
  std::string Trace(uint32_t at) const {
    std::string trace;
    for (; nodes_[at].parent != kNone; at = nodes_[at].parent) {
      std::string line;
      model_.ForEachStep(nodes_[nodes_[at].parent].state, [&](const Step<State>& step) {
        if (!line.empty()) return;
        const State next = model_.Canonical(step.next);
        if (std::memcmp(&next, &nodes_[at].state, sizeof(State)) != 0) return;
        line = Describe(step.label) + "\n";
      });
      trace.insert(0, line);
    }
    return trace;
  }

  const Model& model_;
  std::deque<Node> nodes_;        // in order of discovery
  std::vector<uint32_t> places_;  // open addressing: indexes into nodes_
};

}  // namespace terraced::model
