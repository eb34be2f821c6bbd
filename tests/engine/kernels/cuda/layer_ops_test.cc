#include "engine/kernels/cuda/layer_ops.h"

#include <cmath>
#include <limits>
#include <random>

#include "tests/engine/kernels/cuda/device_fixture.h"

namespace swiftlet::cuda {
namespace {

class LayerOps : public DeviceFixture {
 protected:
  std::vector<__half> Halves(size_t count, float deviation) {
    std::vector<__half> values(count);
    for (__half& value : values) value = __float2half(deviation * normal_(generator_));
    return values;
  }
  std::vector<float> Floats(size_t count, float deviation) {
    std::vector<float> values(count);
    for (float& value : values) value = deviation * normal_(generator_);
    return values;
  }

  std::mt19937 generator_{7};
  std::normal_distribution<float> normal_;
};

float Saturated(double value) {
  return std::isnan(value) ? std::numeric_limits<float>::quiet_NaN()
                           : static_cast<float>(std::clamp(value, -65504.0, 65504.0));
}

TEST_F(LayerOps, EmbeddingCopiesTheRowsOfTheIds) {
  for (const int hidden : {8, 64, 1536, 4096}) {
    constexpr int kVocab = 300, kTokens = 37;
    const std::vector<__half> weight = Halves(size_t{kVocab} * hidden, 1);
    std::vector<int32_t> ids(kTokens);
    for (int32_t& id : ids) id = static_cast<int32_t>(generator_() % kVocab);
    ids[3] = kVocab - 1;
    const DeviceBuffer device_weight = Upload(weight), device_ids = Upload(ids);
    const DeviceBuffer residual = Poisoned(sizeof(float) * kTokens * hidden);
    ASSERT_TRUE(Embedding(Context(),
                          {device_weight.as<__half>(), device_ids.as<int32_t>(), residual.as<float>(), kTokens, hidden})
                    .ok());
    const std::vector<float> found = Download<float>(residual, size_t{kTokens} * hidden);
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i], __half2float(weight[ids[i / hidden] * size_t(hidden) + i % hidden])) << hidden << " " << i;
    }
  }
}

TEST_F(LayerOps, RmsNormFollowsTheFormula) {
  for (const int hidden : {8, 64, 896, 1536, 2048, 3584, 5120, 8192, 16384, 32768}) {
    for (const bool gathered : {false, true}) {
      constexpr int kRows = 9;
      std::vector<float> residual = Floats(size_t{kRows} * hidden, 3);
      residual[5 * size_t(hidden) + 3] = 3e6f;  // leaves float16 with this weight
      residual[7 * size_t(hidden) + 2] = std::numeric_limits<float>::quiet_NaN();
      for (int c = 0; c < hidden; ++c) residual[2 * size_t(hidden) + c] = 0;
      std::vector<float> weight = Floats(hidden, 1);
      weight[3] = 1e5f;
      std::vector<int32_t> rows(kRows);
      for (int r = 0; r < kRows; ++r) rows[r] = gathered ? (r * 4 + 2) % kRows : r;
      const DeviceBuffer device_residual = Upload(residual), device_weight = Upload(weight), device_rows = Upload(rows);
      const DeviceBuffer output = Poisoned(sizeof(__half) * kRows * hidden);
      const RmsNormArgs args = {device_residual.as<float>(),
                                gathered ? device_rows.as<int32_t>() : nullptr,
                                device_weight.as<float>(),
                                output.as<__half>(),
                                kRows,
                                hidden,
                                1e-6f};
      ASSERT_TRUE(RmsNorm(Context(), args).ok());
      const std::vector<__half> found = Download<__half>(output, size_t{kRows} * hidden);
      for (int r = 0; r < kRows; ++r) {
        const float* const row = residual.data() + size_t(rows[r]) * hidden;
        double squares = 0;
        for (int c = 0; c < hidden; ++c) squares += double{row[c]} * row[c];
        const double scale = 1 / std::sqrt(squares / hidden + 1e-6);
        for (int c = 0; c < hidden; ++c) {
          const float value = __half2float(found[size_t(r) * hidden + c]);
          ASSERT_TRUE(Near(value, Saturated(row[c] * scale * weight[c]), 6e-4f, 1e-7f))
              << hidden << " row " << r << " column " << c << ": " << value << " for " << row[c] * scale * weight[c];
        }
      }
    }
  }
}

TEST_F(LayerOps, SwigluFollowsTheFormula) {
  for (const int intermediate : {8, 512, 8960}) {
    for (const bool biased : {false, true}) {
      for (const int rows : {1, 3, 65}) {
        std::vector<__half> gate_up = Halves(2 * size_t(rows) * intermediate, 4);
        gate_up[0] = __float2half(60000.0f);  // silu(60000) * 60000 saturates even after the division
        gate_up[8] = __float2half(60000.0f);
        gate_up[1] = __float2half(-60000.0f);
        gate_up[2] = __float2half(std::numeric_limits<float>::quiet_NaN());
        const std::vector<float> bias = Floats(2 * size_t(intermediate), 1);
        const DeviceBuffer device_gate_up = Upload(gate_up), device_bias = Upload(bias);
        const DeviceBuffer output = Poisoned(sizeof(__half) * rows * intermediate);
        ASSERT_TRUE(Swiglu(Context(), {device_gate_up.as<__half>(), biased ? device_bias.as<float>() : nullptr,
                                       output.as<__half>(), rows, intermediate})
                        .ok());
        const std::vector<__half> found = Download<__half>(output, size_t(rows) * intermediate);
        for (int r = 0; r < rows; ++r) {
          for (int i = 0; i < intermediate; ++i) {
            const int gate_at = 16 * (i / 8) + i % 8, up_at = gate_at + 8;
            const auto input = [&](int at) {
              return double{__half2float(gate_up[2 * size_t(r) * intermediate + at])} + (biased ? bias[at] : 0);
            };
            const double gate = input(gate_at);
            const float expected = Saturated(gate / (1 + std::exp(-gate)) * input(up_at) / kMlpScale);
            const float value = __half2float(found[size_t(r) * intermediate + i]);
            ASSERT_TRUE(Near(value, expected, 6e-4f, 1e-7f)) << intermediate << " bias " << biased << " row " << r
                                                             << " column " << i << ": " << value << " for " << expected;
          }
        }
      }
    }
  }
}

TEST_F(LayerOps, CopyBlockCopiesOneBlockOfEveryLayer) {
  constexpr int kLayers = 3, kBlocks = 5, kBlockBytes = 16 * 1000;
  std::vector<uint8_t> kv(size_t{kLayers} * kBlocks * kBlockBytes);
  for (uint8_t& byte : kv) byte = static_cast<uint8_t>(generator_());
  const DeviceBuffer device_kv = Upload(kv);
  ASSERT_TRUE(
      CopyBlock(Context(), {device_kv.data(), kLayers, int64_t{kBlocks} * kBlockBytes, kBlockBytes, 4, 1}).ok());
  for (int layer = 0; layer < kLayers; ++layer) {
    uint8_t* const base = kv.data() + size_t(layer) * kBlocks * kBlockBytes;
    std::copy_n(base + 4 * kBlockBytes, kBlockBytes, base + 1 * kBlockBytes);
  }
  EXPECT_EQ(Download<uint8_t>(device_kv, kv.size()), kv);
}

}  // namespace
}  // namespace swiftlet::cuda
