// The part of a row of logits that one block works on, as the search and the race of sampling read it: half in shared
// or global memory, or float32 after the edits of the full tier. Included by .cu files alone.
//
// Values are ordered by unsigned keys: a larger value has a larger key, equal values (both zeros too) the same one.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "engine/kernels/cuda/sampling.h"

namespace swiftlet::cuda {

__device__ __forceinline__ uint32_t FloatKey(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0f);  // -0 becomes 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float FloatOfKey(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}

// Eight values at once are read at multiples of eight.
struct HalfRow {
  static constexpr int kKeyShift = 13;  // bits of a float that a half leaves zero
  const __half* values;
  int first_id;
  int count;    // a multiple of 8
  float scale;  // z = value * scale

  __device__ __forceinline__ void Load8(int i, float (&v)[8]) const {
    const uint4 packed = *reinterpret_cast<const uint4*>(values + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float2 pair = __half22float2(reinterpret_cast<const __half2*>(&packed)[k]);
      v[2 * k] = pair.x, v[2 * k + 1] = pair.y;
    }
  }
  __device__ __forceinline__ float Max8(int i) const {
    const uint4 packed = *reinterpret_cast<const uint4*>(values + i);
    const __half2* const pairs = reinterpret_cast<const __half2*>(&packed);
    const __half2 most = __hmax2(__hmax2(pairs[0], pairs[1]), __hmax2(pairs[2], pairs[3]));
    return fmaxf(__low2float(most), __high2float(most));
  }
  __device__ __forceinline__ float At(int i) const {
    return __half2float(values[i]);
  }
  static __device__ __forceinline__ uint32_t Key(float value) {
    return FloatKey(value) >> kKeyShift;
  }
  static __device__ __forceinline__ float OfKey(uint32_t key) {
    const uint32_t full = key << kKeyShift;
    return FloatOfKey(full & 0x80000000u ? full : full | ((1u << kKeyShift) - 1));
  }
};

// z itself, in shared memory.
struct FloatRow {
  static constexpr float scale = 1;
  const float* values;
  int first_id;
  int count;

  __device__ __forceinline__ void Load8(int i, float (&v)[8]) const {
    *reinterpret_cast<float4*>(v) = *reinterpret_cast<const float4*>(values + i);
    *reinterpret_cast<float4*>(v + 4) = *reinterpret_cast<const float4*>(values + i + 4);
  }
  __device__ __forceinline__ float Max8(int i) const {
    float v[8];
    Load8(i, v);
    return fmaxf(fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3])), fmaxf(fmaxf(v[4], v[5]), fmaxf(v[6], v[7])));
  }
  __device__ __forceinline__ float At(int i) const { return values[i]; }
  static __device__ __forceinline__ uint32_t Key(float value) { return FloatKey(value); }
  static __device__ __forceinline__ float OfKey(uint32_t key) { return FloatOfKey(key); }
};

// What the full tier does to a row before temperature, in float32 operations that round one by one as the oracle's.
struct RowEdits {
  const uint32_t* counts;  // null without penalties
  const BiasEntry* bias;
  const int32_t* forbidden;
  const uint32_t* mask;  // null = all allowed
  int num_bias;
  int num_forbidden;
  float repetition, presence, frequency;
  float scale;  // 1 / temperature, 1 for a greedy row

  // `count`: as RowsView::counts has it.
  __device__ __forceinline__ float Penalised(float value, uint32_t count) const {
    if (count == 0) return value;
    if (repetition != 1) value = value > 0 ? __fdiv_rn(value, repetition) : __fmul_rn(value, repetition);
    const uint32_t generated = count & 0x7fffffffu;
    value = __fsub_rn(value, __fmul_rn(frequency, static_cast<float>(generated)));
    return generated > 0 ? __fsub_rn(value, presence) : value;
  }
  __device__ __forceinline__ bool Allowed(int id) const { return mask == nullptr || (mask[id / 32] >> (id % 32) & 1); }
};

// z computed from the logits in global memory at every read. `special` marks the ids with a bias and the forbidden
// ones.
struct EditedRow {
  static constexpr float scale = 1;
  const __half* values;
  const uint32_t* special;
  RowEdits edits;
  int first_id;
  int count;

  __device__ __forceinline__ float Edited(float value, int id) const {
    const bool marked = special[id / 32] >> (id % 32) & 1;
    if (marked) {
      for (int k = 0; k < edits.num_bias; ++k) {
        if (edits.bias[k].token_id == id) value += edits.bias[k].bias;
      }
    }
    value = edits.Penalised(value, edits.counts == nullptr ? 0 : edits.counts[id]);
    if (marked) {
      for (int k = 0; k < edits.num_forbidden; ++k) {
        if (edits.forbidden[k] == id) value = -INFINITY;
      }
    }
    return edits.Allowed(id) ? __fmul_rn(value, edits.scale) : -INFINITY;
  }
  __device__ __forceinline__ void Load8(int i, float (&v)[8]) const {
    const uint4 packed = *reinterpret_cast<const uint4*>(values + i);
#pragma unroll
    for (int k = 0; k < 8; ++k)
      v[k] = Edited(__half2float(reinterpret_cast<const __half*>(&packed)[k]), first_id + i + k);
  }
  __device__ __forceinline__ float Max8(int i) const {
    float v[8];
    Load8(i, v);
    return fmaxf(fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3])), fmaxf(fmaxf(v[4], v[5]), fmaxf(v[6], v[7])));
  }
  __device__ __forceinline__ float At(int i) const {
    return Edited(__half2float(values[i]), first_id + i);
  }
  static __device__ __forceinline__ uint32_t Key(float value) {
    return FloatKey(value);
  }
  static __device__ __forceinline__ float OfKey(uint32_t key) {
    return FloatOfKey(key);
  }
};

}  // namespace swiftlet::cuda
