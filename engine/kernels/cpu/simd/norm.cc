#include "engine/kernels/norm.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/cpu/simd/layout.h"
#include "engine/kernels/cpu/simd/operations.h"
#include "engine/kernels/cpu/simd/pack.h"
#include "engine/kernels/cpu/simd/parallel.h"
#include "engine/kernels/cpu/simd/row_ops.h"

namespace swiftlet::simd {

template <typename Format>
void Operations<Format>::RmsNorm(const RmsNormArgs& args, ThreadPool& pool) {
  constexpr int64_t kChunk = 512;
  const int64_t columns = args.output.columns;
  const double estimated_ns = 0.5 * static_cast<double>(columns * args.output.num_rows);
  ParallelFor(pool, args.output.num_rows, estimated_ns, [&](int64_t row) {
    alignas(64) float normed[kChunk];
    const float* input = args.input + (args.rows == nullptr ? row : args.rows[row]) * columns;
    const float mean = SumOfSquares(input, columns) / static_cast<float>(columns);
    const float scale = 1.0f / std::sqrt(mean + args.epsilon);
    for (int64_t begin = 0; begin < columns; begin += kChunk) {
      const int64_t count = std::min(kChunk, columns - begin);
      ScaleByWeight(input + begin, args.weight + begin, scale, normed, count);
      StoreColumns<Format::kDType>(args.output, static_cast<int32_t>(row), begin, normed, count);
    }
  });
}

template void Operations<BFloat16Dot>::RmsNorm(const RmsNormArgs&, ThreadPool&);
template void Operations<BFloat16Portable>::RmsNorm(const RmsNormArgs&, ThreadPool&);
template void Operations<Float32>::RmsNorm(const RmsNormArgs&, ThreadPool&);

}  // namespace swiftlet::simd
