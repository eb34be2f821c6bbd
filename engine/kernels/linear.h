// Linear layers: y = x W^T + b, with the two epilogues a decoder needs (residual add, SwiGLU).
//
// Contract of every implementation: the sum over in_features of one output element is taken in one order, whatever the
// number of rows and threads; so a row's result is the same bit for bit in a batch of 1 and of 512.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/kernels/dtype.h"
#include "engine/kernels/packed_rows.h"

namespace swiftlet {

// A weight [out_features, in_features] in the layout of the kernel table that packed it. Unwritten parts are zero.
struct LinearWeight {
  int32_t out_features = 0;
  int32_t in_features = 0;
  Buffer data;              // KernelTable::linear_weight_bytes(out_features, in_features)
  std::vector<float> bias;  // [out_features], or empty
};

// Writes rows [first_row, first_row + num_rows) of `weight` from row-major `source` [num_rows, in_features] of `dtype`.
// Distinct rows may be packed by distinct threads at the same time.
struct PackWeightArgs {
  LinearWeight* weight = nullptr;
  int32_t first_row = 0;
  int32_t num_rows = 0;
  const std::byte* source = nullptr;
  DType dtype = DType::kBFloat16;
};

// output[r, o] = sum_k input[r, k] weight[o, k] + bias[o], or += that when `accumulate` (the residual stream).
struct LinearArgs {
  PackedRows input;  // [num_rows, in_features]
  const LinearWeight* weight = nullptr;
  float* output = nullptr;  // [num_rows, output_stride], out_features of each row written
  int64_t output_stride = 0;
  bool accumulate = false;
};

// output = silu(input gate^T + gate.bias) * (input up^T + up.bias)
struct SwigluArgs {
  PackedRows input;  // [num_rows, in_features]
  const LinearWeight* gate = nullptr;
  const LinearWeight* up = nullptr;
  PackedRows output;  // [num_rows, out_features]
};

// hidden[r, :] = row token_ids[r] of `weight`: embeddings live in the layout of linear layers, so that a tied head is
// stored once.
struct EmbeddingArgs {
  const LinearWeight* weight = nullptr;
  const int32_t* token_ids = nullptr;  // [num_rows]
  int32_t num_rows = 0;
  float* hidden = nullptr;  // [num_rows, in_features]
};

}  // namespace swiftlet
