// One head of one token on its way from the linear layer to attention: bias, RMSNorm (Qwen3), rotation, in float32 up
// to the one rounding at the end. A group of kLanes lanes does a head; each lane has eight elements of either half of
// it, so that a rotation stays in the lane and a norm is a few shuffles. Every operation is spelled out: RopeKv and
// decode attention give the same bits. Included by .cu files alone.
#pragma once

#include <cuda_fp16.h>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {

// Lanes of a head: the power of two that is at least head_dim / 16.
__host__ __device__ constexpr int RotaryLanes(int head_dim) {
  int lanes = 2;
  while (lanes * 16 < head_dim) lanes *= 2;
  return lanes;
}

__device__ __forceinline__ void LoadFloats(const float* from, float (&to)[8]) {
  const float4 low = *reinterpret_cast<const float4*>(from);
  const float4 high = *reinterpret_cast<const float4*>(from + 4);
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ __forceinline__ void AddHalves(const uint4& from, float (&to)[8]) {
  const __half2* pairs = reinterpret_cast<const __half2*>(&from);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(pairs[i]);
    to[2 * i] = __fadd_rn(to[2 * i], pair.x);
    to[2 * i + 1] = __fadd_rn(to[2 * i + 1], pair.y);
  }
}

__device__ __forceinline__ uint4 RoundedHalves(const float (&from)[8]) {
  uint4 packed;
  __half2* pairs = reinterpret_cast<__half2*>(&packed);
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = SaturatedHalf2(from[2 * i], from[2 * i + 1]);
  return packed;
}

// `head` counts the queries, then the keys, then the values. All lanes of the warp call everything together; those that
// are not `active` (beyond the head, or without one) take part in the shuffles alone.
template <int kLanes>
struct RotaryHead {
  const AttentionShape& shape;
  const HeadTransform& transform;
  int head, element;  // element: the lane's first, of either half
  bool active;
  float low[8], high[8];  // the bias, then the result
  float low_norm[8], high_norm[8];
  float4 cos_sin[4];

  __device__ bool is_value() const { return head >= shape.num_heads + shape.num_kv_heads; }
  __device__ const float* norm() const {
    return head < shape.num_heads ? transform.query_norm : is_value() ? nullptr : transform.key_norm;
  }

  // What no kernel of a step writes.
  __device__ void LoadConstants() {
    const int half_dim = shape.head_dim / 2;
#pragma unroll
    for (int i = 0; i < 8; ++i) low[i] = high[i] = 0;
    if (active && transform.bias != nullptr) {
      LoadFloats(transform.bias + head * shape.head_dim + element, low);
      LoadFloats(transform.bias + head * shape.head_dim + half_dim + element, high);
    }
    if (active && norm() != nullptr) {
      LoadFloats(norm() + element, low_norm);
      LoadFloats(norm() + half_dim + element, high_norm);
    }
  }
  __device__ void LoadRotation(int position) {
    if (!active || is_value()) return;
    const float4* from = reinterpret_cast<const float4*>(
        transform.cos_sin + static_cast<int64_t>(position) * (shape.head_dim / 2) + element);
#pragma unroll
    for (int i = 0; i < 4; ++i) cos_sin[i] = from[i];
  }

  // `halves`: the token's row as the linear layer left it.
  __device__ void Apply(const __half* halves) {
    const int half_dim = shape.head_dim / 2;
    if (active) {
      const __half* from = halves + head * shape.head_dim + element;
      const uint4 low_halves = *reinterpret_cast<const uint4*>(from);
      const uint4 high_halves = *reinterpret_cast<const uint4*>(from + half_dim);
      AddHalves(low_halves, low);
      AddHalves(high_halves, high);
    }
    if (transform.query_norm != nullptr || transform.key_norm != nullptr) {
      float squares = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) squares = __fmaf_rn(high[i], high[i], __fmaf_rn(low[i], low[i], squares));
#pragma unroll
      for (int offset = kLanes / 2; offset > 0; offset /= 2) {
        squares = __fadd_rn(squares, __shfl_xor_sync(~0u, squares, offset));
      }
      if (active && norm() != nullptr) {
        const float mean = __fdiv_rn(squares, static_cast<float>(shape.head_dim));
        const float scale = __frcp_rn(__fsqrt_rn(__fadd_rn(mean, transform.norm_epsilon)));
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          low[i] = __fmul_rn(__fmul_rn(low[i], scale), low_norm[i]);
          high[i] = __fmul_rn(__fmul_rn(high[i], scale), high_norm[i]);
        }
      }
    }
    if (!active || is_value()) return;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float cosine = i % 2 == 0 ? cos_sin[i / 2].x : cos_sin[i / 2].z;
      const float sine = i % 2 == 0 ? cos_sin[i / 2].y : cos_sin[i / 2].w;
      const float first = low[i];
      low[i] = __fmaf_rn(first, cosine, -__fmul_rn(high[i], sine));
      high[i] = __fmaf_rn(high[i], cosine, __fmul_rn(first, sine));
    }
  }
};

}  // namespace swiftlet::cuda
