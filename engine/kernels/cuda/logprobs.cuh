// Log-probabilities of a token and of the most likely ones, from the raw logits. Included by .cu files alone.
#pragma once

#include <cfloat>
#include <cstdint>

#include "engine/kernels/cuda/contest.cuh"
#include "engine/kernels/cuda/draw.cuh"
#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/row_sample.cuh"
#include "engine/kernels/cuda/row_search.cuh"
#include "engine/kernels/cuda/row_stream.cuh"
#include "engine/kernels/cuda/shortlist.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

struct LogprobsShared {
  uint64_t top[kMaxTopLogprobs];  // Packed
  int num_top;
};

template <int kBlocks>
__device__ __noinline__ Cut CutByCount(Team<kBlocks> team, SearchShared* shared, HalfRow row, float most, int wanted) {
  RowSearch<kBlocks, HalfRow> search(team, *shared, row, most);
  const Cut cut = search.ByCount({HalfRow::Key(-FLT_MAX), 0x7fffffff}, wanted);
  team.Sync();
  return cut;
}

// False when a logit is not finite. By all threads of the team.
template <int kBlocks>
__device__ bool WriteLogprobs(Team<kBlocks>& team, DrawShared& shared, LogprobsShared& top, const __half* logits,
                              int vocab, int token_id, int num_top, DeviceLogprobs* result) {
  constexpr float kHeadTokens = 512;
  const Slice slice = SliceOf(vocab, kBlocks, team.rank());
  const HalfRow row = {logits + slice.first_id, slice.first_id, slice.count, 1};
  num_top = min(num_top, min(vocab, kMaxTopLogprobs));
  team.Sync();  // the memory had other uses
  if (threadIdx.x == 0) top.num_top = 0;
  SampleGoal goal;
  goal.head_tokens = kHeadTokens / kBlocks;
  StreamPlan plan = TakeSample(team, shared.sample, row, goal);
  plan.mass = plan.made;
  if (num_top == 0) plan.head = INFINITY;
  Streamed streamed;
  float most;
  for (int attempt = 0;; ++attempt) {
    streamed = StreamSlice(shared.stream, row, plan, {});
    uint32_t most_key = FloatKey(streamed.most), unused = 0;
    team.BlockMaxOfEach(most_key, unused);
    most = FloatOfKey(most_key);
    if (attempt == 1 || !((most - plan.reference) * plan.slope > 100)) break;
    Rebase(plan, most, 1, 1, kFloorDepth);
  }
  const Report report = MakeReport(team, shared.report, shared.stream, row, plan, streamed, most, {});
  if (!report.finite) return false;
  // Weights are exp2(value * slope + offset); what offset is off by rounding goes into the sum of their logarithm.
  const double error = static_cast<double>(report.reference) * plan.slope + report.offset;
  const double log_sum = report.reference + log(report.mass) - error * 0.6931471805599453;
  if (num_top > 0) {
    uint64_t last = 0;
    const auto take = [&](uint64_t entry) {
      if (entry >= last) top.top[atomicAdd(&top.num_top, 1)] = entry;
    };
    if (report.heads_complete) {
      Shortlist<kBlocks, HalfRow> list(team, shared.search, shared.list, shared.stream, row, report.head, report.most);
      if (team.rank() == 0 && list.size() >= num_top) {
        last = list.Rank(false, num_top, 1);
        if (last != 0) list.ForEach(take);
      }
    }
    if (team.FromLeader(last, &shared.verdict) == 0) {
      const Cut cut = CutByCount(team, &shared.search, row, report.most, num_top);
      last = Packed(cut.key, cut.last_id);
      for (int i = static_cast<int>(threadIdx.x); i < row.count; i += kTeamThreads) {
        take(Packed(HalfRow::Key(row.At(i)), row.first_id + i));
      }
    }
  }
  team.Sync();
  if (team.rank() == 0 && threadIdx.x < 32) {
    // Each lane has at most one entry of the list and counts those before it.
    uint64_t mine = 0;
    int seen = 0;
    for (int rank = 0; rank < kBlocks; ++rank) {
      const int size = *team.Remote(&top.num_top, rank);
      const int at = static_cast<int>(threadIdx.x) - seen;
      if (at >= 0 && at < size) mine = team.Remote(top.top, rank)[at];
      seen += size;
    }
    int place = 0;
    for (int lane = 0; lane < 32; ++lane) place += __shfl_sync(0xffffffffu, mine, lane) > mine ? 1 : 0;
    if (mine != 0) {
      result->top_ids[place] = IdOf(mine);
      result->top_logprobs[place] = static_cast<float>(HalfRow::OfKey(KeyOf(mine)) - log_sum);
    }
    if (threadIdx.x == 0) {
      result->num_top = num_top;
      result->chosen = static_cast<float>(__half2float(logits[token_id]) - log_sum);
    }
  }
  team.Sync();  // other blocks' lists were read
  return true;
}

}  // namespace swiftlet::cuda
