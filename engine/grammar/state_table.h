// The states of a grammar's automaton made deterministic, as far as they have been visited.
// One thread uses it: the one that steps the matchers of its grammar.
//
// A state is a set of places: a node that takes a byte, and the callers it returns to. Callers form a graph, not a
// list: rules entered at the same byte by several callers are walked once for all of them, so that a state's size is
// bounded by the grammar's times its nesting however ambiguous it is.
#pragma once

#include <absl/container/node_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/grammar/grammar.h"

namespace swiftlet {

class StateTable {
 public:
  using State = uint32_t;
  static constexpr State kDead = 0;
  static constexpr State kStart = 1;

  explicit StateTable(std::shared_ptr<const Grammar> grammar);
  StateTable(const StateTable&) = delete;
  StateTable& operator=(const StateTable&) = delete;

  // The state after each of the 256 bytes. Valid as long as the table.
  const State* Row(State state) {
    if (states_[state].row == nullptr) Expand(state);
    return states_[state].row.get();
  }
  bool CanEnd(State state) const { return (*states_[state].content)[0] != 0; }
  // How many plain characters (see GrammarVocabulary) may come next one after the other, each leading to a state of the
  // same string; 0 where the state is not between two characters of a string and nothing else.
  uint32_t PlainCharacters(State state) const { return states_[state].plain_characters; }

  // The same state here; both tables are of the same grammar.
  State Import(const StateTable& other, State state);

  size_t bytes() const { return bytes_; }
  size_t num_states() const { return states_.size(); }
  // The work that finding all states has taken so far.
  uint64_t places_visited() const { return places_visited_; }

 private:
  using Callers = uint32_t;  // an entry of callers_
  static constexpr Callers kNobody = 0;

  // Ids into vectors of words, equal contents having equal ids.
  using Ids = absl::node_hash_map<std::vector<uint32_t>, uint32_t>;

  struct StateData {
    const std::vector<uint32_t>* content;  // can end, then (node, callers) in order
    std::unique_ptr<State[]> row = nullptr;
    uint32_t plain_characters = 0;
  };
  class Closure;

  void Expand(State state);
  State Intern(std::vector<uint32_t> content);
  Callers InternCallers(std::vector<uint32_t> content);
  uint32_t FindPlainCharacters(const std::vector<uint32_t>& content) const;
  uint32_t depth(Callers callers) const { return (*callers_[callers])[0]; }

  const std::shared_ptr<const Grammar> grammar_;
  Ids state_ids_, caller_ids_;
  std::vector<StateData> states_;
  std::vector<const std::vector<uint32_t>*> callers_;  // depth, then (node, count, callers) in order
  size_t bytes_ = 0;
  uint64_t places_visited_ = 0;
};

}  // namespace swiftlet
