// Weights of a kernel that follows, for a kernel under which HBM idles to bring into L2 (weight_prefetch.cuh).
// The model says who prefetches what; nothing is computed from it.
#pragma once

#include <cstdint>

namespace swiftlet::cuda {

struct WeightPrefetch {
  const void* data = nullptr;  // 16-byte aligned
  int64_t bytes = 0;           // a multiple of 16; 0 = nothing
};

}  // namespace swiftlet::cuda
