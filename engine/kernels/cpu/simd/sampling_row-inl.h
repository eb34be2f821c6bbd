// One pass over a row of logits: the largest and where it stands, whether all are finite, the sum of exponentials. For
// each instruction set; included by the sampling files of this folder alone.
#if defined(SWIFTLET_SAMPLING_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SWIFTLET_SAMPLING_ROW_INL_H_
#undef SWIFTLET_SAMPLING_ROW_INL_H_
#else
#define SWIFTLET_SAMPLING_ROW_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#ifndef SWIFTLET_SAMPLING_ROW_ONCE
#define SWIFTLET_SAMPLING_ROW_ONCE
namespace swiftlet::simd {

struct MaxResult {
  float max;
  bool finite;
};

}  // namespace swiftlet::simd
#endif

HWY_BEFORE_NAMESPACE();
namespace swiftlet::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using V = hn::Vec<Floats>;
constexpr int kLanes = hn::MaxLanes(Floats());

inline MaxResult MaxOfRow(const float* values, int64_t count) {
  const Floats d;
  V max[4], zero[4];
  for (int k = 0; k < 4; ++k) max[k] = hn::Set(d, -std::numeric_limits<float>::infinity()), zero[k] = hn::Zero(d);
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    for (int k = 0; k < 4; ++k) {
      const V v = hn::LoadU(d, values + i + k * kLanes);
      max[k] = hn::Max(max[k], v);
      zero[k] = hn::MulAdd(v, hn::Zero(d), zero[k]);  // NaN from the first infinity or NaN on
    }
  }
  const V vector_max = hn::Max(hn::Max(max[0], max[1]), hn::Max(max[2], max[3]));
  const V vector_zero = hn::Add(hn::Add(zero[0], zero[1]), hn::Add(zero[2], zero[3]));
  MaxResult result = {hn::GetLane(hn::MaxOfLanes(d, vector_max)), true};
  float sum = hn::GetLane(hn::SumOfLanes(d, vector_zero));
  for (; i < count; ++i) {
    result.max = std::max(result.max, values[i]);
    sum += values[i] * 0;
  }
  result.finite = sum == 0;
  return result;
}

// The lowest id whose value is `value`, which is in the row.
inline int64_t FirstEqual(const float* values, int64_t count, float value) {
  const Floats d;
  const V wanted = hn::Set(d, value);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const intptr_t at = hn::FindFirstTrue(d, hn::Eq(hn::LoadU(d, values + i), wanted));
    if (at >= 0) return i + at;
  }
  while (values[i] != value) ++i;
  return i;
}

// Sum of exp(value - max). Float sums of at most 64 terms a lane, those in double.
inline double SumOfExp(const float* values, int64_t count, float max) {
  const Floats d;
  const V shift = hn::Set(d, max);
  double sum = 0;
  int64_t i = 0;
  while (i + kLanes <= count) {
    V part = hn::Zero(d);
    for (int k = 0; k < 64 && i + kLanes <= count; ++k, i += kLanes) {
      part = hn::Add(part, hn::Exp(d, hn::Sub(hn::LoadU(d, values + i), shift)));
    }
    sum += hn::GetLane(hn::SumOfLanes(d, part));
  }
  for (; i < count; ++i) sum += std::exp(values[i] - max);
  return sum;
}

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
