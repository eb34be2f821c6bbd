// The race that draws a token: coarse noise for 16 ids from one Philox block; the few ids whose coarse noise can still
// beat the best score so far get their exact score. For each instruction set; included by sampling.cc alone.
#if defined(SWIFTLET_SAMPLING_RACE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SWIFTLET_SAMPLING_RACE_INL_H_
#undef SWIFTLET_SAMPLING_RACE_INL_H_
#else
#define SWIFTLET_SAMPLING_RACE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "engine/kernels/cpu/simd/sampling_cut-inl.h"
#include "engine/kernels/philox.h"
#include "engine/kernels/sampling.h"

HWY_BEFORE_NAMESPACE();
namespace swiftlet::simd::HWY_NAMESPACE {

using Words = hn::RebindToUnsigned<Floats>;
using W = hn::Vec<Words>;

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
inline int32_t Race(const SampleArgs& args, const Scaled& z, const Cut& cut, int64_t first_id) {
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

}  // namespace swiftlet::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
