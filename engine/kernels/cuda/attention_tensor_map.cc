#include "engine/kernels/cuda/attention_tensor_map.h"

#include <absl/strings/str_cat.h>
#include <cuda_runtime_api.h>

#include "engine/base/cuda/cuda_status.h"

namespace swiftlet::cuda {

absl::StatusOr<CUtensorMap> KvTensorMap(const AttentionShape& shape, const KvLayer& kv, int tile_tokens, int matrices) {
  constexpr int kPageTokens = 64;
  if (kv.page_stride != static_cast<int64_t>(shape.num_kv_heads) * 2 * kPageTokens * shape.head_dim) {
    return absl::InvalidArgumentError(absl::StrCat("KV pages of ", kv.page_stride, " elements are not contiguous"));
  }
  void* symbol = nullptr;
  cudaDriverEntryPointQueryResult found;
  RETURN_IF_CUDA_ERROR(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &symbol, 12000, cudaEnableDefault, &found));
  if (symbol == nullptr) return absl::UnavailableError("the CUDA driver has no cuTensorMapEncodeTiled");
  const auto encode = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(symbol);
  CUtensorMap map;
  const auto row_bytes = static_cast<cuuint64_t>(shape.head_dim) * 2;
  // How many pages there are is not known here; nothing beyond them is ever named.
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(shape.head_dim), kPageTokens, cuuint64_t{1} << 28};
  const cuuint64_t strides[2] = {row_bytes, row_bytes * kPageTokens};
  const cuuint32_t box[3] = {64, static_cast<cuuint32_t>(tile_tokens), static_cast<cuuint32_t>(matrices)};
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult result = encode(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 3, kv.base, sizes, strides, box, steps,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    return absl::InternalError(absl::StrCat("cuTensorMapEncodeTiled: error ", static_cast<int>(result)));
  }
  return map;
}

}  // namespace swiftlet::cuda
