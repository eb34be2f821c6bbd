// The draw among what the cuts keep: argmax of z + Gumbel. Included by .cu files alone.
//
// The coarse byte c of a token bounds its noise by -ln(c / 256), so few tokens need their exact score.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/philox.cuh"
#include "engine/kernels/cuda/row_search.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

// A double as an unsigned integer of the same order, never 0.
__device__ __forceinline__ uint64_t OrderedScore(double score) {
  const auto bits = static_cast<uint64_t>(__double_as_longlong(score));
  return bits >> 63 ? ~bits : bits | uint64_t{1} << 63;
}

// The best of one thread's tokens.
struct Racer {
  double score = -INFINITY;
  int id = 0x7fffffff;

  __device__ __forceinline__ void Offer(float z, int token, uint32_t coarse, const DrawKey& key) {
    const double offered = z + DeviceGumbel(coarse, DeviceFineNoise(key, static_cast<uint32_t>(token)));
    if (offered > score || (offered == score && token < id)) {
      score = offered;
      id = token;
    }
  }
  __device__ uint64_t Ordered() const { return id == 0x7fffffff ? 0 : OrderedScore(score); }
};

// Over all tokens of the team, each thread bounding by the best of its own.
template <int kBlocks, typename Row>
__device__ int RaceAll(Team<kBlocks>& team, const Row& row, const Cut& cut, const DrawKey& key) {
  Racer best;
  for (int base = 16 * static_cast<int>(threadIdx.x); base < row.count; base += 16 * kTeamThreads) {
    uint4 noise;
    bool drawn = false;
#pragma unroll 1
    for (int half = 0; half < 2 && base + 8 * half < row.count; ++half) {
      float values[8];
      row.Load8(base + 8 * half, values);
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        const int id = row.first_id + base + 8 * half + k;
        if (!cut.Keeps(Row::Key(values[k]), id)) continue;
        if (!drawn) noise = CoarseBytes(key, static_cast<uint32_t>(id / 16));
        drawn = true;
        const uint32_t coarse = WordOf(noise, 2 * half + k / 4) >> (8 * (k % 4)) & 0xff;
        const float z = __fmul_rn(values[k], row.scale);
        // At most 28.5 with c = 0: -ln(-ln(1 - 2^-41)).
        const float bound = coarse == 0 ? 28.5f : -__logf(static_cast<float>(coarse) * (1 / 256.0f));
        if (static_cast<double>(z) + bound >= best.score - 1e-3) best.Offer(z, id, coarse, key);
      }
    }
  }
  uint64_t score = best.Ordered();
  auto winner = static_cast<uint32_t>(best.id);
  team.Best(score, winner);
  return static_cast<int>(winner);
}

inline constexpr int kMaxRunners = 2048;  // of a block

struct RaceShared {
  int32_t runners[kMaxRunners];  // index in the block's slice
  int num_runners;
};

// Over all tokens, looking only at those that can have a score above max z + floor; -1 when none has. With floor
// ln(kept mass) - 2.5 one draw in 200,000 is not settled.
template <int kBlocks, typename Row>
__device__ int RaceAbove(Team<kBlocks>& team, RaceShared& shared, const Row& row, const Cut& cut, const DrawKey& key,
                         float max_value, float floor) {
  const float max_z = __fmul_rn(max_value, row.scale);
  const float least = Row::OfKey(cut.key);
  __syncthreads();  // the memory had other uses
  if (threadIdx.x == 0) shared.num_runners = 0;
  __syncthreads();
  constexpr int kGroups = 4;  // of 16 tokens, between two looks at the list
  constexpr int kStride = 16 * kTeamThreads;
  // All threads of a warp go through the same rounds.
#pragma unroll 1
  for (int round = 0; round < row.count; round += kGroups * kStride) {
    uint64_t runners = 0;
#pragma unroll 1
    for (int group = 0; group < kGroups; ++group) {
      const int base = round + group * kStride + 16 * static_cast<int>(threadIdx.x);
      if (base >= row.count) break;
      float most = row.Max8(base);
      if (base + 8 < row.count) most = fmaxf(most, row.Max8(base + 8));
      if (!(most >= least)) continue;
      const uint4 noise = CoarseBytes(key, static_cast<uint32_t>((row.first_id + base) / 16));
      // Bytes up to 256 exp(z - max z - floor) can win; 0.2 % for rounding.
      const float limit = 256.5f * Exp2((__fmul_rn(most, row.scale) - max_z - floor) * kLog2E);
      const uint32_t below = static_cast<uint32_t>(fminf(limit, 127.0f)) + 1;
      const uint32_t pattern = below * 0x01010101u;
      // The high bit of a byte is set when the byte is < below, now and then also above such a byte.
      const auto mark = [&](uint32_t word) {
        const uint32_t high = below == 128 ? 0x80808080u : (word - pattern) & ~word & 0x80808080u;
        return (high * 0x00204081u) >> 28;  // the four high bits, in order
      };
      const uint32_t tokens = mark(noise.x) | mark(noise.y) << 4 | mark(noise.z) << 8 | mark(noise.w) << 12;
      runners |= uint64_t{tokens} << (16 * group);
    }
    int place = ReservePlaces(&shared.num_runners, __popcll(runners));
#pragma unroll 1
    for (; runners != 0 && place < kMaxRunners; runners &= runners - 1, ++place) {
      const int k = __ffsll(static_cast<long long>(runners)) - 1;
      shared.runners[place] = round + k / 16 * kStride + 16 * static_cast<int>(threadIdx.x) + k % 16;
    }
  }
  __syncthreads();
  const int num_runners = shared.num_runners;
  Racer best;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < min(num_runners, kMaxRunners); i += kTeamThreads) {
    const int at = shared.runners[i];
    if (at >= row.count) continue;
    const float value = row.At(at);
    const int id = row.first_id + at;
    if (!cut.Keeps(Row::Key(value), id)) continue;
    best.Offer(__fmul_rn(value, row.scale), id, DeviceCoarseNoise(key, static_cast<uint32_t>(id)), key);
  }
  uint64_t score = num_runners > kMaxRunners ? ~uint64_t{0} : best.Ordered();
  auto winner = static_cast<uint32_t>(best.id);
  team.Best(score, winner);
  const bool settled = score != ~uint64_t{0} && score >= OrderedScore(static_cast<double>(max_z) + floor);
  return settled ? static_cast<int>(winner) : -1;
}

}  // namespace swiftlet::cuda
