// Our own linear layers for 9 to some hundred rows on Hopper: weights on the 64-row side of the warpgroup matrix
// instruction, tokens on the other. One warp feeds a ring of stages by tensor copies, weights before
// WaitForPredecessor(); the blocks of a cluster split K and push their sums to each other, added in a fixed order.
#pragma once

#include <absl/status/status.h>

#include <string>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/linear_skinny.h"

namespace swiftlet::cuda {

struct WarpgroupConfig {
  int32_t warpgroups = 2;  // of 64 output features each: 1 or 2
  int32_t tokens = 128;    // rows of one block: 32, 64, 128 or 256
  int32_t cluster = 1;     // blocks that split K
  int32_t stages = 4;      // of 64 of K; fewer where shared memory ends

  std::string Name() const;
};

// Whether the configuration serves the weight on this device, for any number of rows: on Hopper alone.
bool WarpgroupFits(const LaunchContext& context, const WarpgroupConfig& config, const LinearWeight& weight);

// INVALID_ARGUMENT for a configuration that does not fit.
absl::Status WarpgroupLinear(const LaunchContext& context, const WarpgroupConfig& config, const SkinnyArgs& args);

}  // namespace swiftlet::cuda
