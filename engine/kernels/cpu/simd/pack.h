// float32 rows to units and back.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/kernels/cpu/simd/layout.h"
#include "engine/kernels/cpu/simd/row_ops.h"
#include "engine/kernels/dtype.h"

namespace swiftlet::simd {

// Writes columns [0, count) of `source` to units dest[0], dest[stride] ...; an odd last bfloat16 is paired with zero.
template <DType dtype>
void PackColumns(const float* source, int64_t count, uint32_t* dest, int64_t stride) {
  if constexpr (dtype == DType::kFloat32) {
    for (int64_t i = 0; i < count; ++i) dest[i * stride] = std::bit_cast<uint32_t>(source[i]);
  } else {
    constexpr int64_t kChunk = 256;
    alignas(64) uint16_t halves[kChunk];
    for (int64_t begin = 0; begin < count; begin += kChunk) {
      const int64_t columns = std::min(kChunk, count - begin);
      RoundToBFloat16(source + begin, halves, columns);
      if (columns % 2 != 0) halves[columns] = 0;  // only in the last chunk, which is then shorter than kChunk
      uint32_t* out = dest + begin / 2 * stride;
      for (int64_t unit = 0; unit < (columns + 1) / 2; ++unit) {
        uint32_t pair;
        std::memcpy(&pair, halves + 2 * unit, 4);
        out[unit * stride] = pair;
      }
    }
  }
}

// Columns [column, column + count) of one row; `column` even.
template <DType dtype>
void StoreColumns(const PackedRows& rows, int32_t row, int64_t column, const float* values, int64_t count) {
  const int32_t layout_row = row * LayoutRowsPerRow(dtype, rows.precise);
  const UnitRow out = RowOf(dtype, rows, layout_row);
  PackColumns<dtype>(values, count, out.data + column / ColumnsPerUnit(dtype) * out.stride, out.stride);
  if constexpr (dtype == DType::kBFloat16) {
    if (!rows.precise) return;
    constexpr int64_t kChunk = 256;
    alignas(64) float remainder[kChunk];
    const UnitRow low = RowOf(dtype, rows, layout_row + 1);
    for (int64_t begin = 0; begin < count; begin += kChunk) {
      const int64_t columns = std::min(kChunk, count - begin);
      BFloat16Remainder(values + begin, remainder, columns);
      PackColumns<dtype>(remainder, columns, low.data + (column + begin) / 2 * low.stride, low.stride);
    }
  }
}

template <DType dtype>
void UnpackColumns(const uint32_t* source, int64_t stride, float* dest, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (dtype == DType::kFloat32) {
      dest[i] = std::bit_cast<float>(source[i * stride]);
    } else {
      dest[i] = FloatFromBFloat16(static_cast<uint16_t>(source[i / 2 * stride] >> (i % 2 * 16)));
    }
  }
}

}  // namespace swiftlet::simd
