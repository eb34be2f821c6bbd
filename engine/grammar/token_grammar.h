// A grammar over the tokens of a vocabulary: which of them may come next, in each state. What it finds it keeps, up to
// the limits' bytes; all requests with the same grammar share one. The thread that steps their matchers uses it alone,
// but for bytes().
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/grammar/grammar.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/grammar_vocabulary.h"
#include "engine/grammar/state_table.h"

namespace swiftlet {

class TokenGrammar {
 public:
  using State = StateTable::State;

  TokenGrammar(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const GrammarVocabulary> vocabulary,
               const GrammarLimits& limits);

  const GrammarVocabulary& vocabulary() const { return *vocabulary_; }
  const std::shared_ptr<StateTable>& table() const { return table_; }

  // Begins a new table when the present one has grown over its limit; whoever holds a state of the old one imports it.
  void LimitTable();

  // Sets exactly the bits of the tokens that may follow `state` of table(), of mask_words() words; ends of sequence
  // where the document may end. False when there are none, or when finding them took more than GrammarLimits allow.
  bool FillMask(State state, std::span<uint64_t> words);
  // The same words, shared with all who ask for this state. INTERNAL when there are none, INVALID_ARGUMENT when finding
  // them took more than that.
  using Mask = std::shared_ptr<const std::vector<uint64_t>>;
  absl::StatusOr<Mask> FindMask(State state);

  // Memory of the grammar and of all that is kept; any thread may ask.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Place {
    const State* row;
    State state;
  };

  absl::Status ComputeMask(State state, std::span<uint64_t> words);
  bool Walk(const TokenTree& tree, State state, std::span<uint64_t> words);
  void CountBytes();

  const std::shared_ptr<const Grammar> grammar_;
  const std::shared_ptr<const GrammarVocabulary> vocabulary_;
  const GrammarLimits limits_;
  std::shared_ptr<StateTable> table_;
  absl::flat_hash_map<State, absl::StatusOr<Mask>> masks_;  // of table_
  std::vector<Place> places_;                               // of a walk, by depth
  std::atomic<size_t> bytes_{0};
};

}  // namespace swiftlet
