// Draws the token of one row: the ways that mostly do, and the one that always does. Included by .cu files alone.
#pragma once

#include <cfloat>
#include <cstdint>

#include "engine/kernels/cuda/contest.cuh"
#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/philox.cuh"
#include "engine/kernels/cuda/row_sample.cuh"
#include "engine/kernels/cuda/row_search.cuh"
#include "engine/kernels/cuda/row_stream.cuh"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/shortlist.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

inline constexpr int kNotFinite = -2;
inline constexpr int kMaxListedTopK = 1024;

struct DrawShared {
  TeamShared team;
  SampleShared sample;
  StreamShared stream;
  ReportShared report;
  SearchShared search;
  ShortlistShared list;
  uint64_t verdict;  // of the leader
};

// Always finds the token; rarely asked, and slower: a pass for each step of the search.
template <int kBlocks, typename Row>
__device__ __noinline__ int DrawBySearch(Team<kBlocks> team, SearchShared* shared, Row row, const SamplingRow* sampling,
                                         DrawKey key) {
  FiniteWatch watch;
  const uint64_t first = team.Max(FirstOfLargest(team, row, watch));
  const float most = Row::OfKey(KeyOf(first));
  int token = IdOf(first);
  if (most > -INFINITY) {
    Cut cut = CutByDepth(row, *sampling, most);
    RowSearch<kBlocks, Row> search(team, *shared, row, most);
    if (sampling->top_k > 0) cut = search.ByCount(cut, sampling->top_k);
    if (sampling->top_p < 1) cut = search.ByMass(cut, sampling->top_p);
    token = RaceAll(team, row, cut, key);
  }
  team.Sync();  // the caller's copy of the team may use any memory of it
  return token;
}

// From the head of the row alone, of which a cut by count leaves a part; -1 where that does not do.
template <int kBlocks, typename Row>
__device__ int DrawFromHead(Team<kBlocks>& team, DrawShared& shared, const Row& row, const SamplingRow& sampling,
                            const Report& report, const DrawKey& key) {
  const Cut cut = CutByDepth(row, sampling, report.most);
  const float least = Row::OfKey(cut.key);
  const float low = fmaxf(least, report.head);
  if (!report.heads_complete || !(report.most > -INFINITY)) return -1;
  Shortlist<kBlocks, Row> list(team, shared.search, shared.list, shared.stream, row, low, report.most);
  uint64_t found = 0;
  if (team.rank() == 0) {
    const int size = list.size();
    const bool complete = size > 0 && (low == least || size >= sampling.top_k);
    found = complete ? 1 : 0;
    if (found != 0 && size > sampling.top_k) found = list.Rank(false, sampling.top_k, found);
    if (found != 0 && sampling.top_p < 1) {
      const auto total = static_cast<double>(list.MassFrom(found));
      const auto target = static_cast<unsigned long long>(ceil(sampling.top_p * total));
      found = list.Rank(true, target > 0 ? target : 1, found);
    }
    if (found != 0) found = list.Race(found, key);
  }
  found = team.FromLeader(found, &shared.verdict);
  return found == 0 ? -1 : IdOf(found);
}

// The token of a row that is not greedy, or kNotFinite.
template <int kBlocks, typename Row>
__device__ int DrawToken(Team<kBlocks>& team, DrawShared& shared, const Row& row, const SamplingRow& sampling,
                         int vocab, const DrawKey& key) {
  // Tokens that the head is to have, of a whole row.
  constexpr float kHeadTokens = 1024;
  const bool by_count = sampling.top_k > 0 && sampling.top_k < vocab;
  const bool by_depth = sampling.log_min_p > -INFINITY;
  SampleGoal goal;
  goal.low_mass = 1.15f * (1 - sampling.top_p) + 0.0075f;
  goal.head_tokens = kHeadTokens / kBlocks;
  goal.floor_depth = kFloorDepth - __logf(fmaxf(sampling.top_p, 0.2f));
  if (by_depth) goal.floor_depth = fmaxf(goal.floor_depth, 4);
  if (by_count) {
    goal.head_tokens = (256 + 1.25f * static_cast<float>(min(sampling.top_k, kMaxListedTopK))) / kBlocks;
    // The sample's largest value is no larger than the row's; a little for rounding.
    if (by_depth) goal.head_depth = 1e-3f - 1.0001f * sampling.log_min_p;
  }
  StreamPlan plan = TakeSample(team, shared.sample, row, goal);
  plan.race = plan.made && !by_count;
  plan.mass = plan.race && sampling.top_p < 1;
  Streamed streamed;
  float most;
  for (int attempt = 0;; ++attempt) {
    streamed = StreamSlice(shared.stream, row, plan, key);
    uint32_t most_key = FloatKey(streamed.most), unused = 0;
    team.BlockMaxOfEach(most_key, unused);
    most = FloatOfKey(most_key);
    // Weights up to 2^100 add up without overflow.
    if (!plan.race || attempt == 1 || !((most - plan.reference) * plan.slope > 100)) break;
    Rebase(plan, most, row.scale, 1, goal.floor_depth);
  }
  const Report report = MakeReport(team, shared.report, shared.stream, row, plan, streamed, most, key);
  if (!report.finite) return kNotFinite;
  int token = -1;
  if (!by_count) {
    token = WinnerOf(team, shared.report, shared.stream, row, plan, report, sampling);
  } else if (sampling.top_k <= kMaxListedTopK) {
    token = DrawFromHead(team, shared, row, sampling, report, key);
  }
  return token >= 0 ? token : DrawBySearch(team, &shared.search, row, &sampling, key);
}

}  // namespace swiftlet::cuda
