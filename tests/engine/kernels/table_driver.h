// Runs single operations of a kernel table on plain float matrices, for tests that compare tables.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/kernels/cpu/simd/operations.h"
#include "engine/kernels/kernel_table.h"

namespace swiftlet {

struct NamedTable {
  std::string name;
  KernelTable table;
};

// Every table of the SIMD backend that this machine can run.
inline std::vector<NamedTable> SimdTables() {
  std::vector<NamedTable> tables = {{"float32", simd::Table(DType::kFloat32, true)},
                                    {"bfloat16_portable", simd::Table(DType::kBFloat16, false)}};
  if (simd::CpuHasBFloat16Dot()) tables.push_back({"bfloat16_dot", simd::Table(DType::kBFloat16, true)});
  return tables;
}

struct Matrix {
  int32_t rows = 0;
  int32_t columns = 0;
  std::vector<float> values;

  Matrix(int32_t rows, int32_t columns) : rows(rows), columns(columns), values(size_t(rows) * columns) {}
  float* row(int32_t r) { return values.data() + int64_t{r} * columns; }
  const float* row(int32_t r) const { return values.data() + int64_t{r} * columns; }
};

// Normal values that bfloat16 holds exactly, so that all tables start from the same numbers.
inline Matrix RandomMatrix(int32_t rows, int32_t columns, std::mt19937& random) {
  Matrix matrix(rows, columns);
  std::normal_distribution<float> normal;
  for (float& value : matrix.values) value = FloatFromBFloat16(BFloat16FromFloat(normal(random)));
  return matrix;
}

// One table with its pool, and activations on their way from norm to linear.
class TableDriver {
 public:
  TableDriver(const KernelTable& table, int threads) : table_(table), pool_(threads) {}

  const KernelTable& table() const { return table_; }
  ThreadPool& pool() { return pool_; }

  LinearWeight Pack(const Matrix& matrix, std::vector<float> bias = {}) const {
    LinearWeight weight{.out_features = matrix.rows,
                        .in_features = matrix.columns,
                        .data = *Buffer::Allocate(table_.linear_weight_bytes(matrix.rows, matrix.columns)),
                        .bias = std::move(bias)};
    table_.pack_weight({.weight = &weight,
                        .first_row = 0,
                        .num_rows = matrix.rows,
                        .source = reinterpret_cast<const std::byte*>(matrix.values.data()),
                        .dtype = DType::kFloat32});
    return weight;
  }

  // Room for packed rows; lives until the driver goes.
  PackedRows Rows(int32_t num_rows, int32_t columns, bool precise) {
    buffers_.push_back(*Buffer::Allocate(table_.packed_rows_bytes(num_rows, columns, precise)));
    return {buffers_.back().as<uint32_t>(), num_rows, columns, precise};
  }

  PackedRows Norm(const Matrix& input, const std::vector<float>& weight, bool precise) {
    const PackedRows rows = Rows(input.rows, input.columns, precise);
    table_.rms_norm(
        {.input = input.values.data(), .rows = nullptr, .weight = weight.data(), .epsilon = 1e-6f, .output = rows},
        pool_);
    return rows;
  }

  Matrix Linear(const PackedRows& input, const LinearWeight& weight) {
    Matrix output(input.num_rows, weight.out_features);
    table_.linear({.input = input,
                   .weight = &weight,
                   .output = output.values.data(),
                   .output_stride = weight.out_features,
                   .accumulate = false},
                  pool_);
    return output;
  }

 private:
  const KernelTable table_;
  ThreadPool pool_;
  std::vector<Buffer> buffers_;
};

inline bool SameBits(const float* a, const float* b, size_t count) {
  return std::memcmp(a, b, 4 * count) == 0;
}

}  // namespace swiftlet
