// A linear layer with random numbers on the device, and the float64 sums that it should give.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"
#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/linear_skinny.h"

namespace swiftlet::cuda {

struct LinearShape {
  LinearEpilogue epilogue;
  LinearRole role;
  int32_t out_features, in_features;
  bool bias;
};

// A case on the device: random weights, input, bias and residual, outputs poisoned with NaN.
class LinearCase {
 public:
  LinearCase(const LinearShape& shape, int32_t max_rows);

  SkinnyArgs Args(int32_t rows) const;

  // Through LinearKernels.
  absl::Status Run(LinearKernels& kernels, const LaunchContext& context, int32_t rows) const;

  int32_t out_width() const {
    return shape_.epilogue == LinearEpilogue::kSwiglu ? shape_.out_features / 2 : shape_.out_features;
  }

  // Poisons, runs, and returns [rows, out_width] as floats.
  std::vector<float> Outputs(const std::function<absl::Status()>& run, const Stream& stream, int32_t rows);

  double Expected(int32_t row, int32_t column) const;

  // Every output where the case is small, else a few thousand at random: ||out - expected|| / ||expected||, and no
  // output that is poisoned. Returns "" or what is wrong.
  std::string Check(const std::vector<float>& values, int32_t rows) const;

  // Every output against another version's. Returns "" or what is wrong.
  std::string CheckSame(const std::vector<float>& values, const std::vector<float>& others, bool bitwise) const;

 private:
  double Dot(int32_t row, int32_t feature) const;

  const LinearShape shape_;
  std::vector<float> weight_, input_, bias_, residual_;
  DeviceBuffer weight_device_, input_device_, bias_device_, residual_device_, output_device_, scratch_device_;
};

}  // namespace swiftlet::cuda
