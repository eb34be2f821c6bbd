// Log-probabilities of tokens, as they travel from the sampling kernels to the caller of the engine.
#pragma once

#include <cstdint>
#include <vector>

namespace swiftlet {

struct TokenLogprob {
  int32_t token_id = 0;
  float logprob = 0;  // of the raw logits' softmax
};

struct PositionLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // highest first, ties by lower id
};

}  // namespace swiftlet
