// Our own linear layers for few rows, where reading the weights is all of the time. Weights stand on the M side of the
// tensor cores' m16n8k16, tokens on the N side. Every warp streams its own weights through a private ring in shared
// memory; each lane copies just the 16-byte pieces that it multiplies later, so the ring needs no barrier, and it is
// filled before WaitForPredecessor(). Warps of a block, and blocks of a cluster, split K; their partial sums are added
// in a fixed order.
//
// The sum of one output is made in an order that depends on the configuration and the shape of the weight alone, not on
// the number of rows: with the configuration fixed, results are batch-invariant.
#pragma once

#include <absl/status/status.h>

#include <string>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/linear.h"

namespace swiftlet::cuda {

struct SkinnyConfig {
  int32_t row_tiles = 1;      // tiles of 16 output features that one warp has: 1 or 2
  int32_t row_warps = 1;      // warps side by side over output features
  int32_t k_warps = 8;        // warps that split K
  int32_t cluster = 1;        // blocks that split K; more than 1 from sm_90 on
  int32_t stages = 4;         // depth of a ring, in pieces of 32 of K: 4 or 8
  int32_t blocks_per_sm = 1;  // resident blocks that the tiles are dealt to
  int32_t max_tokens = 64;    // rows that share one pass over the weights: 8 on Hopper's way, else 16, 32 or 64 too

  int32_t warps() const { return row_warps * k_warps; }
  int32_t tile_rows() const { return 16 * row_tiles * row_warps; }
  std::string Name() const;
};

enum class LinearEpilogue : uint8_t { kStore, kAddTo, kSwiglu };

struct SkinnyArgs {
  LinearArgs linear;
  LinearEpilogue epilogue = LinearEpilogue::kStore;
  float scale = 1;              // kAddTo
  const float* bias = nullptr;  // kAddTo and kSwiglu, or null
  __half* output = nullptr;     // kStore and kSwiglu
  float* residual = nullptr;    // kAddTo
};

// Whether the configuration serves the weight on this device, for any number of rows.
bool SkinnyFits(const LaunchContext& context, const SkinnyConfig& config, const LinearWeight& weight);

// INVALID_ARGUMENT for a configuration that does not fit.
absl::Status SkinnyLinear(const LaunchContext& context, const SkinnyConfig& config, const SkinnyArgs& args);

}  // namespace swiftlet::cuda
