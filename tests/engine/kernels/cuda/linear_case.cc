#include "tests/engine/kernels/cuda/linear_case.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "tests/engine/kernels/cuda/device_fixture.h"

namespace swiftlet::cuda {
namespace {

constexpr float kTolerance = 2e-3f;
constexpr float kScale = 32;

// Numbers that float16 has, of the given deviation.
std::vector<float> Halves(int64_t count, float scale, std::mt19937& random) {
  std::vector<float> values(count);
  for (float& value : values) {
    const uint32_t bits = random();  // the sum of two uniform numbers: quick, and spread enough
    value = scale * (static_cast<float>(bits & 0xFFFF) + static_cast<float>(bits >> 16) - 65535.f) / 26755.f;
    value = __half2float(__float2half(value));
  }
  return values;
}

DeviceBuffer UploadHalves(const std::vector<float>& values) {
  std::vector<__half> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) halves[i] = __float2half(values[i]);
  return Upload(halves);
}

}  // namespace

LinearCase::LinearCase(const LinearShape& shape, int32_t max_rows) : shape_(shape) {
  std::mt19937 random(shape.out_features * 31 + shape.in_features * 7 + static_cast<int>(shape.epilogue));
  std::normal_distribution<float> normal;
  weight_ = Halves(int64_t{shape.out_features} * shape.in_features, 1 / std::sqrt(float(shape.in_features)), random);
  input_ = Halves(int64_t{max_rows} * shape.in_features, 1, random);
  if (shape.bias) {
    for (int32_t i = 0; i < shape.out_features; ++i) bias_.push_back(normal(random));
  }
  if (shape.epilogue == LinearEpilogue::kAddTo) {
    for (int64_t i = 0; i < int64_t{max_rows} * shape.out_features; ++i) residual_.push_back(normal(random));
  }
  weight_device_ = UploadHalves(weight_);
  input_device_ = UploadHalves(input_);
  if (shape.bias) bias_device_ = Upload(bias_);
  residual_device_ = Upload(residual_);
  output_device_ = *DeviceBuffer::Allocate(int64_t{max_rows} * shape.out_features * sizeof(__half));
  scratch_device_ = *DeviceBuffer::Allocate(int64_t{max_rows} * shape.out_features * sizeof(__half));
}

SkinnyArgs LinearCase::Args(int32_t rows) const {
  return {.linear = {.input = input_device_.as<__half>(),
                     .weight = {weight_device_.as<__half>(), shape_.out_features, shape_.in_features},
                     .num_rows = rows},
          .epilogue = shape_.epilogue,
          .scale = kScale,
          .bias = shape_.bias ? bias_device_.as<float>() : nullptr,
          .output = output_device_.as<__half>(),
          .residual = residual_device_.as<float>()};
}

absl::Status LinearCase::Run(LinearKernels& kernels, const LaunchContext& context, int32_t rows) const {
  const SkinnyArgs args = Args(rows);
  switch (shape_.epilogue) {
    case LinearEpilogue::kStore:
      return kernels.Store(context, shape_.role, args.linear, args.output);
    case LinearEpilogue::kAddTo:
      return kernels.AddTo(context, shape_.role, args.linear, args.scale, args.bias, args.residual);
    case LinearEpilogue::kSwiglu:
      return kernels.GateUp(context, args.linear, args.bias, scratch_device_.as<__half>(), args.output);
  }
  return absl::InternalError("epilogue");
}

std::vector<float> LinearCase::Outputs(const std::function<absl::Status()>& run, const Stream& stream, int32_t rows) {
  EXPECT_EQ(cudaMemset(output_device_.data(), 0xFF, output_device_.size()), cudaSuccess);
  EXPECT_EQ(cudaMemset(scratch_device_.data(), 0xFF, scratch_device_.size()), cudaSuccess);
  EXPECT_EQ(
      cudaMemcpy(residual_device_.data(), residual_.data(), residual_.size() * sizeof(float), cudaMemcpyHostToDevice),
      cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const absl::Status status = run();
  EXPECT_TRUE(status.ok()) << status;
  const absl::Status done = stream.Synchronize();
  EXPECT_TRUE(done.ok()) << done;
  std::vector<float> values(int64_t{rows} * out_width());
  if (shape_.epilogue == LinearEpilogue::kAddTo) {
    EXPECT_EQ(cudaMemcpy(values.data(), residual_device_.data(), values.size() * sizeof(float), cudaMemcpyDeviceToHost),
              cudaSuccess);
  } else {
    std::vector<__half> halves(values.size());
    EXPECT_EQ(cudaMemcpy(halves.data(), output_device_.data(), halves.size() * sizeof(__half), cudaMemcpyDeviceToHost),
              cudaSuccess);
    for (size_t i = 0; i < values.size(); ++i) values[i] = __half2float(halves[i]);
  }
  return values;
}

double LinearCase::Expected(int32_t row, int32_t column) const {
  if (shape_.epilogue == LinearEpilogue::kAddTo) {
    return residual_[int64_t{row} * shape_.out_features + column] + kScale * Dot(row, column) +
           (shape_.bias ? bias_[column] : 0);
  }
  if (shape_.epilogue == LinearEpilogue::kStore) return Dot(row, column);
  const int32_t gate_row = column / 8 * 16 + column % 8, up_row = gate_row + 8;
  const double gate = Dot(row, gate_row) + (shape_.bias ? bias_[gate_row] : 0);
  const double up = Dot(row, up_row) + (shape_.bias ? bias_[up_row] : 0);
  return gate / (1 + std::exp(-gate)) * up / kMlpScale;
}

std::string LinearCase::Check(const std::vector<float>& values, int32_t rows) const {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::StrCat("not finite at row ", i / out_width(), " column ", i % out_width());
    }
  }
  const int64_t total = values.size();
  const int64_t samples = std::min<int64_t>(total, std::max<int64_t>(1000, 8'000'000 / shape_.in_features));
  std::mt19937_64 random(rows);
  double error = 0, size = 0, worst = 0;
  int64_t worst_at = 0;
  for (int64_t i = 0; i < samples; ++i) {
    const int64_t at = samples == total ? i : static_cast<int64_t>(random() % total);
    const int32_t row = at / out_width(), column = at % out_width();
    const double expected = Expected(row, column), difference = values[at] - expected;
    error += difference * difference;
    size += expected * expected;
    if (std::abs(difference) > worst) {
      worst = std::abs(difference);
      worst_at = at;
    }
  }
  const double relative = std::sqrt(error / size), typical = std::sqrt(size / samples);
  if (relative <= kTolerance && worst <= 0.02 * typical) return "";
  const int32_t row = worst_at / out_width(), column = worst_at % out_width();
  return absl::StrCat("relative error ", relative, "; worst at row ", row, " column ", column, ": expected ",
                      Expected(row, column), ", got ", values[worst_at], "; typical ", typical);
}

std::string LinearCase::CheckSame(const std::vector<float>& values, const std::vector<float>& others,
                                  bool bitwise) const {
  double size = 0;
  for (float value : others) size += double{value} * value;
  const double typical = std::sqrt(size / others.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const bool same = bitwise ? std::memcmp(&values[i], &others[i], sizeof(float)) == 0
                              : std::abs(values[i] - others[i]) <= 0.01 * typical + 2e-3 * std::abs(others[i]);
    if (!same) {
      return absl::StrCat("row ", i / out_width(), " column ", i % out_width(), ": ", values[i], " and ", others[i],
                          "; typical ", typical);
    }
  }
  return "";
}

double LinearCase::Dot(int32_t row, int32_t feature) const {
  const float* x = &input_[int64_t{row} * shape_.in_features];
  const float* w = &weight_[int64_t{feature} * shape_.in_features];
  double sum = 0;
  for (int32_t k = 0; k < shape_.in_features; ++k) sum += double{x[k]} * w[k];
  return sum;
}

}  // namespace swiftlet::cuda
