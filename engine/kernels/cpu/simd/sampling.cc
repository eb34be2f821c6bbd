// Sampling without a sort, in few passes over the row:
//   1. the largest logit, and whether all are finite
//   2. where top_k or top_p cut: count or mass above eight pivots at once; the values between two of them are copied
//   out
//      and searched likewise, until few or equal ones are left
//   3. the race: coarse noise for 16 ids from one Philox block; the few ids whose coarse noise can still beat the best
//      score so far get their exact score
#include "engine/kernels/sampling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/kernels/cpu/simd/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/cpu/simd/sampling.cc"
#include <hwy/foreach_target.h>
// after foreach_target.h
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#ifndef SWIFTLET_SAMPLING_ONCE
#define SWIFTLET_SAMPLING_ONCE
namespace swiftlet::simd {

// Ids kept: those with a value above `value`, and those equal to it up to `last_id`.
struct Cut {
  float value = -std::numeric_limits<float>::infinity();
  int32_t last_id = std::numeric_limits<int32_t>::max();
};

struct MaxResult {
  float max;
  bool finite;
};

constexpr int kPivots = 8;
// Distances of the first pivots below the largest value: log-weights that cut real and random rows alike.
constexpr float kFirstPivots[kPivots] = {1, 2.5f, 4, 5.5f, 7, 8.5f, 10, 13};
constexpr int64_t kFew = 256;  // so many are sorted

}  // namespace swiftlet::simd
#endif

HWY_BEFORE_NAMESPACE();
namespace swiftlet::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Ints = hn::RebindToSigned<Floats>;
using Words = hn::RebindToUnsigned<Floats>;
using V = hn::Vec<Floats>;
using W = hn::Vec<Words>;
constexpr int kLanes = hn::MaxLanes(Floats());

MaxResult MaxOfRow(const float* values, int64_t count) {
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
int64_t FirstEqual(const float* values, int64_t count, float value) {
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
double SumOfExp(const float* values, int64_t count, float max) {
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
Cut FindCuts(const SampleArgs& args, const Scaled& z, SampleScratch& list) {
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

#if HWY_TARGET != HWY_SCALAR  // which has neither bytes in words nor words in double words
using Bytes = hn::Repartition<uint8_t, Words>;

struct PhiloxVectors {
  W words[4];
};

HWY_INLINE PhiloxVectors PhiloxOf(Words d, W counter0, const DrawKey& key) {
  const hn::RepartitionToWide<Words> wide;
  W c[4] = {counter0, hn::Set(d, key.position), hn::Set(d, key.choice), hn::Zero(d)};
  const W multiplier0 = hn::Set(d, kPhiloxMultiplier0), multiplier1 = hn::Set(d, kPhiloxMultiplier1);
  auto key0 = static_cast<uint32_t>(key.seed), key1 = static_cast<uint32_t>(key.seed >> 32);
  const auto multiply = [&](W a, W b, W& high, W& low) HWY_ATTR {
    const auto even = hn::MulEven(a, b);
    const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, a))), b);
    low = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
    high = hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even)));
  };
  for (int round = 0; round < kPhiloxRounds; ++round) {
    W high0, low0, high1, low1;
    multiply(c[0], multiplier0, high0, low0);
    multiply(c[2], multiplier1, high1, low1);
    c[0] = hn::Xor(hn::Xor(high1, c[1]), hn::Set(d, key0));
    c[1] = low1;
    c[2] = hn::Xor(hn::Xor(high0, c[3]), hn::Set(d, key1));
    c[3] = low0;
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
  return {{c[0], c[1], c[2], c[3]}};
}
#endif

// argmax of z + Gumbel over the ids within `cut`, which hold the largest z.
int32_t Race(const SampleArgs& args, const Scaled& z, const Cut& cut, int64_t first_id) {
  static const std::array<float, 256> log_coarse = [] {
    std::array<float, 256> logs = {};
    for (size_t c = 1; c < logs.size(); ++c) logs[c] = std::log(static_cast<float>(c) / 256);
    return logs;
  }();
  const DrawKey& key = args.key;
  const auto score_of = [&](int64_t id, uint32_t coarse) {
    return z.At(id) + GumbelNoise(coarse, FineNoise(key, static_cast<uint32_t>(id)));
  };
  auto best_id = static_cast<int32_t>(first_id);
  double best = score_of(first_id, CoarseNoise(key, static_cast<uint32_t>(first_id)));
  // v >= c / 256 and -ln(1 - v) >= v: a token beats `best` only when z - ln(c / 256) > best. With c = 0, while z is
  // within ln(2^41) of it. The margins cover the rounding of z in float32.
  float floor_z = 0, floor_coarse = 0;
  const auto tighten = [&] {
    floor_z = static_cast<float>(std::max<double>(cut.value, best - 28.5));
    floor_coarse = static_cast<float>(best - 5.6);  // ln 256 = 5.545: below it only c = 0 can win
  };
  tighten();
  const auto consider = [&](int64_t id, uint32_t coarse) {
    const float value = z.At(id);
    if (value < floor_z || (value == cut.value && id > cut.last_id) || id == first_id) return;
    if (coarse > 0 && value - log_coarse[coarse] < best - 1e-3) return;
    const double score = score_of(id, coarse);
    if (score > best || (score == best && id < best_id)) {
      best = score;
      best_id = static_cast<int32_t>(id);
      tighten();
    }
  };

  int64_t base = 0;
#if HWY_TARGET != HWY_SCALAR
  const Floats d;
  const Words dw;
  const Bytes db;
  constexpr int64_t kGroup = 16 * kLanes;  // ids that one vector of Philox blocks covers
  for (; base + kGroup <= z.count; base += kGroup) {
    V max = hn::LoadU(d, z.row + base);
    for (int k = 1; k < 16; ++k) max = hn::Max(max, hn::LoadU(d, z.row + base + k * kLanes));
    max = hn::Mul(max, hn::Set(d, z.inverse_temperature));
    if (hn::AllTrue(d, hn::Lt(max, hn::Set(d, floor_z)))) continue;
    int32_t limit = 0;
    if (const float group_max = hn::GetLane(hn::MaxOfLanes(d, max)); group_max >= floor_coarse) {
      limit = static_cast<int32_t>(std::min(255.0, 256.001 * std::exp(group_max - best)));
    }
    const PhiloxVectors noise = PhiloxOf(dw, hn::Iota(dw, static_cast<uint32_t>(base / 16)), key);
    for (int word = 0; word < 4; ++word) {
      const auto bytes = hn::BitCast(db, noise.words[word]);
      const auto bound = hn::Set(db, static_cast<uint8_t>(limit));
      const auto hit = hn::Eq(hn::Min(bytes, bound), bytes);
      if (hn::AllFalse(db, hit)) continue;
      HWY_ALIGN uint8_t stored[4 * kLanes];
      hn::Store(bytes, db, stored);
      uint64_t set = 0;
      uint8_t bits[8] = {};
      hn::StoreMaskBits(db, hit, bits);
      for (int k = 0; k < 8; ++k) set |= uint64_t{bits[k]} << (8 * k);
      for (; set != 0; set &= set - 1) {
        const int at = __builtin_ctzll(set);
        consider(base + 16 * (at / 4) + 4 * word + at % 4, stored[at]);
      }
    }
  }
#endif
  for (; base < z.count; base += 16) {
    const PhiloxBlock block = Philox(key.seed, {static_cast<uint32_t>(base / 16), key.position, key.choice, 0});
    for (int64_t k = 0; k < 16 && base + k < z.count; ++k) consider(base + k, block[k / 4] >> (8 * (k % 4)) & 0xff);
  }
  return best_id;
}

MaxResult MaxImpl(const float* values, int64_t count) {
  return MaxOfRow(values, count);
}

// `max`: the largest logit after the edits.
int32_t DrawImpl(const SampleArgs& args, float max, SampleScratch& scratch) {
  const auto count = static_cast<int64_t>(args.logits.size());
  const int64_t first_id = FirstEqual(args.logits.data(), count, max);
  if (args.temperature == 0 || args.top_k == 1 || max == -std::numeric_limits<float>::infinity()) {
    return static_cast<int32_t>(first_id);
  }
  const float inverse_temperature = 1 / args.temperature;
  const Scaled z = {args.logits.data(), count, inverse_temperature, max * inverse_temperature};
  return Race(args, z, FindCuts(args, z, scratch), first_id);
}

bool ScoreImpl(std::span<const float> logits, int32_t token_id, int32_t num_top, PositionLogprobs* result) {
  const float* const row = logits.data();
  const auto count = static_cast<int64_t>(logits.size());
  const MaxResult max = MaxOfRow(row, count);
  if (!max.finite) return false;
  const double log_sum = max.max + std::log(SumOfExp(row, count, max.max));
  const auto score = [&](int32_t id) { return TokenLogprob{id, static_cast<float>(row[id] - log_sum)}; };
  result->chosen = score(token_id);
  result->top.clear();
  if (num_top <= 0) return true;

  // The best so far in order of (logit down, id up); ids come rising, so only a larger logit enters a full list.
  const auto wanted = static_cast<size_t>(std::min<int64_t>(num_top, count));
  std::array<int32_t, 32> top;
  size_t size = 0;
  const auto offer = [&](int64_t id) {
    if (size == wanted && !(row[id] > row[top[size - 1]])) return;
    size_t at = size < wanted ? size++ : wanted - 1;
    for (; at > 0 && row[id] > row[top[at - 1]]; --at) top[at] = top[at - 1];
    top[at] = static_cast<int32_t>(id);
  };
  const Floats d;
  int64_t i = 0;
  for (; i < count && size < wanted; ++i) offer(i);
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    const V a = hn::Max(hn::LoadU(d, row + i), hn::LoadU(d, row + i + kLanes));
    const V b = hn::Max(hn::LoadU(d, row + i + 2 * kLanes), hn::LoadU(d, row + i + 3 * kLanes));
    if (hn::AllTrue(d, hn::Le(hn::Max(a, b), hn::Set(d, row[top[size - 1]])))) continue;
    for (int64_t k = i; k < i + 4 * kLanes; ++k) offer(k);
  }
  for (; i < count; ++i) offer(i);
  for (size_t k = 0; k < size; ++k) result->top.push_back(score(top[k]));
  return true;
}

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace swiftlet::simd {

HWY_EXPORT(DrawImpl);
HWY_EXPORT(MaxImpl);
HWY_EXPORT(ScoreImpl);

bool ScoreToken(std::span<const float> logits, int32_t token_id, int32_t num_top, PositionLogprobs* result) {
  return HWY_DYNAMIC_DISPATCH(ScoreImpl)(logits, token_id, num_top, result);
}

namespace {

// Applies the edits of the contract to the row, remembering what they wrote over.
class RowEdits {
 public:
  RowEdits(const SampleArgs& args, SampleScratch& scratch) : logits_(args.logits), undo_(scratch.undo) {
    undo_.clear();
    for (const auto& [id, bias] : args.logit_bias) Write(id, logits_[id] + bias);
    const bool penalised = args.repetition_penalty != 1 || args.presence_penalty != 0 || args.frequency_penalty != 0;
    for (size_t i = 0; penalised && i < args.counts.size(); ++i) {
      const TokenCount& count = args.counts[i];
      float logit = logits_[count.token_id];
      if (args.repetition_penalty != 1) {
        logit = logit > 0 ? logit / args.repetition_penalty : logit * args.repetition_penalty;
      }
      logit -= args.frequency_penalty * static_cast<float>(count.output_count);
      if (count.output_count > 0) logit -= args.presence_penalty;
      Write(count.token_id, logit);
    }
    for (const int32_t id : args.forbidden_ids) Write(id, -std::numeric_limits<float>::infinity());
    for (size_t id = 0; !args.mask.empty() && id < logits_.size(); ++id) {
      if ((args.mask[id / 64] >> (id % 64) & 1) == 0) {
        Write(static_cast<int32_t>(id), -std::numeric_limits<float>::infinity());
      }
    }
  }
  bool any() const { return !undo_.empty(); }
  ~RowEdits() {
    for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) logits_[it->first] = it->second;
  }

 private:
  void Write(int32_t id, float logit) {
    undo_.emplace_back(id, logits_[id]);
    logits_[id] = logit;
  }

  const std::span<float> logits_;
  std::vector<std::pair<int32_t, float>>& undo_;
};

}  // namespace

SampleResult Sample(const SampleArgs& args, SampleScratch& scratch) {
  SampleResult result;
  const auto count = static_cast<int64_t>(args.logits.size());
  MaxResult max = HWY_DYNAMIC_DISPATCH(MaxImpl)(args.logits.data(), count);
  result.finite = max.finite;
  if (!result.finite) return result;
  {
    const RowEdits edits(args, scratch);
    if (edits.any()) max = HWY_DYNAMIC_DISPATCH(MaxImpl)(args.logits.data(), count);
    result.token_id = HWY_DYNAMIC_DISPATCH(DrawImpl)(args, max.max, scratch);
  }
  if (args.num_top >= 0) ScoreToken(args.logits, result.token_id, args.num_top, &result.logprobs);
  return result;
}

}  // namespace swiftlet::simd
#endif
