// RMSNorm: output[r, c] = input[row, c] * weight[c] / sqrt(mean(input[row, :]^2) + epsilon), row = rows[r].
#pragma once

#include <cstdint>

#include "engine/kernels/packed_rows.h"

namespace swiftlet {

struct RmsNormArgs {
  const float* input = nullptr;    // [*, output.columns]
  const int32_t* rows = nullptr;   // [output.num_rows] rows of `input`; null: all in order
  const float* weight = nullptr;   // [output.columns]
  float epsilon = 0;
  PackedRows output;
};

}  // namespace swiftlet
