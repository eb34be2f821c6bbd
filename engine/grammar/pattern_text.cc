#include "engine/grammar/pattern_text.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace swiftlet {
namespace {

// The pattern as an automaton over code points, built from its end.
class CodePointAutomaton {
 public:
  using State = uint32_t;
  static constexpr State kEnd = 0;

  struct StateData {
    const CodePointSet* set = nullptr;  // a character of it leads to next[0]; null: all of `next` at once
    std::vector<State> next = {};
  };

  explicit CodePointAutomaton(size_t max_states) : max_states_(max_states), states_(1) {}

  const StateData& state(State state) const { return states_[state]; }
  bool is_full() const { return states_.size() >= max_states_; }

  State Build(const Pattern& pattern, State next) {
    if (is_full()) return kEnd;
    switch (pattern.kind) {
      case Pattern::Kind::kSet:
        return Add({.set = &pattern.set, .next = {next}});
      case Pattern::Kind::kSequence:
        for (size_t i = pattern.parts.size(); i-- > 0;) next = Build(pattern.parts[i], next);
        return next;
      case Pattern::Kind::kAlternatives: {
        std::vector<State> ways;
        for (const Pattern& part : pattern.parts) ways.push_back(Build(part, next));
        return Add({.next = std::move(ways)});
      }
      case Pattern::Kind::kRepetition:
        return BuildRepetition(pattern, next);
    }
    return kEnd;
  }

 private:
  State Add(StateData data) {
    states_.push_back(std::move(data));
    return static_cast<State>(states_.size() - 1);
  }

  State BuildRepetition(const Pattern& pattern, const State next) {
    const Pattern& part = pattern.parts[0];
    State entry = next;
    if (pattern.max == Grammar::kUnbounded) {
      entry = Add({.next = {next}});
      const State again = Build(part, entry);
      states_[entry].next.push_back(again);
    } else {
      for (uint32_t i = pattern.min; i < pattern.max && !is_full(); ++i) {
        const State more = Build(part, entry);
        entry = Add({.next = {more, next}});
      }
    }
    for (uint32_t i = 0; i < pattern.min && !is_full(); ++i) {
      const State once_more = Build(part, entry);
      if (once_more == entry) break;  // the empty text: no state bounds how often
      entry = once_more;
    }
    return entry;
  }

  const size_t max_states_;
  std::vector<StateData> states_;
};

}  // namespace

GrammarBuilder::Node PatternText(GrammarBuilder& builder, const Pattern& pattern, TextLength length,
                                 GrammarBuilder::Node next) {
  using Node = GrammarBuilder::Node;
  using Place = std::pair<CodePointAutomaton::State, uint32_t>;  // and the characters so far
  CodePointAutomaton automaton(builder.max_nodes());
  const CodePointAutomaton::State start = automaton.Build(pattern, CodePointAutomaton::kEnd);
  if (automaton.is_full()) return builder.TooLarge();
  // Where there is no longest text, more than the least number of characters is all the same.
  const bool is_bounded = length.max != Grammar::kUnbounded;
  absl::flat_hash_map<Place, Node> nodes;
  std::vector<Place> open;
  const auto node_of = [&](Place place) {
    const auto [found, is_new] = nodes.try_emplace(place, Grammar::kDeadNode);
    if (is_new) {
      found->second = builder.Reserve();
      open.push_back(place);
    }
    return found->second;
  };
  const Node entry = node_of({start, 0});
  while (!open.empty() && !builder.is_full()) {
    const auto [state, count] = open.back();
    open.pop_back();
    const Node node = nodes.at({state, count});
    const CodePointAutomaton::StateData& data = automaton.state(state);
    if (state == CodePointAutomaton::kEnd) {
      builder.Define(node, count >= length.min ? next : Grammar::kDeadNode);
    } else if (data.set == nullptr) {
      std::vector<Node> ways;
      for (const CodePointAutomaton::State way : data.next) ways.push_back(node_of({way, count}));
      builder.Define(node, builder.Split(std::move(ways)));
    } else if (!is_bounded || count < length.max) {
      const uint32_t more = is_bounded ? count + 1 : std::min(count + 1, length.min);
      builder.Define(node, CanonicalCharacter(builder, *data.set, node_of({data.next[0], more})));
    }
  }
  return entry;
}

}  // namespace swiftlet
