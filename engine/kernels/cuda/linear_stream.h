// Our own linear layers for few rows on Hopper, where the time is that of reading the weights: weights on the 64-row
// side of the warpgroup matrix instruction, up to 64 tokens on the other. One warp feeds a ring by tensor copies,
// filled before WaitForPredecessor(); the blocks of a cluster split K and push their sums to each other, added in a
// fixed order. Where a block has several tiles, its part of the input stays in shared memory.
//
// The sum of one output is made in an order that depends on the cluster and the shape of the weight alone.
#pragma once

#include <absl/status/status.h>

#include <string>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/linear_skinny.h"

namespace swiftlet::cuda {

struct StreamConfig {
  int32_t cluster = 1;  // blocks that split K: 1 to 8
  int32_t slots = 8;    // of the ring, of 64 features x 64 of K

  std::string Name() const;
};

inline constexpr int32_t kMaxStreamRows = 64;

// Whether the configuration serves up to kMaxStreamRows rows of the weight on this device: on Hopper alone.
bool StreamFits(const LaunchContext& context, const StreamConfig& config, const LinearWeight& weight);

// INVALID_ARGUMENT for a configuration that does not fit, and for more rows.
absl::Status StreamLinear(const LaunchContext& context, const StreamConfig& config, const SkinnyArgs& args);

}  // namespace swiftlet::cuda
