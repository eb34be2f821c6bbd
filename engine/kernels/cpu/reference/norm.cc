#include "engine/kernels/norm.h"

#include <cmath>

#include "engine/kernels/cpu/reference/reference.h"

namespace swiftlet::reference {

void RmsNorm(const RmsNormArgs& args, ThreadPool&) {
  const int64_t columns = args.output.columns;
  for (int64_t row = 0; row < args.output.num_rows; ++row) {
    const float* input = args.input + (args.rows == nullptr ? row : args.rows[row]) * columns;
    float* output = reinterpret_cast<float*>(args.output.data) + row * columns;
    float squares = 0;
    for (int64_t i = 0; i < columns; ++i) squares += input[i] * input[i];
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(columns) + args.epsilon);
    for (int64_t i = 0; i < columns; ++i) output[i] = input[i] * scale * args.weight[i];
  }
}

}  // namespace swiftlet::reference
