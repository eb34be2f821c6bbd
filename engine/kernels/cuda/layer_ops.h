// The small operations of a decoder layer: embedding, RMSNorm, SwiGLU, and the copy of KV blocks.
// Their oracles are the loops of tests/engine/kernels/cuda.
#pragma once

#include <cuda_fp16.h>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/step_view.h"

namespace swiftlet::cuda {

// residual[t, :] = weight[token_ids[t], :], t < num_tokens.
struct EmbeddingArgs {
  const __half* weight;  // [vocab, hidden]
  const int32_t* token_ids;
  float* residual;     // [num_tokens, hidden]
  int32_t num_tokens;  // capacity: padding is computed too
  int32_t hidden;      // a multiple of 8
};
absl::Status Embedding(const LaunchContext& context, const EmbeddingArgs& args);

// output[r, c] = residual[row, c] * weight[c] / sqrt(mean(residual[row, :]^2) + epsilon), saturated to float16;
// row = rows[r], or r where `rows` is null.
struct RmsNormArgs {
  const float* residual;  // [*, hidden]
  const int32_t* rows;
  const float* weight;  // [hidden]
  __half* output;       // [num_rows, hidden]
  int32_t num_rows;
  int32_t hidden;  // a multiple of 8
  float epsilon;
};
absl::Status RmsNorm(const LaunchContext& context, const RmsNormArgs& args);

// gate and up stand in groups of eight columns: gate 0-7, up 0-7, gate 8-15, up 8-15 ...
// output[t, i] = silu(gate[t, i] + gate_bias[i]) * (up[t, i] + up_bias[i]) / kMlpScale, saturated.
struct SwigluArgs {
  const __half* gate_up;  // [num_rows, 2 * intermediate]
  const float* bias;      // [2 * intermediate] in the same order, or null
  __half* output;         // [num_rows, intermediate]
  int32_t num_rows;
  int32_t intermediate;  // a multiple of 8
};
absl::Status Swiglu(const LaunchContext& context, const SwigluArgs& args);

// Copies whole blocks of every layer, in order: to[i] = from[i]. Lists on the device.
struct CopyBlocksArgs {
  std::byte* kv;  // [layers][blocks][block_bytes]
  int32_t num_layers;
  int64_t layer_stride;  // bytes
  int64_t block_bytes;   // in one layer, a multiple of 16
  int32_t from, to;
};
absl::Status CopyBlock(const LaunchContext& context, const CopyBlocksArgs& args);

}  // namespace swiftlet::cuda
