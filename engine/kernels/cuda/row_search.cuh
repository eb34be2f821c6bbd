// Finds where top_k and top_p cut a row, without sorting it: histograms over ever narrower ranges of keys, then of ids
// among equals. Masses are integers, so that the order of summation does not matter. Included by .cu files alone.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/philox.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

// Kept: keys above `key`, and of those equal to it the ids up to `last_id`.
struct Cut {
  uint32_t key;
  int32_t last_id;

  __device__ __forceinline__ bool Keeps(uint32_t other, int32_t id) const {
    return other > key || (other == key && id <= last_id);
  }
};

// What min_p keeps of a row with this largest value.
template <typename Row>
__device__ Cut CutByDepth(const Row& row, const SamplingRow& sampling, float most) {
  Cut cut = {Row::Key(-FLT_MAX), 0x7fffffff};
  if (sampling.log_min_p == -INFINITY) return cut;
  // The lowest key with z >= max z + ln(min_p).
  const float least = __fadd_rn(__fmul_rn(most, row.scale), sampling.log_min_p);
  uint32_t low = cut.key, high = Row::Key(most);
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (__fmul_rn(Row::OfKey(middle), row.scale) >= least) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  cut.key = low;
  return cut;
}

inline constexpr int kSearchBits = 9;  // a round resolves so many
inline constexpr int kSearchBins = 1 << kSearchBits;

struct SearchShared {
  unsigned long long bins[kSearchBins];   // of this block
  unsigned long long total[kSearchBins];  // of the team
  unsigned long long warps[kTeamWarps];
  unsigned long long before;
  int bin;
};

// Weights are exp(z - max z); masses are their sums in units of 2^-34: exact in a double, too.
inline constexpr float kMassUnit = 17179869184.0f;

template <typename Row>
__device__ __forceinline__ float WeightOf(const Row& row, float value, float max_value) {
  return Exp2((value - max_value) * (row.scale * kLog2E));
}

__device__ __forceinline__ unsigned long long MassOfWeight(float weight) {
  return __float2ull_rn(weight * kMassUnit);
}

// So that range >> shift is a bin.
__device__ __forceinline__ int ShiftOf(uint32_t range) {
  return max(0, 32 - __clz(static_cast<int>(range)) - kSearchBits);
}

// The first of shared.total at whose end the sum is at least `target`, -1 for none; shared.before is the sum before it.
// Called by all threads of the block.
__device__ inline int FindBin(SearchShared& shared, unsigned long long target) {
  constexpr int kPerThread = kSearchBins / kTeamThreads;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  unsigned long long mine[kPerThread], sum = 0;
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) sum += mine[k] = shared.total[kPerThread * threadIdx.x + k];
  unsigned long long inclusive = sum;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const unsigned long long other = __shfl_up_sync(0xffffffffu, inclusive, offset);
    if (lane >= offset) inclusive += other;
  }
  if (lane == 31) shared.warps[warp] = inclusive;
  if (threadIdx.x == 0) shared.bin = -1;
  __syncthreads();
  unsigned long long before = inclusive - sum;
  for (int i = 0; i < warp; ++i) before += shared.warps[i];
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    if (before < target && before + mine[k] >= target) {
      shared.bin = static_cast<int>(kPerThread * threadIdx.x) + k;
      shared.before = before;
    }
    before += mine[k];
  }
  __syncthreads();
  return shared.bin;
}

template <int kBlocks, typename Row>
class RowSearch {
 public:
  __device__ RowSearch(Team<kBlocks>& team, SearchShared& shared, const Row& row, float max_value)
      : team_(team), shared_(shared), row_(row), max_value_(max_value), max_key_(Row::Key(max_value)) {}

  // The first `wanted` of what `cut` keeps.
  __device__ Cut ByCount(const Cut& cut, int wanted) {
    return Find(
        cut, [wanted](unsigned long long) { return static_cast<unsigned long long>(wanted); },
        [](float) { return 1ull; });
  }

  // The shortest beginning of what `cut` keeps with at least `fraction` of its mass.
  __device__ Cut ByMass(const Cut& cut, float fraction) {
    return Find(
        cut,
        [fraction](unsigned long long total) {
          return static_cast<unsigned long long>(ceil(fraction * static_cast<double>(total)));
        },
        [this](float value) { return MassOfWeight(WeightOf(row_, value, max_value_)); });
  }

 private:
  template <typename TargetOf, typename Measure>
  __device__ Cut Find(const Cut& cut, TargetOf target_of, Measure measure) {
    uint32_t low = cut.key, high = max_key_;
    unsigned long long target = 0, before = 0;
    for (bool first = true;; first = false) {
      const int shift = ShiftOf(high - low);
      Clear();
      for (int i = 8 * static_cast<int>(threadIdx.x); i < row_.count; i += 8 * kTeamThreads) {
        float values[8];
        row_.Load8(i, values);
#pragma unroll
        for (int k = 0; k < 8; ++k) {
          const uint32_t key = Row::Key(values[k]);
          if (key < low || key > high || !cut.Keeps(key, row_.first_id + i + k)) continue;
          atomicAdd(shared_.bins + ((high - key) >> shift), measure(values[k]));
        }
      }
      const unsigned long long total = Combine();
      if (first) {
        target = target_of(total);
        if (target >= total) return cut;
        if (target == 0) target = 1;
      }
      const int bin = FindBin(shared_, target - before);
      before += shared_.before;
      high -= static_cast<uint32_t>(bin) << shift;
      low = max(low, high - ((1u << shift) - 1));
      if (shift == 0) break;
    }
    // All that is left have the key `high`.
    const unsigned long long weight = measure(Row::OfKey(high));
    const unsigned long long equal = shared_.total[shared_.bin] / weight;
    const unsigned long long needed = (target - before + weight - 1) / weight;
    if (needed >= equal) return {high, high == cut.key ? cut.last_id : 0x7fffffff};
    return {high, NthId(high, static_cast<unsigned>(needed))};
  }

  // The id of the n-th, from 1, of the values with this key.
  __device__ int32_t NthId(uint32_t wanted, unsigned n) {
    uint32_t low = 0, high = 0x7fffffff >> 8;
    unsigned long long before = 0;
    for (;;) {
      const int shift = ShiftOf(high - low);
      Clear();
      for (int i = 8 * static_cast<int>(threadIdx.x); i < row_.count; i += 8 * kTeamThreads) {
        float values[8];
        row_.Load8(i, values);
#pragma unroll
        for (int k = 0; k < 8; ++k) {
          const uint32_t id = static_cast<uint32_t>(row_.first_id + i + k);
          if (Row::Key(values[k]) != wanted || id < low || id > high) continue;
          atomicAdd(shared_.bins + ((id - low) >> shift), 1ull);
        }
      }
      Combine();
      const int bin = FindBin(shared_, n - before);
      before += shared_.before;
      low += static_cast<uint32_t>(bin) << shift;
      high = min(high, low + ((1u << shift) - 1));
      if (shift == 0) return static_cast<int32_t>(low);
    }
  }

  __device__ void Clear() {
    for (int i = static_cast<int>(threadIdx.x); i < kSearchBins; i += kTeamThreads) shared_.bins[i] = 0;
    __syncthreads();
  }

  // Sums the bins of all blocks; returns the sum of all.
  __device__ unsigned long long Combine() {
    team_.Sync();
    unsigned long long sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < kSearchBins; i += kTeamThreads) {
      unsigned long long value = 0;
#pragma unroll
      for (int rank = 0; rank < kBlocks; ++rank) value += *team_.Remote(shared_.bins + i, rank);
      shared_.total[i] = value;
      sum += value;
    }
    // Each block sums the same numbers; the reduction also ends the reads of other blocks' bins.
    unsigned long long unused = 0;
    team_.SumOfEach(sum, unused);
    return sum / kBlocks;
  }

  Team<kBlocks>& team_;
  SearchShared& shared_;
  const Row& row_;
  const float max_value_;
  const uint32_t max_key_;
};

// A double as an unsigned integer of the same order, never 0.
__device__ __forceinline__ uint64_t OrderedScore(double score) {
  const auto bits = static_cast<uint64_t>(__double_as_longlong(score));
  return bits >> 63 ? ~bits : bits | uint64_t{1} << 63;
}

// The exact score of a token.
__device__ __forceinline__ double ScoreOf(float z, int id, uint32_t coarse, const DrawKey& key) {
  return z + static_cast<double>(DeviceGumbel(coarse, DeviceFineNoise(key, static_cast<uint32_t>(id))));
}

// The best of one thread's tokens.
struct Racer {
  double score = -INFINITY;
  int id = 0x7fffffff;

  __device__ __forceinline__ void Offer(double offered, int token) {
    if (offered > score || (offered == score && token < id)) {
      score = offered;
      id = token;
    }
  }
  __device__ uint64_t Ordered() const { return id == 0x7fffffff ? 0 : OrderedScore(score); }
};

// The draw over all tokens of the team that `cut` keeps, each thread bounding by the best of its own: the coarse byte c
// of a token bounds its noise by -ln(c / 256).
template <int kBlocks, typename Row>
__device__ int RaceAll(Team<kBlocks>& team, const Row& row, const Cut& cut, const DrawKey& key) {
  Racer best;
  for (int base = 8 * static_cast<int>(threadIdx.x); base < row.count; base += 8 * kTeamThreads) {
    float values[8];
    row.Load8(base, values);
    uint4 noise;
    bool drawn = false;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const int id = row.first_id + base + k;
      if (!cut.Keeps(Row::Key(values[k]), id)) continue;
      if (!drawn) noise = CoarseBytes(key, static_cast<uint32_t>(id / kGroupTokens));
      drawn = true;
      const uint32_t word =
          k < 4 ? (base % kGroupTokens == 0 ? noise.x : noise.z) : (base % kGroupTokens == 0 ? noise.y : noise.w);
      const uint32_t coarse = word >> (8 * (k % 4)) & 0xff;
      const float z = __fmul_rn(values[k], row.scale);
      // At most 28.5 with c = 0: -ln(-ln(1 - 2^-41)).
      const float bound = coarse == 0 ? 28.5f : -__logf(static_cast<float>(coarse) * (1 / 256.0f));
      if (static_cast<double>(z) + bound >= best.score - 1e-3) best.Offer(ScoreOf(z, id, coarse, key), id);
    }
  }
  const uint64_t score = team.Max(best.Ordered());
  return IdOf(team.Max(best.Ordered() == score ? Packed(1, best.id) : 0));
}

}  // namespace swiftlet::cuda
