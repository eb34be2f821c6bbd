// Sampling without a sort, in at most three passes over the row (AMD EPYC Turin, one core, 152k ids: see
// docs/benchmarks.md):
//   1. largest logit, and whether all are finite
//   2. when top_k or top_p cut: mass and count by value bin; the bin of the cut is gathered and sorted, the rest is not
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

// Values below the largest fall into bins of equal width; the last bin takes all that is further down.
constexpr int32_t kBins = 2048;
constexpr float kBinsPerUnit = 100;  // e^-20.47 of the largest probability at the end

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

struct MaxResult {
  float max;
  bool finite;
};

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

// The bin of z, the same for vectors and scalars: one subtraction, one product, one truncation.
HWY_INLINE V BinPosition(Floats d, V z, float max) {
  const V position = hn::Mul(hn::Sub(hn::Set(d, max), z), hn::Set(d, kBinsPerUnit));
  return hn::Min(position, hn::Set(d, static_cast<float>(kBins - 1)));
}

// Mass and count of each bin over ids with z >= low. Two sets of bins, so that neighbours of equal bin do not wait for
// each other's addition.
void FillBins(const Scaled& z, float low, SampleScratch& scratch) {
  const Floats d;
  const Ints di;
  scratch.bin_mass.assign(2 * (kBins + 1), 0);
  scratch.bin_count.assign(2 * (kBins + 1), 0);
  double* const mass = scratch.bin_mass.data();
  uint32_t* const counts = scratch.bin_count.data();
  HWY_ALIGN float weights[kLanes];
  HWY_ALIGN int32_t bins[kLanes];
  const V scale = hn::Set(d, z.inverse_temperature), vector_low = hn::Set(d, low), shift = hn::Set(d, z.max);
  const auto trash = hn::Set(di, kBins);
  for (int64_t i = 0; i < z.count; i += kLanes) {
    const int64_t left = z.count - i;
    const V y = left >= kLanes ? hn::LoadU(d, z.row + i)
                               : hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(left)),
                                                hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(left)), d, z.row + i),
                                                hn::Set(d, -std::numeric_limits<float>::infinity()));
    const V value = hn::Mul(y, scale);
    const auto keep = hn::And(hn::Ge(value, vector_low), hn::Gt(value, hn::Set(d, -1e30f)));
    const auto bin = hn::ConvertTo(di, BinPosition(d, hn::IfThenElse(keep, value, shift), z.max));
    hn::Store(hn::IfThenElse(hn::RebindMask(di, keep), bin, trash), di, bins);
    hn::Store(hn::Exp(d, hn::Sub(value, shift)), d, weights);
    for (int k = 0; k < kLanes; ++k) {
      const int32_t at = 2 * bins[k] + (k & 1);
      mass[at] += static_cast<double>(weights[k]);
      ++counts[at];
    }
  }
  for (int32_t bin = 0; bin < kBins; ++bin) {
    mass[bin] = mass[2 * bin] + mass[2 * bin + 1];
    counts[bin] = counts[2 * bin] + counts[2 * bin + 1];
  }
}

// The (z, id) of one bin, in order of (z down, id up).
void GatherBin(const Scaled& z, float low, int32_t bin, SampleScratch& scratch) {
  const Floats d;
  const Ints di;
  auto& candidates = scratch.candidates;
  candidates.clear();
  const V scale = hn::Set(d, z.inverse_temperature), vector_low = hn::Set(d, low);
  int64_t i = 0;
  for (; i + kLanes <= z.count; i += kLanes) {
    const V value = hn::Mul(hn::LoadU(d, z.row + i), scale);
    const auto keep = hn::And(hn::Ge(value, vector_low), hn::Gt(value, hn::Set(d, -1e30f)));
    const auto bins = hn::ConvertTo(di, BinPosition(d, hn::IfThenElse(keep, value, hn::Set(d, z.max)), z.max));
    const auto hit = hn::And(keep, hn::RebindMask(d, hn::Eq(bins, hn::Set(di, bin))));
    if (hn::AllFalse(d, hit)) continue;
    uint8_t bits[8] = {};
    hn::StoreMaskBits(d, hit, bits);
    for (uint32_t set = bits[0] | uint32_t{bits[1]} << 8; set != 0; set &= set - 1) {
      const int64_t id = i + __builtin_ctz(set);
      candidates.emplace_back(z.At(id), static_cast<int32_t>(id));
    }
  }
  for (; i < z.count; ++i) {
    const float value = z.At(i);
    if (!(value >= low && value > -1e30f)) continue;
    const auto position = static_cast<int32_t>(hn::GetLane(BinPosition(d, hn::Set(d, value), z.max)));
    if (position == bin) candidates.emplace_back(value, static_cast<int32_t>(i));
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
}

Cut FindCut(const SampleArgs& args, const Scaled& z, float low, SampleScratch& scratch) {
  Cut cut;
  cut.value = low;
  FillBins(z, low, scratch);
  const double* const mass = scratch.bin_mass.data();
  const uint32_t* const counts = scratch.bin_count.data();

  // top_k: the first `end` bins are kept whole; of the next, the first `partial` candidates.
  int32_t end = kBins;
  size_t partial = 0;
  if (args.top_k > 0) {
    uint64_t before = 0;
    for (end = 0; end < kBins && before + counts[end] <= static_cast<uint32_t>(args.top_k); ++end)
      before += counts[end];
    partial = static_cast<size_t>(args.top_k) - before;
    if (end < kBins) {
      GatherBin(z, low, end, scratch);
      if (partial > 0) {
        cut = {scratch.candidates[partial - 1].first, scratch.candidates[partial - 1].second};
      } else {
        // The bins before are exactly top_k ids: cut just above this one.
        cut = {scratch.candidates.front().first, -1};
      }
    }
  }
  if (!(args.top_p < 1)) return cut;

  const auto weight = [&](float value) { return std::exp(static_cast<double>(value) - z.max); };
  double total = 0, partial_mass = 0;
  for (int32_t bin = 0; bin < end; ++bin) total += mass[bin];
  if (end < kBins) {
    for (size_t i = 0; i < partial; ++i) partial_mass += weight(scratch.candidates[i].first);
  }
  const double target = args.top_p * (total + partial_mass);
  double before = 0;
  int32_t bin = 0;
  while (bin < end && before + mass[bin] < target) before += mass[bin++];
  if (bin == end && end == kBins) return cut;  // all that min_p and top_k left
  if (bin < end) {
    GatherBin(z, low, bin, scratch);
    partial = scratch.candidates.size();
  }
  if (partial == 0) return cut;
  // The candidate that reaches the target is the last kept; rounding may put it past the last of the bin.
  size_t kept = 0;
  while (kept < partial && (before < target || (bin == 0 && kept == 0)))
    before += weight(scratch.candidates[kept++].first);
  if (kept == 0) kept = 1;
  return {scratch.candidates[kept - 1].first, scratch.candidates[kept - 1].second};
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
  const DrawKey& key = args.key;
  const auto score_of = [&](int64_t id, uint32_t coarse) {
    return z.At(id) + GumbelNoise(coarse, FineNoise(key, static_cast<uint32_t>(id)));
  };
  auto best_id = static_cast<int32_t>(first_id);
  double best = score_of(first_id, CoarseNoise(key, static_cast<uint32_t>(first_id)));
  // v >= c / 256 and -ln(1 - v) >= v: a token beats `best` only with c <= 256 exp(z - best). c = 0 can always win while
  // z is within ln(2^41) of it. The margins cover the rounding of exp and of z in float32.
  float floor_z = 0;
  int32_t limit = 0;
  const auto tighten = [&] {
    floor_z = static_cast<float>(std::max<double>(cut.value, best - 28.5));
    limit = static_cast<int32_t>(std::min(255.0, 256.0 * std::exp(z.max - best) * 1.0001));
  };
  tighten();
  const auto consider = [&](int64_t id, uint32_t coarse) {
    const float value = z.At(id);
    if (value < floor_z || (value == cut.value && id > cut.last_id) || id == first_id) return;
    if (coarse > 0 && coarse > 256.0 * std::exp(static_cast<double>(value) - best) * 1.0001) return;
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
        if (stored[at] > limit) continue;
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

int32_t DrawImpl(const SampleArgs& args, SampleScratch& scratch) {
  const auto count = static_cast<int64_t>(args.logits.size());
  const float max = MaxOfRow(args.logits.data(), count).max;
  const int64_t first_id = FirstEqual(args.logits.data(), count, max);
  if (args.temperature == 0 || max == -std::numeric_limits<float>::infinity()) return static_cast<int32_t>(first_id);
  const float inverse_temperature = 1 / args.temperature;
  const Scaled z = {args.logits.data(), count, inverse_temperature, max * inverse_temperature};
  Cut cut;
  cut.value = args.min_p > 0 ? z.max + std::log(args.min_p) : std::numeric_limits<float>::lowest();
  if (args.top_k == 1) return static_cast<int32_t>(first_id);
  if (args.top_k > 0 || args.top_p < 1) cut = FindCut(args, z, cut.value, scratch);
  return Race(args, z, cut, first_id);
}

bool AllFiniteImpl(const float* values, int64_t count) {
  return MaxOfRow(values, count).finite;
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

HWY_EXPORT(AllFiniteImpl);
HWY_EXPORT(DrawImpl);
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
  result.finite = HWY_DYNAMIC_DISPATCH(AllFiniteImpl)(args.logits.data(), static_cast<int64_t>(args.logits.size()));
  if (!result.finite) return result;
  {
    const RowEdits edits(args, scratch);
    result.token_id = HWY_DYNAMIC_DISPATCH(DrawImpl)(args, scratch);
  }
  if (args.num_top >= 0) ScoreToken(args.logits, result.token_id, args.num_top, &result.logprobs);
  return result;
}

}  // namespace swiftlet::simd
#endif
