// Linear layers on the GPU: y = x W^T with float32 sums, and the epilogues a decoder needs. LinearKernels chooses, by
// shape and device, between cuBLASLt (linear_table.h: the algorithms found for known devices) and our own kernels
// (linear_skinny.h for few rows on any GPU; on Hopper linear_stream.h for some more and linear_tiled.h for many), in
// the one table of linear.cc.
//
// Owned by the model; one thread at a time.
#pragma once

#include <absl/status/statusor.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <memory>
#include <string>

#include "engine/kernels/cuda/launch.h"

namespace swiftlet::cuda {

// [out_features, in_features] float16, row-major, 256-byte aligned. Both are multiples of 8.
struct LinearWeight {
  const __half* data = nullptr;
  int32_t out_features = 0;
  int32_t in_features = 0;
};

struct LinearArgs {
  const __half* input = nullptr;  // [num_rows, in_features]
  LinearWeight weight;
  int32_t num_rows = 0;  // capacity of the bucket: padding is computed too
};

// Which layer it is: what the tables are made for, with the shape.
enum class LinearRole : uint8_t { kQkv, kOutput, kGateUp, kDown, kHead };

class LinearKernels {
 public:
  // Opens cuBLASLt; where it is not to be found our own kernels do everything, slower at many rows, and Description()
  // says so. `tune_cache`: a folder with tables of further devices (linear_table.h), or "".
  static absl::StatusOr<std::unique_ptr<LinearKernels>> Create(const Device& device, const std::string& tune_cache);
  virtual ~LinearKernels() = default;

  // output[r, o] = sum_k input[r, k] weight[o, k], rounded to float16. Beyond float16's range our own kernels saturate;
  // cuBLASLt stores infinity, which attention and logits carry on to where a draw fails.
  virtual absl::Status Store(const LaunchContext& context, LinearRole role, const LinearArgs& args, __half* output) = 0;
  // residual[r, o] += scale * sum_k input[r, k] weight[o, k] + bias[o]; bias may be null.
  virtual absl::Status AddTo(const LaunchContext& context, LinearRole role, const LinearArgs& args, float scale,
                             const float* bias, float* residual) = 0;
  // gate_up weights in groups of eight rows, as layer_ops.h's Swiglu says; output[r, i] likewise.
  // `scratch` holds [num_rows, out_features] float16 for the versions that need it.
  virtual absl::Status GateUp(const LaunchContext& context, const LinearArgs& args, const float* bias, __half* scratch,
                              __half* output) = 0;

  // Which kernels run, for the numerics fingerprint; and what the log says of an unknown device.
  virtual std::string Description() const = 0;
  virtual int64_t workspace_bytes() const = 0;
};

}  // namespace swiftlet::cuda
