// Where min_p, top_k and top_p cut a row, without a sort: count or mass above eight pivots at once; the values between
// two of them are copied out and searched likewise, until few or equal ones are left. For each instruction set;
// included by sampling.cc alone.
#if defined(SWIFTLET_SAMPLING_CUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SWIFTLET_SAMPLING_CUT_INL_H_
#undef SWIFTLET_SAMPLING_CUT_INL_H_
#else
#define SWIFTLET_SAMPLING_CUT_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "engine/kernels/cpu/simd/sampling_row-inl.h"
#include "engine/kernels/sampling.h"

#ifndef SWIFTLET_SAMPLING_CUT_ONCE
#define SWIFTLET_SAMPLING_CUT_ONCE
namespace swiftlet::simd {

// Ids kept: those with a value above `value`, and those equal to it up to `last_id`.
struct Cut {
  float value = -std::numeric_limits<float>::infinity();
  int32_t last_id = std::numeric_limits<int32_t>::max();
};

constexpr int kPivots = 8;
// Distances of the first pivots below the largest value: log-weights that cut real and random rows alike.
constexpr float kFirstPivots[kPivots] = {1, 2.5f, 4, 5.5f, 7, 8.5f, 10, 13};
constexpr int64_t kFew = 256;  // so many are sorted

}  // namespace swiftlet::simd
#endif

HWY_BEFORE_NAMESPACE();
namespace swiftlet::simd::HWY_NAMESPACE {

using Ints = hn::RebindToSigned<Floats>;

// Values as the contract has them: z = y * inverse temperature.
struct Scaled {
  const float* row;
  int64_t count;
  float inverse_temperature;
  float max;  // largest z
  float At(int64_t id) const { return row[id] * inverse_temperature; }
};

// Where values and their ids come from: the whole row, or a list copied out of it, ids rising in both.
struct FromRow {
  const Scaled& z;
  int64_t count() const { return z.count; }
  V Values(int64_t i) const {
    return hn::Mul(hn::LoadU(Floats(), z.row + i), hn::Set(Floats(), z.inverse_temperature));
  }
  hn::Vec<Ints> Ids(int64_t i) const { return hn::Iota(Ints(), static_cast<int32_t>(i)); }
  float Value(int64_t i) const { return z.At(i); }
  int32_t Id(int64_t i) const { return static_cast<int32_t>(i); }
};
struct FromList {
  const SampleScratch& list;
  int64_t count() const { return list.size; }
  V Values(int64_t i) const { return hn::LoadU(Floats(), list.values.data() + i); }
  hn::Vec<Ints> Ids(int64_t i) const { return hn::LoadU(Ints(), list.ids.data() + i); }
  float Value(int64_t i) const { return list.values[i]; }
  int32_t Id(int64_t i) const { return list.ids[i]; }
};

// Copies what is in [low, high) and within `cut` to the list, which may be the source itself.
template <typename Source>
void CopyOut(const Source& source, float low, float high, const Cut& cut, SampleScratch& list) {
  const Floats d;
  const Ints di;
  const int64_t count = source.count();
  list.values.resize(std::max<size_t>(list.values.size(), count + kLanes));
  list.ids.resize(list.values.size());
  V vector_least = hn::Set(d, std::numeric_limits<float>::infinity()), vector_most = hn::Neg(vector_least);
  int64_t size = 0, i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const V value = source.Values(i);
    auto keep = hn::And(hn::And(hn::Ge(value, hn::Set(d, low)), hn::Lt(value, hn::Set(d, high))),
                        hn::Ge(value, hn::Set(d, cut.value)));
    if (hn::AllFalse(d, keep)) continue;
    const auto ids = source.Ids(i);
    const auto beyond =
        hn::And(hn::Eq(value, hn::Set(d, cut.value)), hn::RebindMask(d, hn::Gt(ids, hn::Set(di, cut.last_id))));
    keep = hn::And(keep, hn::Not(beyond));
    vector_least = hn::Min(vector_least, hn::IfThenElse(keep, value, vector_least));
    vector_most = hn::Max(vector_most, hn::IfThenElse(keep, value, vector_most));
    // Compressed in registers: storing under a compressing mask is microcode on Zen 4. What is written beyond the kept
    // lanes lies within what was read, or in the padding.
    hn::StoreU(hn::Compress(ids, hn::RebindMask(di, keep)), di, list.ids.data() + size);
    hn::StoreU(hn::Compress(value, keep), d, list.values.data() + size);
    size += static_cast<int64_t>(hn::CountTrue(d, keep));
  }
  list.least = hn::GetLane(hn::MinOfLanes(d, vector_least));
  list.most = hn::GetLane(hn::MaxOfLanes(d, vector_most));
  for (; i < count; ++i) {
    const float value = source.Value(i);
    const int32_t id = source.Id(i);
    if (!(value >= low && value < high && value >= cut.value) || (value == cut.value && id > cut.last_id)) continue;
    list.values[size] = value;
    list.ids[size++] = id;
    list.least = std::min(list.least, value);
    list.most = std::max(list.most, value);
  }
  list.size = size;
}

// What is measured of a set of ids: their number, or their mass exp(z - max).
struct Count {
  static V Of(V) { return hn::Set(Floats(), 1.0f); }
  static double Of(float, float) { return 1; }
};
struct Mass {
  static V Of(V below_max) { return hn::Exp(Floats(), below_max); }
  static double Of(float value, float max) { return std::exp(static_cast<double>(value) - max); }
};

// above[j] = measure of the values >= pivots[j], above[kPivots] = of all. Float sums of at most 64 terms a lane.
template <typename Measure, typename Source>
void MeasureAbove(const Source& source, float max, const float* pivots, double* above) {
  const Floats d;
  const int64_t count = source.count();
  std::fill_n(above, kPivots + 1, 0.0);
  const V shift = hn::Set(d, max);
  int64_t i = 0;
  while (i + kLanes <= count) {
    V sums[kPivots + 1];
    for (V& sum : sums) sum = hn::Zero(d);  // in registers, if the loops over them are unrolled
    for (int k = 0; k < 64 && i + kLanes <= count; ++k, i += kLanes) {
      const V value = source.Values(i);
      const V weight = Measure::Of(hn::Sub(value, shift));
      sums[kPivots] = hn::Add(sums[kPivots], weight);
#pragma GCC unroll 8
      for (int j = 0; j < kPivots; ++j) {
        sums[j] = hn::Add(sums[j], hn::IfThenElseZero(hn::Ge(value, hn::Set(d, pivots[j])), weight));
      }
    }
#pragma GCC unroll 9
    for (int j = 0; j <= kPivots; ++j) above[j] += hn::GetLane(hn::SumOfLanes(d, sums[j]));
  }
  for (; i < count; ++i) {
    const float value = source.Value(i);
    const double weight = Measure::Of(value, max);
    above[kPivots] += weight;
    for (int j = 0; j < kPivots; ++j) above[j] += value >= pivots[j] ? weight : 0;
  }
}

// The last one kept of the shortest beginning of `source`, in order of (z down, id up), whose measure is at least
// `target`, or `fraction` of the measure of all when target < 0. Uses up the list.
template <typename Measure, typename Source>
Cut FindCut(const Source& source, float max, double target, double fraction, SampleScratch& list) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float pivots[kPivots];
  double above[kPivots + 1];
  for (int j = 0; j < kPivots; ++j) pivots[j] = max - kFirstPivots[j];
  MeasureAbove<Measure>(source, max, pivots, above);
  if (target < 0) target = fraction * above[kPivots];

  double before = 0;  // measure of what is above the interval searched
  float low = -kInfinity, high = kInfinity;
  for (bool first = true;; first = false) {
    int j = 0;
    while (j < kPivots && before + above[j] < target) ++j;
    if (j > 0) high = pivots[j - 1];
    if (j < kPivots) low = pivots[j];
    if (j > 0) before += above[j - 1];
    first ? CopyOut(source, low, high, Cut(), list) : CopyOut(FromList{list}, low, high, Cut(), list);
    if (list.size <= kFew) break;
    if (list.least == list.most) break;
    // Evenly spaced where that is sensible; where values reach far down, ever further from the top.
    const float top = list.most, range = top - list.least;
    for (int k = 0; k < kPivots; ++k) {
      pivots[k] = range < 100 ? top - range * static_cast<float>(k + 1) / (kPivots + 1) : top - std::exp2f(2 * k);
    }
    if (!(pivots[kPivots - 1] < top)) pivots[0] = top;  // neighbouring floats: split off the largest
    MeasureAbove<Measure>(FromList{list}, max, pivots, above);
  }
  if (list.size == 0) return {low, std::numeric_limits<int32_t>::max()};  // rounding: all above the interval is kept
  if (list.size <= kFew) {
    auto& few = list.sorted;
    few.clear();
    for (int64_t i = 0; i < list.size; ++i) few.emplace_back(list.values[i], list.ids[i]);
    std::sort(few.begin(), few.end(), [](const auto& a, const auto& b) {
      return a.first > b.first || (a.first == b.first && a.second < b.second);
    });
    size_t last = 0;
    while ((before += Measure::Of(few[last].first, max)) < target && last + 1 < few.size()) ++last;
    return {few[last].first, few[last].second};
  }
  // All are equal, ids rising.
  const double needed = std::ceil((target - before) / Measure::Of(list.values[0], max));
  const auto last = static_cast<int64_t>(std::clamp(needed, 1.0, static_cast<double>(list.size))) - 1;
  return {list.values[0], list.ids[last]};
}

// The cut of min_p, top_k and top_p, one after the other on what the former left.
inline Cut FindCuts(const SampleArgs& args, const Scaled& z, SampleScratch& list) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Cut cut;
  bool in_list = false;
  if (args.min_p > 0) {
    cut.value = z.max + std::log(args.min_p);
    if (args.top_k == 0 && !(args.top_p < 1)) return cut;
    CopyOut(FromRow{z}, cut.value, kInfinity, cut, list);
    in_list = true;
  }
  if (args.top_k > 0 && args.top_k < (in_list ? list.size : z.count)) {
    cut = in_list ? FindCut<Count>(FromList{list}, z.max, args.top_k, 0, list)
                  : FindCut<Count>(FromRow{z}, z.max, args.top_k, 0, list);
    if (!(args.top_p < 1)) return cut;
    CopyOut(FromRow{z}, -kInfinity, kInfinity, cut, list);
    in_list = true;
  }
  if (!(args.top_p < 1)) return cut;
  return in_list ? FindCut<Mass>(FromList{list}, z.max, -1, args.top_p, list)
                 : FindCut<Mass>(FromRow{z}, z.max, -1, args.top_p, list);
}

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
