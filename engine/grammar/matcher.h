// Where one choice of a request stands in its grammar. A few words, copied for n > 1 and dropped on preemption: feeding
// the accepted ids again rebuilds it. Used on the thread of its TokenGrammar.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "engine/grammar/token_grammar.h"

namespace swiftlet {

class Matcher {
 public:
  explicit Matcher(std::shared_ptr<TokenGrammar> grammar);

  // Takes the token if it may come next; otherwise says false and stays where it was.
  bool Accept(int32_t id);

  // The tokens that may come next; see TokenGrammar::FillMask. After an end of sequence there are none.
  bool FillMask(std::span<uint64_t> words);
  absl::StatusOr<TokenGrammar::Mask> FindMask();

  bool CanEnd();                                 // the text so far is a whole document
  bool has_ended() const { return has_ended_; }  // an end of sequence was taken

 private:
  // To the grammar's present table; one that holds more than is kept goes when all have left it.
  void Synchronize();

  std::shared_ptr<TokenGrammar> grammar_;
  std::shared_ptr<StateTable> table_;
  StateTable::State state_ = StateTable::kStart;
  bool has_ended_ = false;
};

}  // namespace swiftlet
