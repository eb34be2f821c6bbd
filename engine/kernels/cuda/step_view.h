// What a step is, as the kernels read it from device memory: arrays at fixed addresses, so that a captured graph serves
// every step of its bucket. Written by BeginStep (step.h) from what the host uploaded; constant during the step.
//
// Kernels are launched for a bucket's capacity and read the true counts from StepCounts; what lies beyond is padding:
// its token id is 0, its position 0, nothing of it reaches the KV cache, a row or the results.
#pragma once

#include <cstdint>

namespace swiftlet::cuda {

struct StepCounts {
  int32_t num_tokens;     // rows of the batch
  int32_t num_sequences;  // items; the first num_decodes of them have one token each
  int32_t num_decodes;
  int32_t num_prefill_tiles;
  int32_t num_logits;        // rows of logits
  int32_t num_draws;         // tokens to draw; several may share a row of logits
  int32_t max_decode_pages;  // of the longest decode: what split plans are made from
  int32_t result_slot;       // of the pinned ring
};

// Tokens [first_token, first_token + num_tokens) of the batch are positions [first_position, ...) of one sequence.
struct SequenceSpan {
  int32_t first_token;
  int32_t num_tokens;
  int32_t first_position;
  int32_t row;  // device row: block table, sampling state
};

// Up to kPrefillTileTokens tokens of one prefill chunk: the unit of prefill attention.
inline constexpr int32_t kPrefillTileTokens = 64;
struct PrefillTile {
  int32_t sequence;     // index of its SequenceSpan
  int32_t first_token;  // within the span, a multiple of kPrefillTileTokens
};

struct Draw {
  int32_t logits_row;
  int32_t row;       // device row that draws
  int32_t position;  // of the drawn token in its sequence, prompt included
  int32_t sample;    // index in the step's results
};

struct StepView {
  const StepCounts* counts;
  const int32_t* token_ids;       // [tokens], 0 <= id < vocab
  const int32_t* positions;       // [tokens]
  const int32_t* token_rows;      // [tokens] device row of each token; -1 for padding
  const SequenceSpan* sequences;  // [sequences]
  const PrefillTile* prefill_tiles;  // any order is right; those that end at the highest positions first is fastest
  const int32_t* logits_tokens;  // [logits] the token whose hidden state each row of logits comes from
  const Draw* draws;             // [draws]
  const int32_t* block_tables;  // [device rows, block_table_stride]: block i of a row holds positions [64 i, 64 i + 64)
  int32_t block_table_stride;
};

}  // namespace swiftlet::cuda
