#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/mask_padding.h"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) MaskPaddingKernel(MaskPaddingArgs args) {
  WaitForPredecessor();
  ReleaseSuccessor();
  const int32_t row = static_cast<int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (row >= args.num_rows) return;
  for (int32_t i = args.vocab; i < args.width; ++i)
    args.logits[int64_t{row} * args.width + i] = __float2half(-kMaxHalf);
}

}  // namespace

absl::Status MaskPadding(const LaunchContext& context, const MaskPaddingArgs& args) {
  return Launch(context, MaskPaddingKernel, dim3((args.num_rows + kThreads - 1) / kThreads), dim3(kThreads), 0, 1,
                args);
}

}  // namespace swiftlet::cuda
