// Where things lie in the SIMD kernels' memory. Rows are made of 4-byte units: a pair of bfloat16 neighbours along the
// summed dimension (low half first), or one float32. The micro-kernels (micro_kernel.h) multiply
//
//   rows    [units][R]   R <= 12 rows of one row block side by side, block after block
//   panels  [units][32]  32 outputs side by side, panel after panel
//
// for linear layers (panels of weights, units like the rows), attention scores (panels of 32 keys, summed over
// head_dim) and the weighted sum of values (panels of 32 dimensions, summed over the 64 tokens of a page). Attention
// keeps rows in float32 and panels in the cache's format.
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

constexpr int32_t ColumnsPerUnit(DType dtype) {
  return dtype == DType::kBFloat16 ? 2 : 1;
}
constexpr int64_t UnitsOf(DType dtype, int64_t columns) {
  return (columns + ColumnsPerUnit(dtype) - 1) / ColumnsPerUnit(dtype);
}
constexpr int64_t PanelsOf(int64_t outputs) {
  return (outputs + kPanel - 1) / kPanel;
}

// A precise bfloat16 row r is two rows of the layout: 2 r, rounded, and 2 r + 1, the rounded remainder.
constexpr int32_t LayoutRowsPerRow(DType dtype, bool precise) {
  return precise && dtype == DType::kBFloat16 ? 2 : 1;
}
constexpr int32_t LayoutRows(DType dtype, const PackedRows& rows) {
  return rows.num_rows * LayoutRowsPerRow(dtype, rows.precise);
}

// Unit u of a row is at data[u * stride].
struct UnitRow {
  uint32_t* data;
  int64_t stride;
};

inline UnitRow RowOf(DType dtype, const PackedRows& rows, int32_t layout_row) {
  const int64_t units = UnitsOf(dtype, rows.columns);
  const int32_t block = layout_row / kRowBlock;
  const int32_t rows_in_block = std::min(kRowBlock, LayoutRows(dtype, rows) - block * kRowBlock);
  return {rows.data + block * kRowBlock * units + layout_row % kRowBlock, rows_in_block};
}

// One (page, kv head), in elements: 2 panels of keys [head_dim][32 tokens], then the panels of values
// [64 tokens][32 dimensions].
constexpr int64_t KeyPageElements(int32_t head_dim) {
  return int64_t{head_dim} * kKvBlockTokens;
}
constexpr int64_t ValuePageElements(int32_t head_dim) {
  return PanelsOf(head_dim) * kPanel * kKvBlockTokens;
}

}  // namespace swiftlet::simd
