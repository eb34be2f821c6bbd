// How a CUDA kernel is started: on which stream, for which device, under which rules. Every operation of
// engine/kernels/cuda takes a LaunchContext first and returns the status of its launches; none waits for the device.
// All of them can be captured into a graph: what changes from step to step is read from device memory (step_view.h).
//
// Numbers: weights and activations are float16, sums and the residual stream float32. float16 rounds eight times finer
// than bfloat16 and every GPU from sm_75 on multiplies it; what could leave its range is saturated, and the activations
// of the MLP, the only ones known to come near, are kept divided by kMlpScale.
#pragma once

#include <absl/status/status.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "engine/base/cuda/device.h"

namespace swiftlet::cuda {

inline constexpr float kMlpScale = 32;  // a power of two: exact both ways

struct LaunchContext {
  cudaStream_t stream = nullptr;
  const Device* device = nullptr;
  // Only kernels whose result for a row depends on nothing but the row: no choice by batch size, fixed splits.
  bool deterministic = false;
  // The portable kernels (sm_75 on) also where better ones are there.
  bool generic = false;

  bool hopper() const { return !generic && device->compute_capability == 90; }
};

}  // namespace swiftlet::cuda
