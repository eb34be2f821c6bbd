// What a block can tell about its slice from some of its tokens: how to scale weights, what a draw must reach, where
// the last of the mass and the largest values lie. All of it is a guess that costs time when wrong, never a wrong
// token. Included by .cu files alone.
#pragma once

#include <cfloat>
#include <cstdint>

#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

// How a pass over the slice goes (row_stream.cuh). The weight of a value is exp2(value * slope + offset): 1 for
// `reference`, and exp(z) times the same constant for all.
struct StreamPlan {
  bool mass = false;  // sum the weights
  bool race = false;  // list the tokens that may have a score of `floor`
  bool made = false;  // what follows was found by TakeSample
  float reference = 0, slope = 0, offset = 0;
  float low = -FLT_MAX;   // the weights of smaller values are summed apart
  float head = INFINITY;  // groups with a value from here on are listed
  float floor = -INFINITY;
  float limit_offset = 0;  // exp2(value * slope + limit_offset): coarse bytes up to it can reach the floor
};

// The floor lies so far below the logarithm of the mass: a draw whose score does not reach it is drawn again by other
// means, exp(-exp(2.5)) = 5 in a million. What a cut leaves of the mass is to be allowed for.
inline constexpr float kFloorDepth = 2.5f;

struct SampleGoal {
  float low_mass = 0;     // the part of the mass that is to lie below `low`
  float head_tokens = 0;  // about so many are to lie in the head
  float floor_depth = kFloorDepth;
  float head_depth = INFINITY;  // no deeper than this below the largest value, in z
};

inline constexpr int kSampleBins = 2 * kTeamThreads;  // of distance below the largest value seen

struct SampleShared {
  uint32_t bins[kSampleBins];
  float2 warps[kTeamWarps];  // count, mass
  float low, head, top_mass;
};

// `mass`: of the slice, in weights of `reference`.
__device__ __forceinline__ void Rebase(StreamPlan& plan, float reference, float scale, float mass, float depth) {
  const float log2_mass = __log2f(mass);
  plan.reference = reference;
  plan.slope = scale * kLog2E;
  plan.offset = -reference * plan.slope;
  plan.floor = __fmul_rn(reference, scale) + log2_mass / kLog2E - depth;
  plan.limit_offset = plan.offset + log2f(256.5f) - log2_mass + depth * kLog2E;
}

// A plan that has yet to be told what to do; none is made when all of the sample is -inf.
template <int kBlocks, typename Row>
__device__ StreamPlan TakeSample(Team<kBlocks>& team, SampleShared& shared, const Row& row, const SampleGoal& goal) {
  const int thread = static_cast<int>(threadIdx.x);
  const int groups = (row.count + kGroupTokens - 1) / kGroupTokens;
  const int step = max(1, (groups + kTeamThreads - 1) / kTeamThreads);
  const int at =
      kGroupTokens * step * thread + (thread % 2 == 1 && kGroupTokens * step * thread + 8 < row.count ? 8 : 0);
  float values[8];
#pragma unroll
  for (int k = 0; k < 8; ++k) values[k] = -INFINITY;
  if (at < row.count) row.Load8(at, values);
  shared.bins[2 * thread] = shared.bins[2 * thread + 1] = 0;
  if (thread == 0) shared.low = shared.head = -FLT_MAX, shared.top_mass = FLT_MAX;
  float most = -INFINITY, least = INFINITY;
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    most = fmaxf(most, values[k]);
    if (values[k] > -INFINITY) least = fminf(least, values[k]);
  }
  uint32_t most_key = FloatKey(most), least_key = ~FloatKey(least);
  team.BlockMaxOfEach(most_key, least_key);
  most = FloatOfKey(most_key);
  StreamPlan plan;
  if (!(most > -INFINITY)) return plan;
  const float range = fminf(fmaxf((most - FloatOfKey(~least_key)) * row.scale, 1e-6f), 32.0f);
  const float bins_per_z = (kSampleBins - 1) / range, bins_per_value = bins_per_z * row.scale;
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    if (values[k] > -INFINITY) {
      const int bin = static_cast<int>(fminf((most - values[k]) * bins_per_value, kSampleBins - 1));
      atomicAdd(shared.bins + bin, 1u);
    }
  }
  __syncthreads();
  const uint2 bins = *reinterpret_cast<const uint2*>(shared.bins + 2 * thread);
  const float counts[2] = {static_cast<float>(bins.x), static_cast<float>(bins.y)};
  const float z_per_bin = -kLog2E / bins_per_z;
  const float masses[2] = {counts[0] * Exp2((2 * thread + 0.5f) * z_per_bin),
                           counts[1] * Exp2((2 * thread + 1.5f) * z_per_bin)};
  const int lane = thread % 32, warp = thread / 32;
  float2 sum = {counts[0] + counts[1], masses[0] + masses[1]};
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const float count = __shfl_up_sync(0xffffffffu, sum.x, offset), mass = __shfl_up_sync(0xffffffffu, sum.y, offset);
    if (lane >= offset) sum.x += count, sum.y += mass;
  }
  if (lane == 31) shared.warps[warp] = sum;
  __syncthreads();
  float2 others = lane < kTeamWarps ? shared.warps[lane] : float2{0, 0};
  const float total = SumLanes<32>(others.y);
  if (lane >= warp) others = {0, 0};
  float2 before = {SumLanes<32>(others.x) + sum.x - counts[0] - counts[1],
                   SumLanes<32>(others.y) + sum.y - masses[0] - masses[1]};
  // The largest of the sample stand for themselves: one of them may have most of the mass.
  constexpr float kSingleTokens = 8;
  // So many tokens of the slice stand behind one of the sample.
  const float each =
      static_cast<float>(row.count) / static_cast<float>(8 * min(kTeamThreads, (groups + step - 1) / step));
  const float head_count = goal.head_tokens / each, high_mass = (1 - goal.low_mass) * total;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const float edge = most - static_cast<float>(2 * thread + k) / bins_per_value;
    if (before.x <= head_count && before.x + counts[k] > head_count) shared.head = edge;
    if (before.y < high_mass && before.y + masses[k] >= high_mass) shared.low = edge;
    if (before.x <= kSingleTokens && before.x + counts[k] > kSingleTokens) shared.top_mass = before.y;
    before.x += counts[k], before.y += masses[k];
  }
  __syncthreads();
  plan.made = true;
  plan.low = shared.low;
  plan.head = fmaxf(shared.head, most - goal.head_depth / row.scale);
  const float top_mass = fminf(shared.top_mass, total);
  Rebase(plan, most, row.scale, fmaxf(1, top_mass + each * (total - top_mass)), goal.floor_depth);
  return plan;
}

}  // namespace swiftlet::cuda
