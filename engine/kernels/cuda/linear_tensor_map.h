// A matrix as sm_90's copy engine reads it for the warpgroup matrix instruction.
#pragma once

#include <absl/status/statusor.h>
#include <cuda.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace swiftlet::cuda {

// [rows, columns] float16, row-major, columns a multiple of 8. A box is 64 columns of box_rows rows, 128 bytes a row
// with the 128-byte swizzle; what lies outside the matrix reads as 0.
absl::StatusOr<CUtensorMap> LinearTensorMap(const __half* data, int64_t rows, int64_t columns, int box_rows,
                                            CUtensorMapL2promotion promotion = CU_TENSOR_MAP_L2_PROMOTION_L2_128B);

}  // namespace swiftlet::cuda
