// Vector arithmetic on short float rows, with run-time dispatch: what the operations need around the micro-kernel.
// Each result depends on its row alone; sums are taken in an order fixed by `count` and the instruction set.
#pragma once

#include <cstdint>
#include <string_view>

namespace swiftlet::simd {

// Name of the instruction set that these functions (and the portable micro-kernels) run on.
std::string_view DispatchedTarget();

float SumOfSquares(const float* values, int64_t count);
// out = in * scale * weight
void ScaleByWeight(const float* in, const float* weight, float scale, float* out, int64_t count);
void Scale(float* values, float factor, int64_t count);
// values += addend
void Add(float* values, const float* addend, int64_t count);
// out = in + (bias, or nothing when null), added to what is in `out` when `accumulate`.
void FinishLinear(const float* in, const float* bias, bool accumulate, float* out, int64_t count);
// gate = silu(gate + gate_bias) * (up + up_bias); the biases may be null.
void SiluMultiply(float* gate, const float* up, const float* gate_bias, const float* up_bias, int64_t count);
// Nearest, ties to even; NaN stays NaN.
void RoundToBFloat16(const float* in, uint16_t* out, int64_t count);
// out = in - (in rounded to bfloat16); exact
void BFloat16Remainder(const float* in, float* out, int64_t count);
// Nearest, ties to even; beyond the range the largest number, NaN stays NaN.
void RoundToFloat16(const float* in, uint16_t* out, int64_t count);
// (x, y) = (x cos - y sin, y cos + x sin) for x = head[i], y = head[i + half]; cos_sin = half cosines, half sines.
void RotateHalves(float* head, const float* cos_sin, int64_t half);

// One page of an online softmax. Of `scores`, the first `valid` (1 .. 64) count: they become exp(score - maximum), the
// rest zero, with `maximum` raised to the largest score so far. `total` becomes the sum of all exponentials so far.
// Returns the factor that brings what was summed before to the new maximum.
float SoftmaxPage(float* scores, int32_t valid, float& maximum, float& total);

}  // namespace swiftlet::simd
