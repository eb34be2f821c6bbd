// How the blocks of a kernel bring weights into L2. Included by .cu files alone.
#pragma once

#include "engine/kernels/cuda/weight_prefetch.h"

namespace swiftlet::cuda {

// One thread of each block calls it, before WaitForPredecessor() and after the block's own early loads; it returns at
// once. The blocks take chunks in turn, so that the weights come in their order. Nothing below sm_90.
__device__ __forceinline__ void PrefetchWeights(const WeightPrefetch& weights, int block, int num_blocks) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  constexpr int64_t kChunkBytes = 8 * 1024;
  const char* const data = static_cast<const char*>(weights.data);
#pragma unroll 1
  for (int64_t at = block * kChunkBytes; at < weights.bytes; at += num_blocks * kChunkBytes) {
    const int64_t left = weights.bytes - at;
    const int bytes = static_cast<int>(left < kChunkBytes ? left : kChunkBytes);
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(data + at), "r"(bytes) : "memory");
  }
#endif
}

}  // namespace swiftlet::cuda
