// Draws tokens from rows of logits on the GPU. The order of the steps, the kept set and the noise are those of
// engine/kernels/sampling.h, and so is the oracle; token by token equal to it on equal logits, except where the two
// best scores are within 1e-5.
//
// Two tiers: kPlain serves greedy, temperature, min_p, top_k and top_p; kFull also penalties, bias, forbidden ids,
// masks and log-probabilities. A step takes the lowest tier that all of its rows allow.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/step_view.h"

namespace swiftlet::cuda {

inline constexpr int32_t kMaxTopLogprobs = 20;
inline constexpr int32_t kMaxStopTokens = 128;    // of one row: 64 of the caller and the model's own
inline constexpr int32_t kMaxBiasEntries = 1024;  // of one row

enum class SamplerTier : uint8_t { kPlain, kFull };

// What a row draws by: written by the host when a sequence takes the row.
struct SamplingRow {
  uint64_t seed;
  uint32_t choice;
  float inverse_temperature;  // 0 = greedy
  float top_p;                // (0, 1]
  float log_min_p;            // ln(min_p); -inf = off
  int32_t top_k;              // 0 = all
  float repetition_penalty;
  float presence_penalty;
  float frequency_penalty;
  int32_t num_stop_tokens;
  int32_t num_bias_entries;
  int32_t forbid_stop_before;  // position before which stop tokens cannot be drawn
  int32_t num_logprobs;        // -1 = none, else how many of the most likely (0 to 20)
  int32_t mask_slot;           // -1 = none
  int32_t forced_token;        // taken instead of the next draw; -1 = none. Cleared by the draw
};

struct BiasEntry {
  int32_t token_id;
  float bias;
};

// Device rows, [max rows] each. last_tokens, done and counts are moved on by Sample.
struct RowsView {
  SamplingRow* sampling;
  int32_t* last_tokens;   // the next step's input
  int32_t* done;          // 1 after a stop token or a failure: later draws of the row are skipped
  int32_t* stop_tokens;   // [rows, kMaxStopTokens]
  BiasEntry* bias;        // [rows, kMaxBiasEntries]
  uint32_t* counts;       // [rows, vocab]: bit 31 = in the prompt, below it the times generated; penalties alone
  const uint32_t* masks;  // [mask slots, (vocab + 31) / 32]: bit set = allowed
};

struct SampleFlags {
  static constexpr int32_t kStop = 1;     // the token is one of the row's stop tokens
  static constexpr int32_t kFailed = 2;   // a logit was not finite: nothing was drawn
  static constexpr int32_t kSkipped = 4;  // the row was done before
};

struct DeviceLogprobs {
  float chosen;
  int32_t num_top;
  int32_t top_ids[kMaxTopLogprobs];
  float top_logprobs[kMaxTopLogprobs];
};

// One slot of the pinned ring.
struct ResultView {
  int2* samples;             // [draws]: token id, SampleFlags; by Draw::sample
  DeviceLogprobs* logprobs;  // [draws], likewise; written for rows that asked
};

struct SampleArgs {
  const __half* logits = nullptr;  // [logits rows, vocab]
  int32_t vocab = 0;               // a multiple of 8
  StepView step;
  RowsView rows;
  ResultView results;         // slot 0; slot s begins s * slot_stride bytes later in both arrays
  int64_t sample_stride = 0;  // bytes between the slots' samples
  int64_t logprob_stride = 0;
  int32_t max_draws = 0;  // capacity
};

absl::Status Sample(const LaunchContext& context, SamplerTier tier, const SampleArgs& args);

// Log-probabilities of the prompt: of targets[i] and the most likely num_top ids in row i of `logits`.
struct ScoreArgs {
  const __half* logits = nullptr;  // [num_rows, vocab]
  int32_t vocab = 0;
  const int32_t* targets = nullptr;  // [num_rows]
  int32_t num_rows = 0;
  int32_t num_top = 0;
  DeviceLogprobs* results = nullptr;  // [num_rows], pinned or device
  int32_t* failed = nullptr;          // [num_rows]: 1 where a logit was not finite
};
absl::Status Score(const LaunchContext& context, const ScoreArgs& args);

}  // namespace swiftlet::cuda
