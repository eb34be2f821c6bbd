// Our own linear layers for more than 32 rows on Hopper: rows on the 64-row side of the warpgroup matrix instruction,
// output features on the other, so that a tile can be as many features wide as deals the layer to all SMs. One warp
// feeds a ring of stages by tensor copies, weights before WaitForPredecessor(); two warpgroups multiply and finish
// their rows apart from each other, so that one writes while the other multiplies.
//
// The blocks of a cluster have different parts of K, pushed to each other and added in their order. Clusters that
// shared their weights or their input by one copy for all were no faster at any size (H200, 2026-11-23).
//
// The sum of one output is made in K's order within `splits` parts, which are added in order: with `splits` fixed,
// results are batch-invariant, whatever else is chosen.
#pragma once

#include <absl/status/status.h>

#include <string>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/linear_skinny.h"

namespace swiftlet::cuda {

struct TiledConfig {
  int32_t rows = 128;      // of one block: 64, 128 or 256
  int32_t features = 128;  // of one block: what linear_tiled.cu has instances of
  int32_t splits = 1;      // parts of K
  bool serial = false;     // a block has all parts of K, one after another, instead of one
  int32_t stages = 4;      // of the ring, of 64 of K; fewer where shared memory ends

  std::string Name() const;
};

// Whether the configuration serves the layer on this device, for any number of rows: on Hopper alone.
bool TiledFits(const LaunchContext& context, const TiledConfig& config, LinearEpilogue epilogue,
               const LinearWeight& weight);

// INVALID_ARGUMENT for a configuration that does not fit.
absl::Status TiledLinear(const LaunchContext& context, const TiledConfig& config, const SkinnyArgs& args);

}  // namespace swiftlet::cuda
