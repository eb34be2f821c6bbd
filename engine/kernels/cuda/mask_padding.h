// The ids between a vocabulary's size and the next multiple of eight, which rows of logits are wide: never drawn.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "engine/kernels/cuda/launch.h"

namespace swiftlet::cuda {

// logits[r, i] = the least finite float16, vocab <= i < width.
struct MaskPaddingArgs {
  __half* logits = nullptr;  // [num_rows, width]
  int32_t num_rows = 0;
  int32_t width = 0;
  int32_t vocab = 0;
};
absl::Status MaskPadding(const LaunchContext& context, const MaskPaddingArgs& args);

}  // namespace swiftlet::cuda
