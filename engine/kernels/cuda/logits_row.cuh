// The part of a row of logits that one block works on, read from global memory: as it stands, or after the edits of the
// full tier (edited_row.cuh). Included by .cu files alone.
//
// Values are ordered by unsigned keys: a larger value has a larger key, equal values (both zeros too) the same one.
// A row is read by groups of 16 tokens, which share a block of coarse noise.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "engine/kernels/cuda/sampling.h"

namespace swiftlet::cuda {

inline constexpr int kGroupTokens = 16;
inline constexpr float kLog2E = 1.44269504088896f;

__device__ __forceinline__ uint32_t FloatKey(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0f);  // -0 becomes 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float FloatOfKey(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}

// A token in the order of what is kept, largest first: larger values, then lower ids. 0 is none.
__device__ __forceinline__ uint64_t Packed(uint32_t key, int id) {
  return uint64_t{key} << 32 | (0xffffffffu - static_cast<uint32_t>(id));
}
__device__ __forceinline__ uint32_t KeyOf(uint64_t packed) {
  return static_cast<uint32_t>(packed >> 32);
}
__device__ __forceinline__ int IdOf(uint64_t packed) {
  return static_cast<int>(0xffffffffu - static_cast<uint32_t>(packed));
}

__device__ __forceinline__ float Exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// Ids [first_id, first_id + count) of a row belong to block `rank`: whole groups.
struct Slice {
  int first_id;
  int count;
};

__host__ __device__ constexpr int SliceLength(int vocab, int blocks) {
  return (vocab + kGroupTokens * blocks - 1) / (kGroupTokens * blocks) * kGroupTokens;
}

__device__ __forceinline__ Slice SliceOf(int vocab, int blocks, int rank) {
  const int length = SliceLength(vocab, blocks);
  const int first = min(rank * length, vocab);
  return {first, min(length, vocab - first)};
}

// Whether all logits that were read are finite.
struct FiniteWatch {
  __half2 most = __float2half2_rn(0);

  __device__ __forceinline__ void See(const uint4& packed) {
    const __half2* const pairs = reinterpret_cast<const __half2*>(&packed);
#pragma unroll
    for (int k = 0; k < 4; ++k) most = __hmax2_nan(most, __habs2(pairs[k]));
  }
  __device__ bool finite() const {  // NaN fails the comparison
    return __low2float(most) <= 65504 && __high2float(most) <= 65504;
  }
};

__device__ __forceinline__ float MaxOfPacked(const uint4& packed) {
  const __half2* const pairs = reinterpret_cast<const __half2*>(&packed);
  const __half2 most = __hmax2(__hmax2(pairs[0], pairs[1]), __hmax2(pairs[2], pairs[3]));
  return fmaxf(__low2float(most), __high2float(most));
}

struct HalfRow {
  static constexpr int kKeyShift = 13;  // bits of a float that a half leaves zero
  static constexpr int kGroupsAtOnce = 2;
  const __half* values;
  int first_id;
  int count;    // a multiple of 8
  float scale;  // z = value * scale

  struct Group {
    uint4 packed[2];
    __device__ __forceinline__ float2 Pair(int k) const {
      return __half22float2(reinterpret_cast<const __half2*>(&packed[k / 4])[k % 4]);
    }
    __device__ __forceinline__ float Max() const {
      const __half2* const a = reinterpret_cast<const __half2*>(&packed[0]);
      const __half2* const b = reinterpret_cast<const __half2*>(&packed[1]);
      const __half2 most =
          __hmax2(__hmax2(__hmax2(a[0], a[1]), __hmax2(a[2], a[3])), __hmax2(__hmax2(b[0], b[1]), __hmax2(b[2], b[3])));
      return fmaxf(__low2float(most), __high2float(most));
    }
  };

  // What lies beyond the slice is -inf.
  __device__ __forceinline__ void LoadGroup(int at, Group& group, FiniteWatch& watch) const {
    constexpr uint32_t kNone = 0xfc00fc00u;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      group.packed[half] = {kNone, kNone, kNone, kNone};
      if (at + 8 * half < count) {
        group.packed[half] = *reinterpret_cast<const uint4*>(values + at + 8 * half);
        watch.See(group.packed[half]);
      }
    }
  }
  // Eight from a multiple of eight.
  __device__ __forceinline__ float Max8(int at, FiniteWatch& watch) const {
    const uint4 packed = *reinterpret_cast<const uint4*>(values + at);
    watch.See(packed);
    return MaxOfPacked(packed);
  }
  __device__ __forceinline__ void Load8(int at, float (&v)[8]) const {
    const uint4 packed = *reinterpret_cast<const uint4*>(values + at);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float2 pair = __half22float2(reinterpret_cast<const __half2*>(&packed)[k]);
      v[2 * k] = pair.x, v[2 * k + 1] = pair.y;
    }
  }
  __device__ __forceinline__ float At(int at) const {
    return __half2float(values[at]);
  }
  static __device__ __forceinline__ uint32_t Key(float value) {
    return FloatKey(value) >> kKeyShift;
  }
  static __device__ __forceinline__ float OfKey(uint32_t key) {
    const uint32_t full = key << kKeyShift;
    return FloatOfKey(full & 0x80000000u ? full : full | ((1u << kKeyShift) - 1));
  }
};

}  // namespace swiftlet::cuda
