// The draw without a search for the cut. All tokens race, and the few scores above the floor, the contenders, are put
// in order; the best one that top_p keeps has won, because what it keeps is a beginning of the order by value: a
// contender is kept when the mass before it is less than top_p of the whole. Mostly two sums of the pass already say
// so; else the mass before it is summed, over the head where that suffices. Included by .cu files alone.
#pragma once

#include <cfloat>
#include <cstdint>

#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/philox.cuh"
#include "engine/kernels/cuda/row_sample.cuh"
#include "engine/kernels/cuda/row_search.cuh"
#include "engine/kernels/cuda/row_stream.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

inline constexpr int kMaxContenders = 1024;  // of a team; about exp(floor depth) are expected of each block

struct Contender {
  uint64_t score;  // OrderedScore
  uint64_t token;  // Packed
};

// What a block tells the others.
struct BlockReport {
  double mass, below;  // in its own unit
  float reference, offset;
  float low, head, floor, most;
  int num_contenders;
  bool finite;
  bool heads_complete, runners_complete;
};

struct ReportShared {
  BlockReport blocks[kMaxTeamBlocks];
  Contender contenders[kMaxContenders];
  int num_contenders;  // of this block
};

// Of the team; all threads have the same.
struct Report {
  double mass = 0, below = 0;  // in the unit of the block with the largest reference
  float reference = 0, offset = FLT_MAX;
  float low = -FLT_MAX, head = -FLT_MAX;  // that hold in all blocks
  float floor = -INFINITY;
  float most = -INFINITY;
  bool finite = true, heads_complete = true, runners_complete = true;
};

// Scores the block's runners; those that reach its floor go to all blocks as contenders.
template <int kBlocks, typename Row>
__device__ void ScoreRunners(Team<kBlocks>& team, ReportShared& shared, const StreamShared& stream, const Row& row,
                             const StreamPlan& plan, const DrawKey& key) {
  constexpr int kEach = kMaxContenders / kBlocks;
  const int num_runners = min(stream.num_runners, kMaxRunners);
  const int size = num_runners + kGroupTokens * min(stream.num_floods, kMaxFloods);
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < size; i += kTeamThreads) {
    const int flooded = i - num_runners;
    const int at =
        flooded < 0 ? stream.runners[i] : kGroupTokens * stream.floods[flooded / kGroupTokens] + flooded % kGroupTokens;
    if (at >= row.count) continue;
    const int id = row.first_id + at;
    const float value = row.At(at);
    const uint32_t coarse = DeviceCoarseNoise(key, static_cast<uint32_t>(id));
    if (static_cast<float>(coarse) > Exp2(fmaf(value, plan.slope, plan.limit_offset))) continue;
    const double score = ScoreOf(__fmul_rn(value, row.scale), id, coarse, key);
    if (!(score >= plan.floor)) continue;
    const int place = atomicAdd(&shared.num_contenders, 1);
    if (place >= kEach) continue;
    for (int rank = 0; rank < kBlocks; ++rank) {
      *team.Remote(&shared.contenders[team.rank() * kEach + place], rank) = {OrderedScore(score),
                                                                             Packed(Row::Key(value), id)};
    }
  }
}

// After a pass, whose largest value in the block is `most`: every block tells the others, and the team has met.
template <int kBlocks, typename Row>
__device__ Report MakeReport(Team<kBlocks>& team, ReportShared& shared, const StreamShared& stream, const Row& row,
                             const StreamPlan& plan, const Streamed& streamed, float most, const DrawKey& key) {
  if (threadIdx.x == 0) shared.num_contenders = 0;
  const bool finite = __syncthreads_and(streamed.finite);
  if (plan.race) ScoreRunners(team, shared, stream, row, plan, key);
  double mass = streamed.mass, below = streamed.below;
  team.BlockSumOfEach(mass, below);
  if (threadIdx.x < kBlocks) {
    constexpr int kEach = kMaxContenders / kBlocks;
    // A sample without finite values makes no plan: nothing is known, or there is nothing.
    const bool nothing = !plan.made && most == -INFINITY;
    BlockReport report;
    report.mass = mass;
    report.below = below;
    report.reference = plan.reference;
    report.offset = plan.made ? plan.offset : FLT_MAX;
    report.low = plan.low;
    report.head = plan.made ? plan.head : -FLT_MAX;
    report.floor = plan.floor;
    report.most = most;
    report.num_contenders = min(shared.num_contenders, kEach);
    report.finite = finite;
    report.heads_complete = nothing || (plan.made && stream.num_heads <= kMaxHeads);
    report.runners_complete = nothing || (plan.made && stream.num_runners <= kMaxRunners &&
                                          stream.num_floods <= kMaxFloods && shared.num_contenders <= kEach);
    *team.Remote(&shared.blocks[team.rank()], static_cast<int>(threadIdx.x)) = report;
  }
  team.Sync();
  // A lane for each block.
  const BlockReport& block = shared.blocks[threadIdx.x % 32 % kBlocks];
  const auto most_of = [](float value) { return FloatOfKey(WarpMax(FloatKey(value))); };
  Report all;
  all.offset = -most_of(-block.offset);
  const double unit = Exp2(all.offset - block.offset);
  all.mass = SumLanes<kBlocks>(block.mass * unit);
  all.below = SumLanes<kBlocks>(block.below * unit);
  all.reference = most_of(block.offset == all.offset ? block.reference : -INFINITY);
  all.low = most_of(block.low);
  all.head = most_of(block.head);
  all.floor = most_of(block.floor);
  all.most = most_of(block.most);
  all.finite = __all_sync(0xffffffffu, block.finite);
  all.heads_complete = __all_sync(0xffffffffu, block.heads_complete);
  all.runners_complete = __all_sync(0xffffffffu, block.runners_complete);
  return all;
}

// The best contender that stands before `place` in the order of values; its score is 0 when there is none. Each warp
// finds it.
template <int kBlocks>
__device__ Contender BestBefore(const ReportShared& shared, uint64_t place) {
  constexpr int kEach = kMaxContenders / kBlocks;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const Contender* const contenders = shared.contenders + lane % kBlocks * kEach;
  const int size = shared.blocks[lane % kBlocks].num_contenders;
  Contender best = {0, 0};
#pragma unroll 1
  for (int i = lane / kBlocks; i < size; i += 32 / kBlocks) {
    const Contender other = contenders[i];
    if (other.token > place && other.score >= best.score) best = other;
  }
  const uint64_t score = WarpMax(best.score);
  return {score, WarpMax(best.score == score ? best.token : 0)};
}

// The mass of the tokens before `tokens[0]` and `tokens[1]`, the first of which comes later in the order of values; in
// the unit of `offset`. Looks through the head, or through the whole slice.
template <int kBlocks, typename Row>
__device__ void MassBefore(Team<kBlocks>& team, const StreamShared& stream, const Row& row, const StreamPlan& plan,
                           float offset, bool in_head, const uint64_t (&tokens)[2], double (&masses)[2]) {
  constexpr int kTokens = 2;
  float values[kTokens], below_values[kTokens];
  int at[kTokens];
#pragma unroll
  for (int j = 0; j < kTokens; ++j) {
    values[j] = Row::OfKey(KeyOf(tokens[j]));
    // Larger than this are all that are not smaller than the value.
    below_values[j] = values[j] == 0 ? -FLT_MIN * FLT_EPSILON : FloatOfKey(FloatKey(values[j]) - 1);
    at[j] = IdOf(tokens[j]) - row.first_id;
  }
  const int groups = in_head ? stream.num_heads : (row.count + kGroupTokens - 1) / kGroupTokens;
  float sums[kTokens] = {};
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < groups; i += kTeamThreads) {
    const int base = kGroupTokens * (in_head ? stream.heads[i] : i);
    typename Row::Group group;
    FiniteWatch watch;
    row.LoadGroup(base, group, watch);
    if (!(group.Max() >= values[0])) continue;
    float least[kTokens];
#pragma unroll
    for (int j = 0; j < kTokens; ++j) least[j] = base + kGroupTokens <= at[j] ? below_values[j] : values[j];
#pragma unroll
    for (int k = 0; k < kGroupTokens / 2; ++k) {
      const float2 pair = group.Pair(k);
      const float weight0 = Exp2(fmaf(pair.x, plan.slope, plan.offset));
      const float weight1 = Exp2(fmaf(pair.y, plan.slope, plan.offset));
#pragma unroll
      for (int j = 0; j < kTokens; ++j) {
        if (pair.x > least[j]) sums[j] += weight0;
        if (pair.y > least[j]) sums[j] += weight1;
      }
    }
#pragma unroll
    for (int j = 0; j < kTokens; ++j) {
      if (base > at[j] || base + kGroupTokens <= at[j]) continue;
        // The token's own group: of its equals those with lower ids come before it.
#pragma unroll 1
      for (int k = base; k < at[j]; ++k) {
        if (row.At(k) == values[j]) sums[j] += Exp2(fmaf(values[j], plan.slope, plan.offset));
      }
    }
  }
  const double unit = Exp2(offset - plan.offset);
#pragma unroll
  for (int j = 0; j < kTokens; ++j) masses[j] = sums[j] == 0 ? 0 : sums[j] * unit;
  team.SumOfEach(masses[0], masses[1]);
}

// The token, or -1 where a search has to find it.
template <int kBlocks, typename Row>
__device__ int WinnerOf(Team<kBlocks>& team, const ReportShared& shared, const StreamShared& stream, const Row& row,
                        const StreamPlan& plan, const Report& report, const SamplingRow& sampling) {
  if (!report.runners_complete || !(report.most > -INFINITY)) return -1;
  const float top_p = sampling.top_p;
  // Scores are as exact as float32 makes z.
  const float top_z = report.most * row.scale;
  const uint64_t floor = OrderedScore(static_cast<double>(report.floor) + 0.01 + 4e-7 * fabsf(top_z));
  const bool by_depth = sampling.log_min_p > -INFINITY;
  double goal = static_cast<double>(top_p) * report.mass;
  uint64_t place = 0;
  if (by_depth) {
    const Cut cut = CutByDepth(row, sampling, report.most);
    place = uint64_t{cut.key} << 32;
  }
#pragma unroll 1
  for (int round = by_depth && top_p < 1 ? -1 : 0; round < 4; ++round) {
    // Before the first round: what min_p keeps, all of which stands before a last token of the least value.
    const Contender first = round < 0 ? Contender{floor, place + 0x80000000u} : BestBefore<kBlocks>(shared, place);
    if (first.score < floor) return -1;
    const float value = Row::OfKey(KeyOf(first.token));
    if (top_p >= 1) return IdOf(first.token);
    if (round == 0 && !by_depth && value >= report.low && report.mass - report.below < goal - 1e-6 * report.mass) {
      return IdOf(first.token);
    }
    const Contender second = BestBefore<kBlocks>(shared, first.token);
    const bool has_second = second.score >= floor;
    const uint64_t tokens[2] = {first.token, has_second ? second.token : first.token};
    double masses[2];
    MassBefore(team, stream, row, plan, report.offset, report.heads_complete && value >= report.head, tokens, masses);
    if (round < 0) {
      goal = top_p * masses[0];
      continue;
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (fabs(masses[j] - goal) <= 1e-6 * goal) return -1;  // too close for float32 sums
      if (masses[j] < goal) return IdOf(tokens[j]);
    }
    if (!has_second) return -1;
    place = second.token;
  }
  return -1;
}

}  // namespace swiftlet::cuda
