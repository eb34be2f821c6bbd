#include "engine/kernels/linear.h"

#include <cmath>

#include "engine/base/check.h"
#include "engine/kernels/cpu/reference/reference.h"

namespace swiftlet::reference {
namespace {

float Dot(const float* a, const float* b, int32_t count) {
  float sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

const float* Row(const PackedRows& rows, int32_t row) {
  return reinterpret_cast<const float*>(rows.data) + static_cast<int64_t>(row) * rows.columns;
}

float Output(const LinearWeight& weight, const float* input, int32_t out) {
  const float* row = weight.data.as<float>() + static_cast<int64_t>(out) * weight.in_features;
  return Dot(input, row, weight.in_features) + (weight.bias.empty() ? 0.0f : weight.bias[out]);
}

}  // namespace

size_t LinearWeightBytes(int32_t out_features, int32_t in_features) {
  return sizeof(float) * static_cast<size_t>(out_features) * static_cast<size_t>(in_features);
}

size_t PackedRowsBytes(int32_t num_rows, int32_t columns, bool) {
  return sizeof(float) * static_cast<size_t>(num_rows) * static_cast<size_t>(columns);
}

void PackWeight(const PackWeightArgs& args) {
  const int64_t columns = args.weight->in_features;
  float* out = args.weight->data.as<float>() + args.first_row * columns;
  for (int64_t i = 0; i < args.num_rows * columns; ++i) out[i] = LoadAsFloat(args.source, args.dtype, i);
}

void Embedding(const EmbeddingArgs& args, ThreadPool&) {
  const int64_t columns = args.weight->in_features;
  for (int32_t row = 0; row < args.num_rows; ++row) {
    const float* from = args.weight->data.as<float>() + args.token_ids[row] * columns;
    std::copy(from, from + columns, args.hidden + row * columns);
  }
}

void Linear(const LinearArgs& args, ThreadPool& pool) {
  CHECK(args.input.columns == args.weight->in_features)
      << "columns " << args.input.columns << ", in_features " << args.weight->in_features;
  pool.Run(args.input.num_rows, [&](int64_t row) {
    const float* input = Row(args.input, static_cast<int32_t>(row));
    float* output = args.output + row * args.output_stride;
    for (int32_t out = 0; out < args.weight->out_features; ++out) {
      const float sum = Output(*args.weight, input, out);
      output[out] = args.accumulate ? output[out] + sum : sum;
    }
  });
}

void Swiglu(const SwigluArgs& args, ThreadPool& pool) {
  pool.Run(args.input.num_rows, [&](int64_t row) {
    const float* input = Row(args.input, static_cast<int32_t>(row));
    float* output = const_cast<float*>(Row(args.output, static_cast<int32_t>(row)));
    for (int32_t out = 0; out < args.gate->out_features; ++out) {
      const float gate = Output(*args.gate, input, out);
      output[out] = gate / (1.0f + std::exp(-gate)) * Output(*args.up, input, out);
    }
  });
}

}  // namespace swiftlet::reference
