#include "engine/kernels/cuda/linear_tensor_map.h"

#include <absl/strings/str_cat.h>
#include <cuda_runtime_api.h>

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/status_macros.h"

namespace swiftlet::cuda {

absl::StatusOr<CUtensorMap> LinearTensorMap(const __half* data, int64_t rows, int64_t columns, int box_rows,
                                            CUtensorMapL2promotion promotion) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  RETURN_IF_CUDA_ERROR(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess) return absl::UnavailableError("the driver has no cuTensorMapEncodeTiled");
  CUtensorMap map;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(columns * 2)};
  const cuuint32_t box[] = {64, static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[] = {1, 1};
  const CUresult result = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function)(
      &map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, const_cast<__half*>(data), sizes, strides, box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, promotion, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    return absl::InternalError(absl::StrCat("cuTensorMapEncodeTiled [", rows, ", ", columns, "]: ", result));
  }
  return map;
}

}  // namespace swiftlet::cuda
