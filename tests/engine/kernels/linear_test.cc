#include "engine/kernels/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "tests/engine/kernels/table_driver.h"
#include "tests/testing/effort.h"

namespace swiftlet {
namespace {

struct Size {
  int32_t out, in;
};
using tests::Effort;

// Relative to the sum of |input| |weight| of an element: rounding of the inputs, then float32 sums.
double Tolerance(const KernelTable& table, bool precise) {
  return table.dtype == DType::kFloat32 || precise ? 2e-5 : 0x1p-8;
}

std::vector<float> Ones(int32_t count) {
  return std::vector<float>(count, 1.0f);
}

TEST(Linear, AgreesWithTheOracleAtOddSizes) {
  // The last spans several chunks of the summed dimension; 100 rows, several super blocks.
  const auto sizes = Effort<std::vector<Size>>({{1, 1}, {33, 7}, {64, 64}, {100, 171}, {171, 100}, {300, 2050}},
                                               {{1, 1}, {33, 7}, {100, 171}, {40, 1100}});
  const auto row_counts = Effort<std::vector<int32_t>>({1, 2, 6, 7, 12, 13, 31, 100}, {1, 7, 13, 100});
  std::mt19937 random(1);
  const KernelTable& oracle_table = **ChooseKernels(Backend::kReference, DType::kFloat32);
  const std::vector<NamedTable> tables = SimdTables();
  int cases = 0;
  for (const Size size : sizes) {
    for (const int32_t rows : row_counts) {
      const Matrix input = RandomMatrix(rows, size.in, random);
      const Matrix weight = RandomMatrix(size.out, size.in, random);
      const Matrix bias = RandomMatrix(1, size.out, random);
      Matrix magnitude(rows, size.out);
      for (int32_t r = 0; r < rows; ++r) {
        for (int32_t o = 0; o < size.out; ++o) {
          float sum = 1;
          for (int32_t k = 0; k < size.in; ++k) sum += std::fabs(input.row(r)[k] * weight.row(o)[k]);
          magnitude.row(r)[o] = sum;
        }
      }
      for (const bool precise : {false, true}) {
        const auto run = [&](const KernelTable& table, int threads) {
          TableDriver driver(table, threads);
          return driver.Linear(driver.Norm(input, Ones(size.in), precise), driver.Pack(weight, bias.values));
        };
        const Matrix expected = run(oracle_table, 1);
        for (const NamedTable& named : tables) {
          ++cases;
          const Matrix found = run(named.table, 2);
          for (int32_t r = 0; r < rows; ++r) {
            for (int32_t o = 0; o < size.out; ++o) {
              ASSERT_NEAR(found.row(r)[o], expected.row(r)[o], Tolerance(named.table, precise) * magnitude.row(r)[o])
                  << named.name << " " << size.out << " x " << size.in << ", row " << r << " of " << rows;
            }
          }
        }
      }
    }
  }
  std::printf("%d products\n", cases);
}

TEST(Linear, RowIsTheSameInEveryBatchOnAnyNumberOfThreads) {
  std::mt19937 random(2);
  int cases = 0;
  for (const NamedTable& named : SimdTables()) {
    for (const bool precise : {false, true}) {
      const Matrix weight = RandomMatrix(Effort(200, 70), 1234, random);
      const Matrix input = RandomMatrix(Effort(150, 97), 1234, random);
      TableDriver alone(named.table, 1);
      const LinearWeight packed = alone.Pack(weight);
      Matrix expected(input.rows, weight.rows);
      for (int32_t r = 0; r < input.rows; ++r) {
        Matrix row(1, input.columns);
        row.values.assign(input.row(r), input.row(r) + input.columns);
        const Matrix result = alone.Linear(alone.Norm(row, Ones(input.columns), precise), packed);
        std::copy(result.values.begin(), result.values.end(), expected.row(r));
      }
      for (const int threads : Effort<std::vector<int>>({1, 2, 3}, {1, 3})) {
        for (const int32_t rows : Effort<std::vector<int32_t>>({2, 5, 11, 12, 17, 48, 97, 150}, {2, 12, 17, 97})) {
          TableDriver batched(named.table, threads);
          Matrix part(rows, input.columns);
          part.values.assign(input.values.begin(), input.values.begin() + part.values.size());
          const Matrix result = batched.Linear(batched.Norm(part, Ones(input.columns), precise), packed);
          ASSERT_TRUE(SameBits(result.values.data(), expected.values.data(), result.values.size()))
              << named.name << ", rows " << rows << ", threads " << threads << ", precise " << precise;
          ++cases;
        }
      }
    }
  }
  std::printf("%d batches\n", cases);
}

TEST(Linear, NanStaysInItsRow) {
  std::mt19937 random(3);
  for (const NamedTable& named : SimdTables()) {
    const Matrix weight = RandomMatrix(70, 50, random);
    const Matrix clean = RandomMatrix(14, 50, random);
    Matrix poisoned = clean;
    poisoned.row(5)[17] = std::numeric_limits<float>::quiet_NaN();
    poisoned.row(9)[3] = std::numeric_limits<float>::infinity();
    TableDriver driver(named.table, 2);
    const LinearWeight packed = driver.Pack(weight);
    const Matrix expected = driver.Linear(driver.Norm(clean, Ones(50), true), packed);
    const Matrix found = driver.Linear(driver.Norm(poisoned, Ones(50), true), packed);
    for (int32_t r = 0; r < clean.rows; ++r) {
      if (r == 5 || r == 9) {
        for (int32_t o = 0; o < weight.rows; ++o) ASSERT_TRUE(std::isnan(found.row(r)[o])) << named.name;
      } else {
        ASSERT_TRUE(SameBits(found.row(r), expected.row(r), weight.rows)) << named.name << " row " << r;
      }
    }
  }
}

TEST(Swiglu, AgreesWithTheOracleAndFeedsTheNextLayer) {
  std::mt19937 random(4);
  const KernelTable& oracle_table = **ChooseKernels(Backend::kReference, DType::kFloat32);
  for (const NamedTable& named : SimdTables()) {
    for (const bool precise : {false, true}) {
      for (const int32_t rows : {1, 9, 40}) {
        const Matrix input = RandomMatrix(rows, 70, random);
        const Matrix gate = RandomMatrix(171, 70, random);
        const Matrix up = RandomMatrix(171, 70, random);
        const Matrix down = RandomMatrix(50, 171, random);
        const Matrix bias = RandomMatrix(1, 171, random);
        const auto run = [&](const KernelTable& table) {
          TableDriver driver(table, 2);
          const LinearWeight gate_weight = driver.Pack(gate, bias.values);
          const LinearWeight up_weight = driver.Pack(up, bias.values);
          const PackedRows activated = driver.Rows(rows, 171, precise);
          driver.table().swiglu({.input = driver.Norm(input, Ones(70), precise),
                                 .gate = &gate_weight,
                                 .up = &up_weight,
                                 .output = activated},
                                driver.pool());
          return driver.Linear(activated, driver.Pack(down));
        };
        const Matrix expected = run(oracle_table);
        const Matrix found = run(named.table);
        double difference = 0;
        double norm = 0;
        for (size_t i = 0; i < expected.values.size(); ++i) {
          difference += std::pow(double{found.values[i]} - expected.values[i], 2);
          norm += std::pow(double{expected.values[i]}, 2);
        }
        EXPECT_LE(std::sqrt(difference / norm), Tolerance(named.table, precise)) << named.name << " rows " << rows;
      }
    }
  }
}

TEST(Embedding, GivesTheRowsOfTheWeight) {
  std::mt19937 random(5);
  for (const NamedTable& named : SimdTables()) {
    const Matrix table = RandomMatrix(100, 77, random);
    TableDriver driver(named.table, 2);
    const LinearWeight packed = driver.Pack(table);
    const std::vector<int32_t> ids = {0, 99, 31, 32, 5, 5, 64};
    Matrix hidden(static_cast<int32_t>(ids.size()), 77);
    driver.table().embedding(
        {.weight = &packed, .token_ids = ids.data(), .num_rows = hidden.rows, .hidden = hidden.values.data()},
        driver.pool());
    for (int32_t r = 0; r < hidden.rows; ++r) {
      EXPECT_TRUE(SameBits(hidden.row(r), table.row(ids[r]), 77)) << named.name << " row " << r;
    }
  }
}

}  // namespace
}  // namespace swiftlet
