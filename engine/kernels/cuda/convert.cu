#include <cuda_bf16.h>

#include <algorithm>

#include "engine/kernels/cuda/convert.h"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 2048;

__device__ __forceinline__ float LoadElement(const std::byte* source, DType dtype, int64_t index) {
  if (dtype == DType::kFloat32) return reinterpret_cast<const float*>(source)[index];
  if (dtype == DType::kFloat16) return __half2float(reinterpret_cast<const __half*>(source)[index]);
  return __bfloat162float(reinterpret_cast<const __nv_bfloat16*>(source)[index]);
}

__global__ void __launch_bounds__(kThreads) ConvertKernel(ConvertArgs args) {
  WaitForPredecessor();
  ReleaseSuccessor();
  const int64_t elements = int64_t{args.num_rows} * args.columns;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < elements; i += int64_t{gridDim.x} * kThreads) {
    const int32_t row = static_cast<int32_t>(i / args.columns), column = static_cast<int32_t>(i % args.columns);
    const int32_t from = args.source_row + row;
    const int64_t to = args.places.first_row + (args.places.in_eights ? from / 8 * 16 + from % 8 : from);
    const float value = LoadElement(args.source, args.dtype, i);
    if (args.half != nullptr) {
      args.half[to * args.stride + column] = SaturatedHalf(value);
    } else {
      args.full[to * args.stride + column] = value;
    }
  }
}

}  // namespace

absl::Status Convert(const LaunchContext& context, const ConvertArgs& args) {
  const int64_t elements = int64_t{args.num_rows} * args.columns;
  if (elements == 0) return absl::OkStatus();
  const int64_t blocks = std::min((elements + kThreads - 1) / kThreads, kMaxBlocks);
  return Launch(context, ConvertKernel, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, 1, args);
}

}  // namespace swiftlet::cuda
