// One pass over a block's slice: sums the weights, lists the groups of the head and the tokens that may win the race.
// Included by .cu files alone.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/philox.cuh"
#include "engine/kernels/cuda/row_sample.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

inline constexpr int kMaxHeads = 2048;
inline constexpr int kMaxRunners = 2048;
inline constexpr int kMaxFloods = 512;

// Of a block. A list with more entries than fit is not complete.
struct StreamShared {
  int32_t heads[kMaxHeads];      // groups of the slice
  int32_t runners[kMaxRunners];  // tokens, as their place in the slice
  int32_t floods[kMaxFloods];    // groups any of whose tokens may be a runner
  int num_heads, num_runners, num_floods;
};

// Of a thread.
struct Streamed {
  float mass = 0, below = 0;
  float most = -INFINITY;
  bool finite = true;
};

// The bytes of a word that are less than `pattern`'s, all of whose bytes are the same, as bits 7, 15, 23 and 31; now
// and then also the one above such a byte. Bytes from 128 on are never.
__device__ __forceinline__ uint32_t BytesBelow(uint32_t word, uint32_t pattern) {
  return (word - pattern) & ~word & 0x80808080u;
}

template <typename Row>
__device__ Streamed StreamSlice(StreamShared& shared, const Row& row, const StreamPlan& plan, const DrawKey& key) {
  constexpr int kAtOnce = Row::kGroupsAtOnce;
  static_assert(kAtOnce <= 2);
  const int thread = static_cast<int>(threadIdx.x);
  const int groups = (row.count + kGroupTokens - 1) / kGroupTokens;
  __syncthreads();  // the lists had other uses
  if (thread == 0) shared.num_heads = shared.num_runners = shared.num_floods = 0;
  __syncthreads();
  FiniteWatch watch;
  Streamed found;
  float mass[2] = {}, below[2] = {};
#pragma unroll 1
  for (int first = thread; first < groups; first += kAtOnce * kTeamThreads) {
    typename Row::Group group[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) row.LoadGroup(kGroupTokens * (first + j * kTeamThreads), group[j], watch);
    float most[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      most[j] = group[j].Max();
      found.most = fmaxf(found.most, most[j]);
      if (most[j] >= plan.head) {
        const int place = atomicAdd(&shared.num_heads, 1);
        if (place < kMaxHeads) shared.heads[place] = first + j * kTeamThreads;
      }
    }
    if (plan.mass) {
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
#pragma unroll
        for (int k = 0; k < kGroupTokens / 2; ++k) {
          const float2 pair = group[j].Pair(k);
          const float weight0 = Exp2(fmaf(pair.x, plan.slope, plan.offset));
          const float weight1 = Exp2(fmaf(pair.y, plan.slope, plan.offset));
          mass[0] += weight0;
          mass[1] += weight1;
          if (pair.x < plan.low) below[0] += weight0;
          if (pair.y < plan.low) below[1] += weight1;
        }
      }
    }
    if (plan.race) {
      uint32_t marks = 0;  // bit 8 b + 4 j + w: byte b of word w of group j
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        const uint4 noise =
            CoarseBytes(key, static_cast<uint32_t>(row.first_id / kGroupTokens + first + j * kTeamThreads));
        const float limit = Exp2(fmaf(most[j], plan.slope, plan.limit_offset));
        const uint32_t bytes = static_cast<uint32_t>(fminf(limit, 127.0f)) + 1;
        const uint32_t pattern = bytes * 0x01010101u;
        uint32_t mark = BytesBelow(noise.x, pattern) >> 7 | BytesBelow(noise.y, pattern) >> 6 |
                        BytesBelow(noise.z, pattern) >> 5 | BytesBelow(noise.w, pattern) >> 4;
        if (!(most[j] > -INFINITY)) mark = 0;
        if (bytes == 128) {
          mark = 0;
          const int place = atomicAdd(&shared.num_floods, 1);
          if (place < kMaxFloods) shared.floods[place] = first + j * kTeamThreads;
        }
        marks |= mark << (4 * j);
      }
#pragma unroll 1
      for (; marks != 0; marks &= marks - 1) {
        const int bit = __ffs(static_cast<int>(marks)) - 1;
        const int place = atomicAdd(&shared.num_runners, 1);
        if (place >= kMaxRunners) break;
        const int group_at = first + (bit & 4 ? kTeamThreads : 0);
        shared.runners[place] = kGroupTokens * group_at + 4 * (bit & 3) + bit / 8;
      }
    }
  }
  found.mass = mass[0] + mass[1];
  found.below = below[0] + below[1];
  found.finite = watch.finite();
  return found;
}

// The largest value of the slice and the first token that has it, Packed; the watch sees the whole slice.
template <int kBlocks, typename Row>
__device__ uint64_t FirstOfLargest(Team<kBlocks>& team, const Row& row, FiniteWatch& watch) {
  constexpr int kInFlight = 4;
  float most = -INFINITY;
  int most_at = 8 * static_cast<int>(threadIdx.x);
#pragma unroll 1
  for (int base = 8 * static_cast<int>(threadIdx.x); base < row.count; base += 8 * kInFlight * kTeamThreads) {
    float values[kInFlight];
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      const int at = base + 8 * k * kTeamThreads;
      values[k] = at < row.count ? row.Max8(at, watch) : -INFINITY;
    }
#pragma unroll
    for (int k = 0; k < kInFlight; ++k) {
      if (values[k] > most) {
        most = values[k];
        most_at = base + 8 * k * kTeamThreads;
      }
    }
  }
  const uint64_t mine = most_at < row.count ? Packed(Row::Key(most), most_at) : 0;
  const uint64_t largest = team.BlockMax(mine);
  if (largest == 0) return 0;  // an empty slice
  const int at = IdOf(largest);
  const float value = Row::OfKey(KeyOf(largest));
  int first = 7;
#pragma unroll 1
  for (int k = 6; k >= 0; --k) {
    if (row.At(at + k) == value) first = k;
  }
  return Packed(KeyOf(largest), row.first_id + at + first);
}

}  // namespace swiftlet::cuda
