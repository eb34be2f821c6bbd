// The beginning of a step on the device: unpacks what the host uploaded into the arrays of StepView, patches block
// tables and rows, and puts each row's last drawn token where the step's token ids want it.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/step_view.h"

namespace swiftlet::cuda {

struct BlockPatch {
  int32_t row, index, block;
};

// A row that changes hands. Counts of a row with penalties are set up by InitCounts.
struct RowPatch {
  int32_t row;
  int32_t first_stop_token, first_bias_entry;  // into the upload's lists; their numbers stand in `sampling`
  SamplingRow sampling;
};

// One upload, in one contiguous copy: this header, then the arrays it gives the byte offsets of (multiples of 16).
struct StepUpload {
  StepCounts counts;
  int32_t num_block_patches, num_row_patches;
  int32_t token_ids;      // [num_tokens] int32: an id, or -1 - row: that row's last drawn token
  int32_t sequences;      // [num_sequences] SequenceSpan; positions and token_rows follow from them
  int32_t prefill_tiles;  // [num_prefill_tiles]
  int32_t logits_tokens;  // [num_logits] int32
  int32_t draws;          // [num_draws]
  int32_t block_patches;  // [num_block_patches]
  int32_t row_patches;    // [num_row_patches]
  int32_t stop_tokens;    // int32 lists of the row patches
  int32_t bias_entries;   // BiasEntry lists of the row patches
};

// The same arrays as StepView, writable, with their capacities.
struct StepArrays {
  StepCounts* counts;
  int32_t* token_ids;
  int32_t* positions;
  int32_t* token_rows;
  SequenceSpan* sequences;
  PrefillTile* prefill_tiles;
  int32_t* logits_tokens;
  Draw* draws;
  int32_t* block_tables;
  int32_t block_table_stride;
};

struct BeginStepArgs {
  const StepUpload* upload = nullptr;  // device copy
  StepArrays step;
  RowsView rows;
  int32_t max_tokens = 0;  // capacity of the bucket: padding up to here is written as step_view.h says
  int32_t max_logits = 0;  // logits_tokens beyond num_logits are set to 0
};
absl::Status BeginStep(const LaunchContext& context, const BeginStepArgs& args);

// counts[row, :] = 0, then bit 31 for each of the prompt's ids and one for each generated id. Lists on the device.
struct InitCountsArgs {
  uint32_t* counts = nullptr;  // of the row, [vocab]
  int32_t vocab = 0;
  const int32_t* ids = nullptr;  // prompt, then generated
  int32_t num_prompt = 0;
  int32_t num_generated = 0;
};
absl::Status InitCounts(const LaunchContext& context, const InitCountsArgs& args);

}  // namespace swiftlet::cuda
