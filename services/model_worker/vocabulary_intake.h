// The vocabulary that a gateway sends in slices, checked and put together. Owned by an Attachment; its callback
// threads.
#pragma once

#include <absl/status/status.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "swiftlet/v1/model.pb.h"

namespace swiftlet {

class VocabularyIntake {
 public:
  // `model`, which it is the vocabulary of, lives as long.
  explicit VocabularyIntake(const v1::ModelInfo& model) : model_(model) {}

  // The next ids, moved out of the slice. INVALID_ARGUMENT: of another tokenizer, out of turn, or too many.
  absl::Status Take(v1::VocabularySlice& slice);

  size_t num_tokens() const { return tokens_.size(); }
  size_t bytes() const { return bytes_; }
  std::vector<std::string> GiveTokens() { return std::exchange(tokens_, {}); }

 private:
  const v1::ModelInfo& model_;
  std::vector<std::string> tokens_;  // by id
  size_t bytes_ = 0;                 // of all that ever came
};

}  // namespace swiftlet
