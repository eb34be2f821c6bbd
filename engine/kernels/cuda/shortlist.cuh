// Cuts by count, by min_p or of the most likely tokens: the head of the row, listed in the leader's shared memory and
// ranked there. Included by .cu files alone.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/contest.cuh"
#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/philox.cuh"
#include "engine/kernels/cuda/row_search.cuh"
#include "engine/kernels/cuda/row_stream.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

inline constexpr int kMaxListed = 2048;  // of a team
inline constexpr int kMaxRanked = 256;   // in one bin of the last search

struct ShortlistShared {
  uint64_t listed[kMaxListed];  // Packed
  int sizes[kMaxTeamBlocks];
  int num_listed;  // of this block
  int num_ranked;
  unsigned long long cut;
};

template <int kBlocks, typename Row>
class Shortlist {
 public:
  // Lists the values from `low` on, all of which lie in the listed heads; `most` is the largest of the row. By all
  // threads of the team; what follows is for those of the leader.
  __device__ Shortlist(Team<kBlocks>& team, SearchShared& search, ShortlistShared& shared, const StreamShared& stream,
                       const Row& row, float low, float most)
      : team_(team), search_(search), shared_(shared), scale_(row.scale), low_(low), most_(most) {
    if (threadIdx.x == 0) shared.num_listed = 0;
    __syncthreads();
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < kGroupTokens * stream.num_heads; i += kTeamThreads) {
      const int at = kGroupTokens * stream.heads[i / kGroupTokens] + i % kGroupTokens;
      if (at >= row.count) continue;
      const float value = row.At(at);
      if (!(value >= low)) continue;
      const int place = atomicAdd(&shared.num_listed, 1);
      if (place >= kEach) continue;
      *team.Remote(&shared.listed[team.rank() * kEach + place], 0) = Packed(Row::Key(value), row.first_id + at);
    }
    __syncthreads();
    if (threadIdx.x == 0) *team.Remote(&shared.sizes[team.rank()], 0) = shared.num_listed;
    team.Sync();
  }

  // Of the list; -1 when it is not complete.
  __device__ int size() const {
    int sum = 0;
    for (int rank = 0; rank < kBlocks; ++rank) {
      if (shared_.sizes[rank] > kEach) return -1;
      sum += shared_.sizes[rank];
    }
    return sum;
  }

  // The last entry kept when those from `last` on are measured from the top, up to `target`; 0 when it is not there.
  // Measured by mass or by number.
  __device__ uint64_t Rank(bool by_mass, unsigned long long target, uint64_t last) {
    const int thread = static_cast<int>(threadIdx.x);
    const auto measure = [&](uint64_t entry) { return by_mass ? MassOf(entry) : 1ull; };
    uint64_t* const ranked = reinterpret_cast<uint64_t*>(search_.bins);
    unsigned long long* const measures = search_.bins + kMaxRanked;
    static_assert(2 * kMaxRanked <= kSearchBins && kMaxRanked <= kTeamThreads);
    __syncthreads();
    if (thread == 0) shared_.num_ranked = 0, shared_.cut = 0;
    for (int i = thread; i < kSearchBins; i += kTeamThreads) search_.total[i] = 0;
    __syncthreads();
    ForEach([&](uint64_t entry) {
      if (entry >= last) atomicAdd(search_.total + BinOf(entry), measure(entry));
    });
    __syncthreads();
    const int bin = FindBin(search_, target);
    if (bin < 0) return 0;
    unsigned long long before = search_.before;
    ForEach([&](uint64_t entry) {
      if (entry < last || BinOf(entry) != bin) return;
      const int place = atomicAdd(&shared_.num_ranked, 1);
      if (place >= kMaxRanked) return;
      ranked[place] = entry;
      measures[place] = measure(entry);
    });
    __syncthreads();
    const int size = shared_.num_ranked;
    if (size <= kMaxRanked && thread < size) {
      const uint64_t entry = ranked[thread];
#pragma unroll 4
      for (int i = 0; i < size; ++i) before += ranked[i] > entry ? measures[i] : 0;
      if (before < target && before + measures[thread] >= target) shared_.cut = entry;
    }
    __syncthreads();
    return shared_.cut;
  }

  __device__ unsigned long long MassFrom(uint64_t last) {
    unsigned long long mass = 0, unused = 0;
    ForEach([&](uint64_t entry) { mass += entry >= last ? MassOf(entry) : 0; });
    team_.BlockSumOfEach(mass, unused);
    return mass;
  }

  // The winner, Packed with 1.
  __device__ uint64_t Race(uint64_t last, const DrawKey& key) {
    Racer best;
    ForEach([&](uint64_t entry) {
      if (entry < last) return;
      const int id = IdOf(entry);
      best.Offer(ScoreOf(__fmul_rn(Row::OfKey(KeyOf(entry)), scale_), id, DeviceCoarseNoise(key, id), key), id);
    });
    const uint64_t winner = team_.BlockMax(best.Ordered());
    return team_.BlockMax(best.Ordered() == winner ? Packed(1, best.id) : 0);
  }

  template <typename Visit>
  __device__ void ForEach(Visit visit) const {
    constexpr int kThreadsEach = kTeamThreads / kBlocks;
    const int rank = static_cast<int>(threadIdx.x) / kThreadsEach;
    const int size = min(shared_.sizes[rank], kEach);
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x) % kThreadsEach; i < size; i += kThreadsEach) {
      visit(shared_.listed[rank * kEach + i]);
    }
  }

 private:
  static constexpr int kEach = kMaxListed / kBlocks;

  __device__ unsigned long long MassOf(uint64_t entry) const {
    return MassOfWeight(Exp2((Row::OfKey(KeyOf(entry)) - most_) * (scale_ * kLog2E)));
  }

  // Bins by value over the range of the list: keys crowd together near zero.
  __device__ int BinOf(uint64_t entry) const {
    const float bins_per_value = (kSearchBins - 1) / fminf(fmaxf(most_ - low_, 1e-30f), 40 / scale_);
    return static_cast<int>(fminf((most_ - Row::OfKey(KeyOf(entry))) * bins_per_value, kSearchBins - 1));
  }

  Team<kBlocks>& team_;
  SearchShared& search_;
  ShortlistShared& shared_;
  const float scale_, low_, most_;
};

}  // namespace swiftlet::cuda
