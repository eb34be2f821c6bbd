#include "engine/kernels/dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/cpu/simd/row_ops.h"

namespace swiftlet {
namespace {

TEST(DType, EveryFloat16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = FloatFromFloat16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(FloatFromFloat16(Float16FromFloat(value))));
    } else {
      ASSERT_EQ(Float16FromFloat(value), bits) << value;
    }
  }
}

TEST(DType, RoundingIsToNearestWithTiesToEven) {
  EXPECT_EQ(BFloat16FromFloat(1.0f + 0x1p-8f), BFloat16FromFloat(1.0f));
  EXPECT_EQ(BFloat16FromFloat(1.0f + 0x3p-8f), BFloat16FromFloat(1.0f + 0x1p-6f));
  EXPECT_EQ(Float16FromFloat(1.0f + 0x1p-11f), Float16FromFloat(1.0f));
  EXPECT_EQ(Float16FromFloat(1.0f + 0x3p-11f), Float16FromFloat(1.0f + 0x1p-9f));
  EXPECT_EQ(FloatFromFloat16(Float16FromFloat(70000.0f)), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(FloatFromBFloat16(BFloat16FromFloat(std::bit_cast<float>(0x7f800001u)))));
}

// Vectors of any length agree with the scalar conversions bit for bit.
TEST(RowOps, VectorRoundingIsScalarRounding) {
  std::mt19937 random(1);
  for (const size_t count : {1, 15, 16, 17, 1000}) {
    std::vector<float> values(count);
    for (float& value : values) value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    std::vector<uint16_t> bfloats(count);
    std::vector<uint16_t> halves(count);
    simd::RoundToBFloat16(values.data(), bfloats.data(), static_cast<int64_t>(count));
    simd::RoundToFloat16(values.data(), halves.data(), static_cast<int64_t>(count));
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(bfloats[i], BFloat16FromFloat(values[i])) << values[i];
      if (std::isnan(values[i])) {
        ASSERT_TRUE(std::isnan(FloatFromFloat16(halves[i])));
      } else {
        ASSERT_EQ(halves[i], Float16FromFloat(std::clamp(values[i], -65504.0f, 65504.0f))) << values[i];
      }
    }
  }
}

}  // namespace
}  // namespace swiftlet
