// float32 to float16 as every kernel here rounds: what leaves the range of float16 is clamped to its ends; NaN stays
// NaN, so that it is found at the logits. Included by .cu files alone.
#pragma once

#include <cuda_fp16.h>

namespace swiftlet::cuda {

inline constexpr float kMaxHalf = 65504;

__device__ __forceinline__ float Clamped(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  float result;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(value), "f"(kMaxHalf));
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(result), "f"(-kMaxHalf));
  return result;
#else
  return value != value ? value : fminf(fmaxf(value, -kMaxHalf), kMaxHalf);
#endif
}

__device__ __forceinline__ __half SaturatedHalf(float value) {
  return __float2half_rn(Clamped(value));
}

__device__ __forceinline__ __half2 SaturatedHalf2(float low, float high) {
  return __floats2half2_rn(Clamped(low), Clamped(high));
}

}  // namespace swiftlet::cuda
