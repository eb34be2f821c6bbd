// The states of a grammar's automaton made deterministic, as far as they have been visited.
// One thread uses it: the one that steps the matchers of its grammar.
//
// A state is a set of places: a node that takes a byte, and the callers it returns to. Callers form a graph, not a
// list: rules entered at the same byte by several callers are walked once for all of them, so that a state's size is
// bounded by the grammar's times its nesting however ambiguous it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <absl/container/node_hash_map.h>

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
  // It is between two characters of a string of any length and nothing else.
  bool IsFreeString(State state) const { return states_[state].is_free_string; }

  // The same state here; both tables are of the same grammar.
  State Import(const StateTable& other, State state);

  size_t bytes() const { return bytes_; }
  size_t num_states() const { return states_.size(); }

 private:
  using Callers = uint32_t;  // an entry of callers_
  static constexpr Callers kNobody = 0;

  // Ids into vectors of words, equal contents having equal ids.
  using Ids = absl::node_hash_map<std::vector<uint32_t>, uint32_t>;

  struct StateData {
    const std::vector<uint32_t>* content;  // can end, then (node, callers) in order
    std::unique_ptr<State[]> row = nullptr;
    bool is_free_string = false;
  };
  class Closure;

  void Expand(State state);
  State Intern(std::vector<uint32_t> content);
  Callers InternCallers(std::vector<uint32_t> content);
  uint32_t depth(Callers callers) const { return (*callers_[callers])[0]; }

  const std::shared_ptr<const Grammar> grammar_;
  Ids state_ids_, caller_ids_;
  std::vector<StateData> states_;
  std::vector<const std::vector<uint32_t>*> callers_;  // depth, then (node, count, callers) in order
  size_t bytes_ = 0;
};

}  // namespace swiftlet
