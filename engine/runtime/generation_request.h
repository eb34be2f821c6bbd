// What a caller of the Engine asks for, and what comes back. Plain data; token ids in, token ids out.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/kernels/token_logprob.h"
#include "engine/scheduler/finish_reason.h"

namespace swiftlet {

class TokenGrammar;

// What a device row has room for.
inline constexpr size_t kMaxStopTokenIds = 128;
inline constexpr size_t kMaxLogitBias = 1024;
inline constexpr size_t kMaxTagIds = 16;  // of a tag around the reasoning

// How the next token is drawn. Order: bias, penalties, min_tokens, grammar, temperature, min_p, top_k, top_p.
struct SamplingParams {
  float temperature = 1;         // 0 = greedy; 0 to 2
  float top_p = 1;               // (0, 1]
  int32_t top_k = 0;             // 0 = all
  float min_p = 0;               // 0 to 1
  float repetition_penalty = 1;  // (0, 2]; prompt and output
  float presence_penalty = 0;    // -2 to 2; output
  float frequency_penalty = 0;   // -2 to 2; output
  std::vector<std::pair<int32_t, float>> logit_bias;
  uint64_t seed = 0;
};

// How long the reasoning at the beginning of the output may be. Once it has `tokens` tokens and has not ended, what is
// missing of close_ids at its end is forced, id by id.
struct ReasoningBudget {
  int32_t tokens = 0;              // >= 0
  std::vector<int32_t> close_ids;  // end the reasoning; 1 to kMaxTagIds
  std::vector<int32_t> open_ids;   // begin it, as the first ids of the output; none: it has begun in the prompt
};

struct GenerationRequest {
  std::vector<int32_t> prompt_ids;  // 1 to max_model_len - 1
  SamplingParams sampling;
  int32_t num_choices = 1;              // 1 to 128; the prompt is computed once
  int32_t max_tokens = 1;               // generated per choice, resumed ids included; >= 1
  int32_t min_tokens = 0;               // stop tokens cannot be drawn before
  std::vector<int32_t> stop_token_ids;  // end-of-sequence ids included
  int32_t logprobs = 0;                 // 0 = none, k + 1 = the chosen token and the k most likely, k <= 20
  int32_t prompt_logprobs = 0;          // likewise
  std::string cache_salt;               // the prefix index is private to equal salts
  int32_t priority = 0;                 // lower runs first
  std::optional<int64_t> timeout_us;    // from Submit
  // What the text must be; null = anything. The ids that end a sequence in its vocabulary are stop tokens, and stop
  // tokens before min_tokens give way where nothing else may come.
  std::shared_ptr<TokenGrammar> grammar;
  bool has_grammar = false;  // the engine's: it moves `grammar` to the masks' thread, and rows outlive their requests
  std::optional<ReasoningBudget> reasoning_budget;
  // Ids a former worker generated, per choice; empty or num_choices entries. They are output, not prompt.
  std::vector<std::vector<int32_t>> resumed_ids;
};

// What one step did to one choice.
struct SequenceOutput {
  uint64_t request = 0;  // the value Submit was given as `tag`
  int32_t choice = 0;
  int32_t first_index = 0;  // position of ids[0] among the generated ids (resumed ones included)
  std::vector<int32_t> ids;
  std::vector<PositionLogprobs> logprobs;  // one per id when asked for
  int32_t prompt_logprobs_begin = 0;       // prompt position of prompt_logprobs[0]; position 0 has no log-probability
  std::vector<PositionLogprobs> prompt_logprobs;     // slices in order, choice 0 alone, before its finish
  int32_t cached_tokens = 0;                         // prompt tokens found in the prefix index; in the first output
  int64_t queue_us = 0;                              // Submit to first planned; in the first output
  FinishReason finish_reason = FinishReason::kNone;  // set exactly once per choice, in its last output
  absl::Status status;                               // not OK with kError and kDeadline
};

// Receives all outputs of the requests submitted with it. Called on the step thread: must not block.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  // All that one step produced for this sink's requests.
  virtual void OnStep(std::vector<SequenceOutput> outputs) = 0;
};

}  // namespace swiftlet
