#include "engine/kernels/cpu/simd/row_ops.h"

#include <cmath>

#include "engine/kernels/cpu/simd/highway_targets.h"
#include "engine/kernels/dtype.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/cpu/simd/row_ops.cc"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace swiftlet::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using V = hn::Vec<Floats>;
constexpr int kLanes = hn::MaxLanes(Floats());

std::string_view Target() {
  return hwy::TargetName(HWY_TARGET);
}

float SumOfSquaresImpl(const float* values, int64_t count) {
  const Floats d;
  V sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    for (int k = 0; k < 4; ++k) {
      const V v = hn::LoadU(d, values + i + k * kLanes);
      sums[k] = hn::MulAdd(v, v, sums[k]);
    }
  }
  for (; i + kLanes <= count; i += kLanes) {
    const V v = hn::LoadU(d, values + i);
    sums[0] = hn::MulAdd(v, v, sums[0]);
  }
  float tail = 0;
  for (; i < count; ++i) tail += values[i] * values[i];
  const V sum = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  return hn::GetLane(hn::SumOfLanes(d, sum)) + tail;
}

void ScaleByWeightImpl(const float* in, const float* weight, float scale, float* out, int64_t count) {
  const Floats d;
  const V factor = hn::Set(d, scale);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, in + i), factor), hn::LoadU(d, weight + i)), d, out + i);
  }
  for (; i < count; ++i) out[i] = in[i] * scale * weight[i];
}

void ScaleImpl(float* values, float factor, int64_t count) {
  const Floats d;
  const V f = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, values + i), f), d, values + i);
  for (; i < count; ++i) values[i] *= factor;
}

void AddImpl(float* values, const float* addend, int64_t count) {
  const Floats d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, values + i), hn::LoadU(d, addend + i)), d, values + i);
  }
  for (; i < count; ++i) values[i] += addend[i];
}

void FinishLinearImpl(const float* in, const float* bias, bool accumulate, float* out, int64_t count) {
  const Floats d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V v = hn::LoadU(d, in + i);
    if (bias != nullptr) v = hn::Add(v, hn::LoadU(d, bias + i));
    if (accumulate) v = hn::Add(hn::LoadU(d, out + i), v);
    hn::StoreU(v, d, out + i);
  }
  for (; i < count; ++i) {
    const float v = in[i] + (bias == nullptr ? 0.0f : bias[i]);
    out[i] = accumulate ? out[i] + v : v;
  }
}

V Silu(V x) {
  const Floats d;
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), hn::Exp(d, hn::Neg(x))));
}

void SiluMultiplyImpl(float* gate, const float* up, const float* gate_bias, const float* up_bias, int64_t count) {
  const Floats d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V g = hn::LoadU(d, gate + i);
    V u = hn::LoadU(d, up + i);
    if (gate_bias != nullptr) g = hn::Add(g, hn::LoadU(d, gate_bias + i));
    if (up_bias != nullptr) u = hn::Add(u, hn::LoadU(d, up_bias + i));
    hn::StoreU(hn::Mul(Silu(g), u), d, gate + i);
  }
  for (; i < count; ++i) {
    const float g = gate[i] + (gate_bias == nullptr ? 0.0f : gate_bias[i]);
    const float u = up[i] + (up_bias == nullptr ? 0.0f : up_bias[i]);
    gate[i] = g / (1.0f + std::exp(-g)) * u;
  }
}

// The bfloat16 nearest to each value, in the low halves.
hn::Vec<hn::RebindToUnsigned<Floats>> NearestBFloat16(V v) {
  const hn::RebindToUnsigned<Floats> du;
  const auto bits = hn::BitCast(du, v);
  const auto upper = hn::ShiftRight<16>(bits);
  const auto rounding = hn::Add(hn::Set(du, 0x7fffu), hn::And(upper, hn::Set(du, 1u)));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, rounding));
  const auto quiet = hn::Or(upper, hn::Set(du, 0x40u));
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, rounded);
}

void RoundToBFloat16Impl(const float* in, uint16_t* out, int64_t count) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const hn::Rebind<uint16_t, Floats> du16;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto halves = NearestBFloat16(hn::LoadU(d, in + i));
    hn::StoreU(hn::DemoteTo(du16, hn::BitCast(di, halves)), du16, out + i);
  }
  for (; i < count; ++i) out[i] = BFloat16FromFloat(in[i]);
}

void BFloat16RemainderImpl(const float* in, float* out, int64_t count) {
  const Floats d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const V v = hn::LoadU(d, in + i);
    hn::StoreU(hn::Sub(v, hn::BitCast(d, hn::ShiftLeft<16>(NearestBFloat16(v)))), d, out + i);
  }
  for (; i < count; ++i) out[i] = in[i] - FloatFromBFloat16(BFloat16FromFloat(in[i]));
}

void RoundToFloat16Impl(const float* in, uint16_t* out, int64_t count) {
  const Floats d;
  const hn::Rebind<hwy::float16_t, Floats> d16;
  const hn::Rebind<uint16_t, Floats> du16;
  constexpr float kLargest = 65504;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const V v = hn::LoadU(d, in + i);
    const V clamped = hn::Min(hn::Max(v, hn::Set(d, -kLargest)), hn::Set(d, kLargest));
    hn::StoreU(hn::BitCast(du16, hn::DemoteTo(d16, hn::IfThenElse(hn::IsNaN(v), v, clamped))), du16, out + i);
  }
  for (; i < count; ++i) {
    out[i] = Float16FromFloat(std::isnan(in[i]) ? in[i] : std::fmin(std::fmax(in[i], -kLargest), kLargest));
  }
}

void RotateHalvesImpl(float* head, const float* cos_sin, int64_t half) {
  const Floats d;
  int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const V x = hn::LoadU(d, head + i);
    const V y = hn::LoadU(d, head + half + i);
    const V cos = hn::LoadU(d, cos_sin + i);
    const V sin = hn::LoadU(d, cos_sin + half + i);
    hn::StoreU(hn::Sub(hn::Mul(x, cos), hn::Mul(y, sin)), d, head + i);
    hn::StoreU(hn::Add(hn::Mul(y, cos), hn::Mul(x, sin)), d, head + half + i);
  }
  for (; i < half; ++i) {
    const float x = head[i];
    const float y = head[half + i];
    head[i] = x * cos_sin[i] - y * cos_sin[half + i];
    head[half + i] = y * cos_sin[i] + x * cos_sin[half + i];
  }
}

float SoftmaxPageImpl(float* scores, int32_t valid, float& maximum, float& total) {
  const Floats d;
  constexpr int kVectors = 64 / kLanes;
  const V lowest = hn::Set(d, -INFINITY);
  const V limit = hn::Set(d, static_cast<float>(valid));
  V largest = lowest;
  for (int v = 0; v < kVectors; ++v) {
    const auto counts = hn::Lt(hn::Iota(d, static_cast<float>(v * kLanes)), limit);
    const V masked = hn::IfThenElse(counts, hn::LoadU(d, scores + v * kLanes), lowest);
    largest = hn::Max(largest, masked);
  }
  const float new_maximum = std::fmax(maximum, hn::GetLane(hn::MaxOfLanes(d, largest)));
  const float factor = std::exp(maximum - new_maximum);
  maximum = new_maximum;
  const V shift = hn::Set(d, new_maximum);
  V sum = hn::Zero(d);
  for (int v = 0; v < kVectors; ++v) {
    const auto counts = hn::Lt(hn::Iota(d, static_cast<float>(v * kLanes)), limit);
    const V exponential = hn::Exp(d, hn::Sub(hn::LoadU(d, scores + v * kLanes), shift));
    const V weight = hn::IfThenElseZero(counts, exponential);
    hn::StoreU(weight, d, scores + v * kLanes);
    sum = hn::Add(sum, weight);
  }
  total = total * factor + hn::GetLane(hn::SumOfLanes(d, sum));
  return factor;
}

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace swiftlet::simd {

HWY_EXPORT(Target);
HWY_EXPORT(SumOfSquaresImpl);
HWY_EXPORT(ScaleByWeightImpl);
HWY_EXPORT(ScaleImpl);
HWY_EXPORT(FinishLinearImpl);
HWY_EXPORT(SiluMultiplyImpl);
HWY_EXPORT(AddImpl);
HWY_EXPORT(RoundToBFloat16Impl);
HWY_EXPORT(BFloat16RemainderImpl);
HWY_EXPORT(RoundToFloat16Impl);
HWY_EXPORT(RotateHalvesImpl);
HWY_EXPORT(SoftmaxPageImpl);

std::string_view DispatchedTarget() {
  return HWY_DYNAMIC_DISPATCH(Target)();
}

float SumOfSquares(const float* values, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(SumOfSquaresImpl)(values, count);
}

void ScaleByWeight(const float* in, const float* weight, float scale, float* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(ScaleByWeightImpl)(in, weight, scale, out, count);
}

void Scale(float* values, float factor, int64_t count) {
  HWY_DYNAMIC_DISPATCH(ScaleImpl)(values, factor, count);
}

void FinishLinear(const float* in, const float* bias, bool accumulate, float* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(FinishLinearImpl)(in, bias, accumulate, out, count);
}

void SiluMultiply(float* gate, const float* up, const float* gate_bias, const float* up_bias, int64_t count) {
  HWY_DYNAMIC_DISPATCH(SiluMultiplyImpl)(gate, up, gate_bias, up_bias, count);
}

void RoundToBFloat16(const float* in, uint16_t* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(RoundToBFloat16Impl)(in, out, count);
}

void BFloat16Remainder(const float* in, float* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(BFloat16RemainderImpl)(in, out, count);
}

void RoundToFloat16(const float* in, uint16_t* out, int64_t count) {
  HWY_DYNAMIC_DISPATCH(RoundToFloat16Impl)(in, out, count);
}

void Add(float* values, const float* addend, int64_t count) {
  HWY_DYNAMIC_DISPATCH(AddImpl)(values, addend, count);
}

void RotateHalves(float* head, const float* cos_sin, int64_t half) {
  HWY_DYNAMIC_DISPATCH(RotateHalvesImpl)(head, cos_sin, half);
}

float SoftmaxPage(float* scores, int32_t valid, float& maximum, float& total) {
  return HWY_DYNAMIC_DISPATCH(SoftmaxPageImpl)(scores, valid, maximum, total);
}

}  // namespace swiftlet::simd
#endif
