// Draws one token from one row of logits. x are the raw logits [vocab_size]; in order:
//   bias         y_i = x_i + bias_i
//   penalties    seen in prompt or output: y_i = y_i > 0 ? y_i / repetition : y_i * repetition;
//                then y_i -= frequency * (times in output) + presence * (in output)
//   min_tokens   forbidden ids: y_i = -inf
//   mask         ids whose bit is not set: y_i = -inf
//   temperature  z_i = y_i * (1 / temperature), in float32
//   min_p        keep z_i >= max z + ln(min_p)
//   top_k        of those, keep the top_k first in order of (z down, id up)
//   top_p        of those, keep the shortest beginning of that order whose mass is >= top_p of their total mass
// Token = argmax over what is kept of z_i + Gumbel(seed, choice, position, i); philox.h defines the noise.
// temperature 0: the argmax of y, the lowest id among equals. At least one token is always kept.
//
// Log-probabilities are those of the raw logits: x_i - ln(sum exp x).
//
// The oracle (cpu/reference) sorts and says what is right; the fast version (cpu/simd) runs. On equal logits they agree
// token by token, except where the two best scores are within 1e-5.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/kernels/philox.h"
#include "engine/kernels/token_logprob.h"

namespace swiftlet {

// A token that a row has seen.
struct TokenCount {
  int32_t token_id = 0;
  int32_t output_count = 0;  // times generated
  bool in_prompt = false;
};

struct SampleArgs {
  std::span<float> logits;  // [vocab_size]; written while the call runs, as before when it returns
  float temperature = 1;
  float top_p = 1;    // (0, 1]
  int32_t top_k = 0;  // 0 = all
  float min_p = 0;    // [0, 1]
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::span<const std::pair<int32_t, float>> logit_bias;  // distinct ids
  std::span<const TokenCount> counts;                     // distinct ids; read when a penalty is not neutral
  std::span<const int32_t> forbidden_ids;
  std::span<const uint64_t> mask;  // bit i % 64 of word i / 64; empty = all allowed
  DrawKey key;
  int32_t num_top = -1;  // -1 = no log-probabilities, else how many of the most likely ones (0 to 20)
};

struct SampleResult {
  bool finite = true;  // false: a NaN or infinity among the logits; nothing was drawn
  int32_t token_id = -1;
  PositionLogprobs logprobs;  // when asked for
};

// Space for one call, kept between calls by the caller.
struct SampleScratch {
  std::vector<float> values;  // a part of the row: the first `size` of values and ids
  std::vector<int32_t> ids;
  int64_t size = 0;
  float least = 0, most = 0;  // of those values
  std::vector<std::pair<float, int32_t>> sorted;
  std::vector<std::pair<int32_t, float>> undo;
};

// Log-probabilities of `token_id` and of the `num_top` most likely tokens; false when a logit is not finite.
namespace reference {
SampleResult Sample(const SampleArgs& args);
bool ScoreToken(std::span<const float> logits, int32_t token_id, int32_t num_top, PositionLogprobs* result);
}  // namespace reference

namespace simd {
SampleResult Sample(const SampleArgs& args, SampleScratch& scratch);
bool ScoreToken(std::span<const float> logits, int32_t token_id, int32_t num_top, PositionLogprobs* result);
}  // namespace simd

}  // namespace swiftlet
