// Linear layers on the GPU against float64 sums on the host. Skipped, with a note, where there is no GPU.
#include "engine/kernels/cuda/linear.h"

#include <absl/strings/str_cat.h>

#include <cstdio>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/kernels/cuda/linear_skinny.h"
#include "engine/kernels/cuda/linear_stream.h"
#include "engine/kernels/cuda/linear_tiled.h"
#include "tests/engine/kernels/cuda/device_fixture.h"
#include "tests/engine/kernels/cuda/linear_case.h"

namespace swiftlet::cuda {
namespace {

const LinearShape kShapes[] = {
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

std::string Name(const LinearShape& shape, int32_t rows) {
  return absl::StrCat("[", shape.out_features, ", ", shape.in_features, "] epilogue ", static_cast<int>(shape.epilogue),
                      shape.bias ? " bias" : "", ", ", rows, " rows");
}

class Linear : public DeviceFixture {
 protected:
  void SetUp() override {
    DeviceFixture::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    absl::StatusOr<std::unique_ptr<LinearKernels>> kernels = LinearKernels::Create(device_, "");
    ASSERT_TRUE(kernels.ok()) << kernels.status();
    kernels_ = *std::move(kernels);
    context_ = Context();
  }

  std::unique_ptr<LinearKernels> kernels_;
  LaunchContext context_;
};

// One shape: what tries hundreds of configurations of each.
class LinearShapes : public Linear, public testing::WithParamInterface<LinearShape> {
 protected:
  // The model's own layers are what every kernel was made for; of the others some fit none.
  static bool OfTheModel() { return GetParam().in_features >= 1536 && GetParam().out_features % 16 == 0; }
};

INSTANTIATE_TEST_SUITE_P(Cuda, LinearShapes, testing::ValuesIn(kShapes),
                         [](const testing::TestParamInfo<LinearShape>& info) {
                           return absl::StrCat(info.param.out_features, "x", info.param.in_features);
                         });

TEST_F(Linear, EqualsFloat64Sums) {
  for (const LinearShape& shape : kShapes) {
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
  for (const LinearShape& shape : kShapes) {
    LinearCase test(shape, 1000);
    for (const int32_t rows : kRows) {
      const auto values = test.Outputs([&] { return test.Run(*kernels_, context_, rows); }, stream_, rows);
      EXPECT_EQ(test.Check(values, rows), "") << Name(shape, rows);
    }
  }
}

TEST_F(Linear, DeterministicRowDoesNotDependOnTheOthers) {
  context_.deterministic = true;
  for (const LinearShape& shape : kShapes) {
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
TEST_P(LinearShapes, EverySkinnyConfigurationGivesTheSame) {
  const SkinnyConfig kConfigs[] = {
      {.row_tiles = 1, .row_warps = 1, .k_warps = 16, .cluster = 1, .stages = 8},
      {.row_tiles = 1, .row_warps = 4, .k_warps = 4, .cluster = 4, .stages = 4},
      {.row_tiles = 1, .row_warps = 3, .k_warps = 4, .cluster = 4, .stages = 8},
      {.row_tiles = 2, .row_warps = 3, .k_warps = 5, .cluster = 8, .stages = 4},
      {.row_tiles = 2, .row_warps = 4, .k_warps = 2, .cluster = 2, .stages = 4},
      {.row_tiles = 2, .row_warps = 2, .k_warps = 4, .cluster = 1, .stages = 4, .blocks_per_sm = 2},
      {.row_tiles = 1, .row_warps = 8, .k_warps = 1, .cluster = 1, .stages = 8},
      {.row_tiles = 2, .row_warps = 1, .k_warps = 8, .cluster = 1, .stages = 8},
  };
  int ran = 0;
  const LinearShape& shape = GetParam();
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
  EXPECT_TRUE(ran > 0 || !OfTheModel());
  std::printf("%d runs\n", ran);
}

TEST_P(LinearShapes, StreamEqualsTheOthersAndDependsOnTheClusterAlone) {
  if (device_.compute_capability != 90) GTEST_SKIP() << "for Hopper alone";
  int ran = 0;
  const LinearShape& shape = GetParam();
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
  EXPECT_TRUE(ran > 0 || !OfTheModel());
  std::printf("%d runs\n", ran);
}

TEST_P(LinearShapes, EveryTiledConfigurationGivesTheSame) {
  if (device_.compute_capability != 90) GTEST_SKIP() << "for Hopper alone";
  int ran = 0;
  const LinearShape& shape = GetParam();
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
  EXPECT_TRUE(ran > 0 || !OfTheModel());
  std::printf("%d runs\n", ran);
}

TEST_P(LinearShapes, TiledSumsDependOnTheSplitsAlone) {
  if (device_.compute_capability != 90) GTEST_SKIP() << "for Hopper alone";
  const LinearShape& shape = GetParam();
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

}  // namespace
}  // namespace swiftlet::cuda
