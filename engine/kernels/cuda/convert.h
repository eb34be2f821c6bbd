// Rows of a checkpoint on their way into the weights: from the three storage formats to float16 (saturated) or float32.
#pragma once

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/dtype.h"

namespace swiftlet::cuda {

// Row r of the destination: first_row + r, or, `in_eights`, first_row + (r / 8) * 16 + r % 8: the rows of gate or up
// between those of the other (layer_ops.h).
struct RowPlaces {
  int32_t first_row = 0;
  bool in_eights = false;
};

struct ConvertArgs {
  const std::byte* source = nullptr;  // [num_rows, columns] of `dtype`, on the device
  DType dtype = DType::kBFloat16;
  int32_t source_row = 0;  // r of the first row of `source`
  int32_t num_rows = 0;
  int32_t columns = 0;
  RowPlaces places;
  int64_t stride = 0;      // elements between rows of the destination
  __half* half = nullptr;  // the destination: this one
  float* full = nullptr;   // or this one
};
absl::Status Convert(const LaunchContext& context, const ConvertArgs& args);

}  // namespace swiftlet::cuda
