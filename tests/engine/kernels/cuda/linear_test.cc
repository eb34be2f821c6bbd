// Linear layers on the GPU against float64 sums on the host. Skipped, with a note, where there is no GPU.
#include "engine/kernels/cuda/linear.h"

#include <absl/strings/str_cat.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "engine/base/cuda/cuda_status.h"
#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/base/cuda/stream.h"
#include "engine/kernels/cuda/linear_skinny.h"
#include "engine/kernels/cuda/linear_stream.h"
#include "engine/kernels/cuda/linear_tiled.h"

namespace swiftlet::cuda {
namespace {

constexpr float kTolerance = 2e-3f;
constexpr float kScale = 32;

struct Shape {
  LinearEpilogue epilogue;
  LinearRole role;
  int32_t out_features, in_features;
  bool bias;
};

// A case on the device: random weights, input, bias and residual, outputs poisoned with NaN.
class LinearCase {
 public:
  LinearCase(const Shape& shape, int32_t max_rows) : shape_(shape) {
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
    if (shape.bias) bias_device_ = Upload(bias_.data(), bias_.size() * sizeof(float));
    residual_device_ = Upload(residual_.data(), residual_.size() * sizeof(float));
    output_device_ = *DeviceBuffer::Allocate(int64_t{max_rows} * shape.out_features * sizeof(__half));
    scratch_device_ = *DeviceBuffer::Allocate(int64_t{max_rows} * shape.out_features * sizeof(__half));
  }

  SkinnyArgs Args(int32_t rows) const {
    return {.linear = {.input = input_device_.as<__half>(),
                       .weight = {weight_device_.as<__half>(), shape_.out_features, shape_.in_features},
                       .num_rows = rows},
            .epilogue = shape_.epilogue,
            .scale = kScale,
            .bias = shape_.bias ? bias_device_.as<float>() : nullptr,
            .output = output_device_.as<__half>(),
            .residual = residual_device_.as<float>()};
  }

  // Through LinearKernels.
  absl::Status Run(LinearKernels& kernels, const LaunchContext& context, int32_t rows) const {
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

  int32_t out_width() const {
    return shape_.epilogue == LinearEpilogue::kSwiglu ? shape_.out_features / 2 : shape_.out_features;
  }

  // Poisons, runs, and returns [rows, out_width] as floats.
  std::vector<float> Outputs(const std::function<absl::Status()>& run, const Stream& stream, int32_t rows) {
    EXPECT_EQ(cudaMemset(output_device_.data(), 0xFF, output_device_.size()), cudaSuccess);
    EXPECT_EQ(cudaMemset(scratch_device_.data(), 0xFF, scratch_device_.size()), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(residual_device_.data(), residual_.data(), residual_device_.size(), cudaMemcpyHostToDevice),
              cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    const absl::Status status = run();
    EXPECT_TRUE(status.ok()) << status;
    const absl::Status done = stream.Synchronize();
    EXPECT_TRUE(done.ok()) << done;
    std::vector<float> values(int64_t{rows} * out_width());
    if (shape_.epilogue == LinearEpilogue::kAddTo) {
      EXPECT_EQ(
          cudaMemcpy(values.data(), residual_device_.data(), values.size() * sizeof(float), cudaMemcpyDeviceToHost),
          cudaSuccess);
    } else {
      std::vector<__half> halves(values.size());
      EXPECT_EQ(
          cudaMemcpy(halves.data(), output_device_.data(), halves.size() * sizeof(__half), cudaMemcpyDeviceToHost),
          cudaSuccess);
      for (size_t i = 0; i < values.size(); ++i) values[i] = __half2float(halves[i]);
    }
    return values;
  }

  double Expected(int32_t row, int32_t column) const {
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

  // Every output where the case is small, else a few thousand at random: ||out - expected|| / ||expected||, and no
  // output that is poisoned. Returns "" or what is wrong.
  std::string Check(const std::vector<float>& values, int32_t rows) const {
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

  // Every output against another version's. Returns "" or what is wrong.
  std::string CheckSame(const std::vector<float>& values, const std::vector<float>& others, bool bitwise) const {
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

 private:
  // Numbers that float16 has, of the given deviation.
  static std::vector<float> Halves(int64_t count, float scale, std::mt19937& random) {
    std::vector<float> values(count);
    for (float& value : values) {
      const uint32_t bits = random();  // the sum of two uniform numbers: quick, and spread enough
      value = scale * (static_cast<float>(bits & 0xFFFF) + static_cast<float>(bits >> 16) - 65535.f) / 26755.f;
      value = __half2float(__float2half(value));
    }
    return values;
  }
  static DeviceBuffer UploadHalves(const std::vector<float>& values) {
    std::vector<__half> halves(values.size());
    for (size_t i = 0; i < values.size(); ++i) halves[i] = __float2half(values[i]);
    return Upload(halves.data(), halves.size() * sizeof(__half));
  }
  static DeviceBuffer Upload(const void* data, size_t bytes) {
    DeviceBuffer buffer = *DeviceBuffer::Allocate(bytes);
    EXPECT_EQ(cudaMemcpy(buffer.data(), data, bytes, cudaMemcpyHostToDevice), cudaSuccess);
    return buffer;
  }
  double Dot(int32_t row, int32_t feature) const {
    const float* x = &input_[int64_t{row} * shape_.in_features];
    const float* w = &weight_[int64_t{feature} * shape_.in_features];
    double sum = 0;
    for (int32_t k = 0; k < shape_.in_features; ++k) sum += double{x[k]} * w[k];
    return sum;
  }

  const Shape shape_;
  std::vector<float> weight_, input_, bias_, residual_;
  DeviceBuffer weight_device_, input_device_, bias_device_, residual_device_, output_device_, scratch_device_;
};

const Shape kShapes[] = {
    {LinearEpilogue::kStore, LinearRole::kQkv, 2048, 1536, false},
    {LinearEpilogue::kAddTo, LinearRole::kOutput, 1536, 1536, false},
    {LinearEpilogue::kSwiglu, LinearRole::kGateUp, 17920, 1536, false},
    {LinearEpilogue::kAddTo, LinearRole::kDown, 1536, 8960, false},
    {LinearEpilogue::kStore, LinearRole::kHead, 9496, 1536, false},
    {LinearEpilogue::kStore, LinearRole::kQkv, 512, 256, false},
    {LinearEpilogue::kAddTo, LinearRole::kOutput, 256, 256, true},
    {LinearEpilogue::kSwiglu, LinearRole::kGateUp, 1408, 256, true},
    {LinearEpilogue::kSwiglu, LinearRole::kGateUp, 1280, 256, false},
    {LinearEpilogue::kAddTo, LinearRole::kDown, 256, 704, true},
    {LinearEpilogue::kAddTo, LinearRole::kDown, 256, 640, false},
    {LinearEpilogue::kStore, LinearRole::kHead, 520, 264, false},  // neither a multiple of 16, nor of 32
    {LinearEpilogue::kAddTo, LinearRole::kDown, 24, 8, true},
};
constexpr int32_t kRows[] = {1, 2, 7, 8, 9, 31, 32, 33, 64, 65, 128, 200, 256, 1000};

std::string Name(const Shape& shape, int32_t rows) {
  return absl::StrCat("[", shape.out_features, ", ", shape.in_features, "] epilogue ", static_cast<int>(shape.epilogue),
                      shape.bias ? " bias" : "", ", ", rows, " rows");
}

class Linear : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<Device> device = OpenDevice(0);
    if (!device.ok()) GTEST_SKIP() << device.status();
    device_ = *std::move(device);
    stream_ = *Stream::Create();
    absl::StatusOr<std::unique_ptr<LinearKernels>> kernels = LinearKernels::Create(device_, "");
    ASSERT_TRUE(kernels.ok()) << kernels.status();
    kernels_ = *std::move(kernels);
    context_.stream = stream_.get();
    context_.device = &device_;
  }

  Device device_;
  Stream stream_;
  std::unique_ptr<LinearKernels> kernels_;
  LaunchContext context_;
};

TEST_F(Linear, EqualsFloat64Sums) {
  for (const Shape& shape : kShapes) {
    LinearCase test(shape, 1000);
    for (const int32_t rows : kRows) {
      const auto values = test.Outputs([&] { return test.Run(*kernels_, context_, rows); }, stream_, rows);
      EXPECT_EQ(test.Check(values, rows), "") << Name(shape, rows);
    }
  }
  std::printf("%s\n", kernels_->Description().c_str());
}

TEST_F(Linear, PortableKernelsEqualFloat64Sums) {
  context_.generic = true;
  context_.deterministic = true;
  for (const Shape& shape : kShapes) {
    LinearCase test(shape, 1000);
    for (const int32_t rows : kRows) {
      const auto values = test.Outputs([&] { return test.Run(*kernels_, context_, rows); }, stream_, rows);
      EXPECT_EQ(test.Check(values, rows), "") << Name(shape, rows);
    }
  }
}

TEST_F(Linear, DeterministicRowDoesNotDependOnTheOthers) {
  context_.deterministic = true;
  for (const Shape& shape : kShapes) {
    constexpr int32_t kMost = 1024;
    LinearCase test(shape, kMost);
    const auto all = test.Outputs([&] { return test.Run(*kernels_, context_, kMost); }, stream_, kMost);
    EXPECT_EQ(test.Check(all, kMost), "") << Name(shape, kMost);
    for (const int32_t rows : {1, 7, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 200, 256, 257, 512, 513}) {
      const auto values = test.Outputs([&] { return test.Run(*kernels_, context_, rows); }, stream_, rows);
      EXPECT_EQ(test.CheckSame(values, all, true), "") << Name(shape, rows);
    }
  }
}

// Every configuration that a bench may choose: all outputs against the fixed one's, and twice the same bits.
TEST_F(Linear, EverySkinnyConfigurationGivesTheSame) {
  const SkinnyConfig kConfigs[] = {
      {.row_tiles = 1, .row_warps = 1, .k_warps = 16, .cluster = 1, .stages = 8},
      {.row_tiles = 1, .row_warps = 4, .k_warps = 4, .cluster = 4, .stages = 4},
      {.row_tiles = 1, .row_warps = 3, .k_warps = 4, .cluster = 4, .stages = 8},
      {.row_tiles = 2, .row_warps = 3, .k_warps = 5, .cluster = 8, .stages = 4},
      {.row_tiles = 2, .row_warps = 4, .k_warps = 2, .cluster = 2, .stages = 4},
      {.row_tiles = 2, .row_warps = 2, .k_warps = 4, .cluster = 1, .stages = 4, .blocks_per_sm = 2},
      {.row_tiles = 1, .row_warps = 8, .k_warps = 1, .cluster = 1, .stages = 8},
  };
  int ran = 0;
  for (const Shape& shape : kShapes) {
    LinearCase test(shape, 200);
    for (const int32_t rows : {1, 13, 50, 200}) {
      const auto expected = test.Outputs([&] { return test.Run(*kernels_, context_, rows); }, stream_, rows);
      for (SkinnyConfig config : kConfigs) {
        if (config.cluster > 1 && device_.compute_capability < 90) continue;
        for (const int32_t tokens : {8, 32, 64}) {
          if (tokens < 64 && tokens < rows / 4) continue;
          config.max_tokens = tokens;
          bool refused = false;
          const auto run = [&] {
            const absl::Status status = SkinnyLinear(context_, config, test.Args(rows));
            refused = absl::IsInvalidArgument(status);
            return refused ? absl::OkStatus() : status;
          };
          const auto values = test.Outputs(run, stream_, rows);
          if (refused) continue;  // too much shared memory
          ++ran;
          EXPECT_EQ(test.CheckSame(values, expected, false), "") << config.Name() << " " << Name(shape, rows);
          const auto again = test.Outputs(run, stream_, rows);
          EXPECT_EQ(test.CheckSame(again, values, true), "") << config.Name() << " twice " << Name(shape, rows);
        }
      }
    }
  }
  std::printf("%d runs\n", ran);
}

TEST_F(Linear, StreamEqualsTheOthersAndDependsOnTheClusterAlone) {
  if (device_.compute_capability != 90) GTEST_SKIP() << "for Hopper alone";
  int ran = 0;
  for (const Shape& shape : kShapes) {
    LinearCase test(shape, kMaxStreamRows);
    const auto expected = test.Outputs([&] { return test.Run(*kernels_, context_, 64); }, stream_, 64);
    for (const int32_t cluster : {1, 2, 3, 5, 8}) {
      const auto run = [&](const StreamConfig& config, int32_t rows) {
        return test.Outputs([&] { return StreamLinear(context_, config, test.Args(rows)); }, stream_, rows);
      };
      if (!StreamFits(context_, {cluster, 16}, test.Args(1).linear.weight)) continue;
      const auto all = run({cluster, 16}, 64);
      EXPECT_EQ(test.CheckSame(all, expected, false), "") << cluster << " " << Name(shape, 64);
      for (const int32_t rows : {1, 8, 13, 16, 27, 32, 33, 64}) {
        for (const int32_t slots : {4, 7, 24}) {
          const auto values = run({cluster, slots}, rows);
          EXPECT_EQ(test.CheckSame(values, all, true), "") << cluster << " slots " << slots << " " << Name(shape, rows);
          ++ran;
        }
      }
    }
  }
  std::printf("%d runs\n", ran);
}

TEST_F(Linear, EveryTiledConfigurationGivesTheSame) {
  if (device_.compute_capability != 90) GTEST_SKIP() << "for Hopper alone";
  int ran = 0;
  for (const Shape& shape : kShapes) {
    LinearCase test(shape, shape.out_features > 2048 ? 200 : 1000);
    for (const int32_t rows : {3, 65, 200, 300, 1000}) {
      if (rows > 200 && shape.out_features > 2048) continue;
      const auto expected = test.Outputs([&] { return test.Run(*kernels_, context_, rows); }, stream_, rows);
      for (const int32_t tile_rows : {64, 128, 256}) {
        for (int32_t features = 16; features <= 256; features += 16) {
          for (const auto& [splits, serial] :
               {std::tuple{1, false}, {2, false}, {3, false}, {4, false}, {8, false}, {3, true}, {4, true}}) {
            const TiledConfig config = {tile_rows, features, splits, serial, splits == 3 ? 3 : 6};
            bool refused = false;
            const auto values = test.Outputs(
                [&] {
                  const absl::Status status = TiledLinear(context_, config, test.Args(rows));
                  refused = absl::IsInvalidArgument(status);
                  return refused ? absl::OkStatus() : status;
                },
                stream_, rows);
            if (refused) continue;
            ++ran;
            EXPECT_EQ(test.CheckSame(values, expected, false), "") << config.Name() << " " << Name(shape, rows);
          }
        }
      }
    }
  }
  std::printf("%d runs\n", ran);
}

TEST_F(Linear, TiledSumsDependOnTheSplitsAlone) {
  if (device_.compute_capability != 90) GTEST_SKIP() << "for Hopper alone";
  for (const Shape& shape : kShapes) {
    const int32_t most = shape.out_features > 2048 ? 300 : 1024;
    LinearCase test(shape, most);
    for (const int32_t splits : {1, 4, 8}) {
      std::vector<float> all;
      for (const bool serial : {false, true}) {
        for (const int32_t tile_rows : {64, 128, 256}) {
          for (int32_t features = 16; features <= 256; features += 16) {
            const TiledConfig config = {tile_rows, features, splits, serial, 4};
            if (!TiledFits(context_, config, shape.epilogue, test.Args(1).linear.weight)) continue;
            for (const int32_t rows : {most, 1, 7, 64, 65, 300}) {
              if (rows != most && (serial || features > 144)) continue;
              auto values = test.Outputs([&] { return TiledLinear(context_, config, test.Args(rows)); }, stream_, rows);
              if (all.empty()) {
                all = std::move(values);
                EXPECT_EQ(test.Check(all, rows), "") << config.Name() << " " << Name(shape, rows);
              } else {
                EXPECT_EQ(test.CheckSame(values, all, true), "") << config.Name() << " " << Name(shape, rows);
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace swiftlet::cuda
