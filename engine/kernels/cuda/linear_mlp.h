// The two linear layers of an MLP at a few rows as one kernel on Hopper: what a kernel's end and the next one's
// beginning cost is a tenth of their time otherwise. Every warp streams its weights, of gate and up and then of down,
// through one ring that never runs dry; between the two the blocks of the grid wait for each other, and while they do
// the ring fills with weights of down.
//
// A barrier over the grid needs all its blocks resident at once. There is one block for each multiprocessor, and
// FusedMlp refuses where one does not fit. The launch is cooperative: the device starts all of its blocks or none,
// whatever other streams have running, and a graph keeps that. Between its own neighbours in the stream nothing can
// hold it up either. Those before it do not wait for it, so that they leave their multiprocessors in finite time; those
// after it start when all of its blocks have called ReleaseSuccessor(), which means that all of them are resident. By
// the same rule no block of it starts before all blocks of the kernels before it are resident.
//
// Sums of one output are made in an order that depends on the shapes alone, but in no other kernel's: `deterministic`,
// whose rows may be many, cannot have it.
#pragma once

#include <absl/status/status.h>

#include <cstdint>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/linear.h"

namespace swiftlet::cuda {

inline constexpr int32_t kMaxMlpRows = 8;

// residual[r, :] += kMlpScale * down(activated[r, :]) + down_bias, activated[r, :] = swiglu(gate_up(input[r, :])) /
// kMlpScale. Biases may be null.
struct FusedMlpArgs {
  const __half* input = nullptr;  // [num_rows, hidden]
  LinearWeight gate_up;           // in groups of eight rows, as layer_ops.h's Swiglu says
  const float* gate_up_bias = nullptr;
  __half* activated = nullptr;  // [num_rows, intermediate]
  LinearWeight down;
  const float* down_bias = nullptr;
  float* residual = nullptr;  // [num_rows, hidden]
  int32_t num_rows = 0;
  // Of blocks at the barrier, ever: on the device, zero before the first call, and of calls in one stream on one
  // device.
  uint64_t* arrivals = nullptr;
};

// Whether the layers fit the kernel on this device, for so many rows.
bool FusedMlpFits(const LaunchContext& context, const LinearWeight& gate_up, const LinearWeight& down,
                  int32_t num_rows);

// INVALID_ARGUMENT for what does not fit.
absl::Status FusedMlp(const LaunchContext& context, const FusedMlpArgs& args);

}  // namespace swiftlet::cuda
