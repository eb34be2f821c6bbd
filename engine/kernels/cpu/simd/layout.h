// Where things lie in the SIMD kernels' memory. Everything is made of 4-byte units: a pair of bfloat16 neighbours along
// the summed dimension (low half first), or one float32. One micro-kernel (micro_kernel.h) multiplies
//
//   rows    [units][R]   R <= 12 rows of one row block side by side, block after block
//   panels  [units][32]  32 outputs side by side, panel after panel
//
// and serves linear layers (panels of weights), attention scores (panels of 32 keys, summed over head_dim) and the
// weighted sum of values (panels of 32 dimensions, summed over the 64 tokens of a page).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/attention.h"
#include "engine/kernels/dtype.h"
#include "engine/kernels/packed_rows.h"

namespace swiftlet::simd {

inline constexpr int32_t kPanel = 32;
inline constexpr int32_t kRowBlock = 12;  // 12 rows x 2 vectors = 24 accumulators of 32 registers
inline constexpr int32_t kMaxHeadDim = 256;

constexpr int32_t ColumnsPerUnit(DType dtype) { return dtype == DType::kBFloat16 ? 2 : 1; }
constexpr int64_t UnitsOf(DType dtype, int64_t columns) {
  return (columns + ColumnsPerUnit(dtype) - 1) / ColumnsPerUnit(dtype);
}
constexpr int64_t PanelsOf(int64_t outputs) { return (outputs + kPanel - 1) / kPanel; }

// Unit u of a row is at data[u * stride].
struct UnitRow {
  uint32_t* data;
  int64_t stride;
};

inline UnitRow RowOf(const PackedRows& rows, int64_t units, int32_t row) {
  const int32_t block = row / kRowBlock;
  const int32_t rows_in_block = std::min(kRowBlock, rows.num_rows - block * kRowBlock);
  return {rows.data + block * kRowBlock * units + row % kRowBlock, rows_in_block};
}

// One (page, kv head): 2 panels of keys, then the panels of values.
constexpr int64_t KeyPageUnits(DType dtype, int32_t head_dim) {
  return UnitsOf(dtype, head_dim) * kKvBlockTokens;
}
constexpr int64_t ValuePageUnits(DType dtype, int32_t head_dim) {
  return UnitsOf(dtype, kKvBlockTokens) * PanelsOf(head_dim) * kPanel;
}

}  // namespace swiftlet::simd
