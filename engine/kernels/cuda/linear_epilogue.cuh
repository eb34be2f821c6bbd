// How our own linear layers end: a lane's sums become outputs. Included by .cu files alone.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/linear_skinny.h"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {

struct LinearOutput {
  const float* bias;
  __half* output;
  float* residual;
  float scale;
  int32_t num_rows, out_features;
};

inline LinearOutput MakeLinearOutput(const SkinnyArgs& args) {
  return {.bias = args.bias,
          .output = args.output,
          .residual = args.residual,
          .scale = args.scale,
          .num_rows = args.linear.num_rows,
          .out_features = args.linear.weight.out_features};
}

__device__ __forceinline__ void AddTo(float4& sum, const float4& value) {
  sum.x += value.x;
  sum.y += value.y;
  sum.z += value.z;
  sum.w += value.w;
}

__device__ __forceinline__ float Silu(float value) {
  return __fdividef(value, 1.f + __expf(-value));
}

// What the tensor cores leave in a lane, of features row and row + 8 and tokens token and token + 1:
// x = (row, token), y = (row, token + 1), z = (row + 8, token), w = (row + 8, token + 1).
//
// kAddTo: what `value` is added to; loaded early, for it takes as long as the whole sum.
template <LinearEpilogue kEpilogue>
__device__ __forceinline__ float4 LoadResidual(const LinearOutput& p, int row, int token) {
  float4 old = {};
  if (kEpilogue != LinearEpilogue::kAddTo || row >= p.out_features) return old;
  const float* residual = p.residual + static_cast<int64_t>(token) * p.out_features + row;
  const bool has_high = row + 8 < p.out_features;
  if (token < p.num_rows) {
    old.x = __ldcg(residual);
    if (has_high) old.z = __ldcg(residual + 8);
  }
  if (token + 1 < p.num_rows) {
    old.y = __ldcg(residual + p.out_features);
    if (has_high) old.w = __ldcg(residual + p.out_features + 8);
  }
  return old;
}

template <LinearEpilogue kEpilogue>
__device__ __forceinline__ void Finish(const LinearOutput& p, const float4& value, const float4& old, int row,
                                       int token) {
  const float low[2] = {value.x, value.y}, high[2] = {value.z, value.w};
  const float old_low[2] = {old.x, old.y}, old_high[2] = {old.z, old.w};
  const int64_t stride = p.out_features;
  const bool has_low = row < p.out_features, has_high = row + 8 < p.out_features;
  float bias_low = 0, bias_high = 0;
  if (kEpilogue != LinearEpilogue::kStore && p.bias != nullptr) {
    if (has_low) bias_low = p.bias[row];
    if (has_high) bias_high = p.bias[row + 8];
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    if (token + i >= p.num_rows) continue;
    if constexpr (kEpilogue == LinearEpilogue::kStore) {
      __half* output = p.output + (token + i) * stride + row;
      if (has_low) output[0] = SaturatedHalf(low[i]);
      if (has_high) output[8] = SaturatedHalf(high[i]);
    } else if constexpr (kEpilogue == LinearEpilogue::kAddTo) {
      float* residual = p.residual + (token + i) * stride + row;
      // The same bits in every kernel.
      if (has_low) residual[0] = __fadd_rn(__fmaf_rn(p.scale, low[i], old_low[i]), bias_low);
      if (has_high) residual[8] = __fadd_rn(__fmaf_rn(p.scale, high[i], old_high[i]), bias_high);
    } else if (has_high) {
      // 16 rows: 8 of gate, then 8 of up.
      const float gate = low[i] + bias_low, up = high[i] + bias_high;
      p.output[(token + i) * (stride / 2) + row / 16 * 8 + row % 16] = SaturatedHalf(Silu(gate) * up / kMlpScale);
    }
  }
}

}  // namespace swiftlet::cuda
