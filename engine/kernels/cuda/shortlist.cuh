// Cuts a row in one or two passes, where RowSearch takes several: a sample of the row says where the cut must be, one
// pass collects the tokens around it (the shortlist) and sums the rest, and one block finds the exact place among the
// few collected. When the sample misled, or too many values are equal, the answer is "not found" and RowSearch is
// asked. Included by .cu files alone.
#pragma once

#include <cfloat>
#include <cstdint>

#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/race.cuh"
#include "engine/kernels/cuda/row_search.cuh"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

inline constexpr int kSampleBins = 1024;  // of distances below the largest value
inline constexpr int kSampledOneIn = 16;
inline constexpr int kMaxListed = 1024;  // of a block
inline constexpr int kMaxLocal = 128;    // of a block, to be brought together with the others
inline constexpr int kMaxRanked = 256;   // in one bin of the last search

// The largest key above, the complement of the lowest id that has it below: entries are in order of (z up, id down).
__device__ __forceinline__ uint64_t Packed(uint32_t key, int id) {
  return uint64_t{key} << 32 | (0xffffffffu - static_cast<uint32_t>(id));
}
__device__ __forceinline__ uint32_t KeyOf(uint64_t packed) {
  return static_cast<uint32_t>(packed >> 32);
}
__device__ __forceinline__ int IdOf(uint64_t packed) {
  return static_cast<int>(0xffffffffu - static_cast<uint32_t>(packed));
}

struct ShortlistShared {
  uint64_t listed[kMaxListed];
  float masses[kTeamWarps];
  int counts[kTeamWarps];
  int num_listed;
  int edge_bins[3];
  int crossing_count;
  int num_ranked;  // by the leader
  unsigned long long cut;
};

// What one pass over the row found; the same for all threads of the team.
struct Gathered {
  unsigned long long mass;    // of the row, when asked for
  unsigned long long above;   // mass of the values from `high` on
  unsigned long long listed;  // mass of the list
  int size;                   // of the lists of all blocks
  bool complete;              // no list ran over
};

template <int kBlocks, typename Row>
class Shortlist {
 public:
  __device__ Shortlist(Team<kBlocks>& team, SearchShared& search, ShortlistShared& shared, const Row& row,
                       float max_value, float min_value)
      : team_(team),
        search_(search),
        shared_(shared),
        row_(row),
        max_value_(max_value),
        min_value_(min_value),
        sample_(reinterpret_cast<uint32_t*>(search.total)),
        ranked_(search.bins),
        ranked_masses_(search.bins + kMaxRanked) {
    static_assert(kSampleBins / 2 * sizeof(uint32_t) <= sizeof(search.total) && 2 * kMaxRanked <= kSearchBins);
    const float range = fminf(fmaxf((max_value - min_value) * row.scale, 1e-6f), 32.0f);
    bins_per_z_ = (kSampleBins - 1) / range;
    bins_per_value_ = bins_per_z_ * row.scale;
  }

  // Counts one token in 16 by its distance from the largest. Afterwards each thread knows its four bins.
  __device__ void TakeSample() {
    const int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < kSampleBins / 2; i += kTeamThreads) sample_[i] = 0;
    __syncthreads();
    for (int i = thread; kSampledOneIn * i < row_.count; i += kTeamThreads) {
      const int at = kSampledOneIn * i + (5 * i & 15);
      if (at >= row_.count) break;
      const float distance = (max_value_ - row_.At(at)) * bins_per_value_;
      const int bin = static_cast<int>(fminf(distance, kSampleBins - 1));
      atomicAdd(sample_ + bin / 2, 1u << (16 * (bin % 2)));
    }
    team_.Sync();
    uint2 packed = {0, 0};
#pragma unroll
    for (int rank = 0; rank < kBlocks; ++rank) {
      const uint2 other = *reinterpret_cast<const uint2*>(team_.Remote(sample_ + 2 * thread, rank));
      packed.x += other.x, packed.y += other.y;
    }
    const int counts[kOwnBins] = {static_cast<int>(packed.x & 0xffff), static_cast<int>(packed.x >> 16),
                                  static_cast<int>(packed.y & 0xffff), static_cast<int>(packed.y >> 16)};
    int count = 0;
    float mass = 0;
#pragma unroll
    for (int k = 0; k < kOwnBins; ++k) {
      counts_[k] = counts[k];
      masses_[k] = static_cast<float>(counts[k]) * Exp2(-(kOwnBins * thread + k + 0.5f) / bins_per_z_ * kLog2E);
      count += counts_[k];
      mass += masses_[k];
    }
    // What stands before this thread's bins, from the top.
    const int lane = thread % 32, warp = thread / 32;
    int count_sum = count;
    float mass_sum = mass;
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
      const int other_count = __shfl_up_sync(0xffffffffu, count_sum, offset);
      const float other_mass = __shfl_up_sync(0xffffffffu, mass_sum, offset);
      if (lane >= offset) count_sum += other_count, mass_sum += other_mass;
    }
    if (lane == 31) {
      shared_.counts[warp] = count_sum;
      shared_.masses[warp] = mass_sum;
    }
    __syncthreads();
    count_before_ = count_sum - count;
    mass_before_ = mass_sum - mass;
    sampled_ = 0;
    sampled_mass_ = 0;
#pragma unroll
    for (int i = 0; i < kTeamWarps; ++i) {
      if (i < warp) count_before_ += shared_.counts[i], mass_before_ += shared_.masses[i];
      sampled_ += shared_.counts[i], sampled_mass_ += shared_.masses[i];
    }
  }

  // Of the row, from the sample; at least that of the largest value.
  __device__ float EstimatedMass() const {
    return 1 + kSampledOneIn * sampled_mass_;
  }

  // The value above which stand about `count` tokens, at most.
  __device__ float ValueAtCount(int count) {
    return EdgeOf(FindEdge(0, count / kSampledOneIn));
  }

  // About as many tokens as `margin` above and below the place where the mass above is all but `mass_below`, which
  // is in units of the largest value's.
  __device__ void BracketAtMass(float mass_below, int margin, float& low, float& high) {
    const float above = sampled_mass_ - mass_below / kSampledOneIn;
    if (threadIdx.x == 0) shared_.crossing_count = sampled_;
    __syncthreads();
    float mass = mass_before_;
    int count = count_before_;
#pragma unroll
    for (int k = 0; k < kOwnBins; ++k) {
      if (mass < above && mass + masses_[k] >= above) shared_.crossing_count = count + counts_[k] / 2;
      mass += masses_[k];
      count += counts_[k];
    }
    __syncthreads();
    const int crossing = shared_.crossing_count;
    const int above_bracket = crossing - margin / kSampledOneIn;
    const int top_bins = above_bracket > 0 ? FindEdge(0, above_bracket) : 0;
    high = top_bins > 0 ? EdgeOf(top_bins) : INFINITY;
    low = EdgeOf(min(FindEdge(1, crossing + margin / kSampledOneIn) + 1, kSampleBins));
  }

  // One pass: lists the values in [low, high), sums the weights of all, and of those from `high` on.
  __device__ Gathered Gather(float low, float high) {
    __syncthreads();  // the memory had other uses
    if (threadIdx.x == 0) shared_.num_listed = 0;
    for (int i = static_cast<int>(threadIdx.x); i < kSearchBins; i += kTeamThreads) search_.total[i] = 0;
    __syncthreads();
    low_ = fmaxf(low, min_value_);
    high_ = fminf(high, max_value_);
    const float exponent = row_.scale * kLog2E;
    float mass = 0, above = 0;
    constexpr int kChunks = 4;  // of eight, between two looks at the list
    constexpr int kStride = 8 * kTeamThreads;
    // All threads of a warp go through the same rounds.
#pragma unroll 1
    for (int round = 0; round < row_.count; round += kChunks * kStride) {
      uint32_t inside = 0;
#pragma unroll 2
      for (int chunk = 0; chunk < kChunks; ++chunk) {
        const int i = round + chunk * kStride + 8 * static_cast<int>(threadIdx.x);
        if (i < row_.count) {
          float values[8];
          row_.Load8(i, values);
          uint32_t bits = 0;
#pragma unroll
          for (int k = 0; k < 8; ++k) {
            const float weight = Exp2((values[k] - max_value_) * exponent);
            mass += weight;
            const bool over = values[k] >= high;
            if (over) above += weight;
            if (values[k] >= low && !over) bits |= 1u << k;
          }
          inside |= bits << (8 * chunk);
        }
      }
      int place = ReservePlaces(&shared_.num_listed, __popc(inside));
#pragma unroll 1
      for (; inside != 0 && place < kMaxListed; inside &= inside - 1, ++place) {
        const int k = __ffs(static_cast<int>(inside)) - 1;
        const int at = round + k / 8 * kStride + 8 * static_cast<int>(threadIdx.x) + k % 8;
        shared_.listed[place] = Packed(Row::Key(row_.At(at)), row_.first_id + at);
      }
    }
    __syncthreads();
    const int size = shared_.num_listed;
    uint64_t listed = 0;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < min(size, kMaxListed); i += kTeamThreads) {
      const unsigned long long one = MassOf(shared_.listed[i]);
      atomicAdd(search_.total + BinOf(shared_.listed[i]), one);
      listed += one;
    }
    uint64_t sums[kTeamSums] = {MassOfWeight(mass), MassOfWeight(above), listed, 0};
    // Bits 40 on: how many lists ran over. Bits 20 on: how many do not fit when all are brought together.
    if (threadIdx.x == 0) {
      sums[3] = static_cast<uint64_t>(size) | uint64_t{size > kMaxListed} << 40 | uint64_t{size > kMaxLocal} << 20;
    }
    team_.SumAll(sums);
    local_ = false;
    size_ = static_cast<int>(sums[3] & 0xfffff);
    can_be_local_ = (sums[3] >> 20 & 0xfffff) == 0 && size_ <= kMaxListed;
    return {sums[0], sums[1], sums[2], size_, sums[3] >> 40 == 0};
  }

  // What follows is for the leader's threads alone, after Gather. Entries below `last` do not count.

  // The last entry kept when the list is measured from the top, `before` standing above it, up to `target`; 0 when it
  // is not there. Measured by mass or by number.
  __device__ uint64_t Rank(bool by_mass, unsigned long long before, unsigned long long target, uint64_t last) {
    const int thread = static_cast<int>(threadIdx.x);
    const auto measure = [&](uint64_t entry) { return by_mass ? MassOf(entry) : 1ull; };
    if (thread == 0) {
      shared_.num_ranked = 0;
      shared_.cut = 0;
    }
    if (by_mass && last <= 1) {
      // Gather has put the masses of each block's list into its bins.
#pragma unroll 1
      for (int i = thread; i < kSearchBins; i += kTeamThreads) {
        unsigned long long sum = 0;
#pragma unroll
        for (int rank = 0; rank < kBlocks; ++rank) sum += *team_.Remote(search_.total + i, rank);
        search_.total[i] = sum;
      }
    } else {
      for (int i = thread; i < kSearchBins; i += kTeamThreads) search_.total[i] = 0;
      __syncthreads();
      ForEach([&](uint64_t entry) {
        if (entry >= last) atomicAdd(search_.total + BinOf(entry), measure(entry));
      });
    }
    __syncthreads();
    if (target <= before) return 0;
    const int bin = FindBin(search_, target - before);
    if (bin < 0) return 0;
    before += search_.before;
    ForEach([&](uint64_t entry) {
      if (entry < last || BinOf(entry) != bin) return;
      const int place = atomicAdd(&shared_.num_ranked, 1);
      if (place >= kMaxRanked) return;
      ranked_[place] = entry;
      ranked_masses_[place] = measure(entry);
    });
    __syncthreads();
    const int size = shared_.num_ranked;
    if (size <= kMaxRanked && thread < size) {
      const unsigned long long entry = ranked_[thread];
#pragma unroll 4
      for (int i = 0; i < size; ++i) before += ranked_[i] > entry ? ranked_masses_[i] : 0;
      if (before < target && before + ranked_masses_[thread] >= target) shared_.cut = entry;
    }
    __syncthreads();
    return shared_.cut;
  }

  __device__ unsigned long long MassFrom(uint64_t last) {
    unsigned long long mass = 0;
    ForEach([&](uint64_t entry) { mass += entry >= last ? MassOf(entry) : 0; });
    return team_.ReduceBlock(mass, [](unsigned long long a, unsigned long long b) { return a + b; });
  }

  // The winner, Packed with 1.
  __device__ uint64_t Race(uint64_t last, const DrawKey& key) {
    Racer best;
    ForEach([&](uint64_t entry) {
      if (entry < last) return;
      const int id = IdOf(entry);
      best.Offer(__fmul_rn(Row::OfKey(KeyOf(entry)), row_.scale), id, DeviceCoarseNoise(key, id), key);
    });
    const auto larger = [](uint64_t a, uint64_t b) { return a > b ? a : b; };
    const uint64_t winner = team_.ReduceBlock(best.Ordered(), larger);
    return team_.ReduceBlock(best.Ordered() == winner ? Packed(1, best.id) : 0, larger);
  }

  // By the leader's threads: brings the lists together, where there is room.
  __device__ void BringTogether() {
    if (!can_be_local_) return;
    if constexpr (kBlocks == 1) {
      local_ = true;
      return;
    }
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int rank = static_cast<int>(threadIdx.x) / 32 / kWarpsEach;
    const int at = static_cast<int>(threadIdx.x) % (32 * kWarpsEach);
    const int sizes = *team_.Remote(&shared_.num_listed, min(lane, kBlocks - 1));
    const uint64_t* const listed = team_.Remote(shared_.listed, rank);
    const int size = __shfl_sync(0xffffffffu, sizes, rank);
    uint64_t entries[kMaxLocal / 32];
#pragma unroll
    for (int k = 0; k < kMaxLocal / 32; ++k) {
      const int i = at + k * 32 * kWarpsEach;
      entries[k] = i < size ? listed[i] : 0;
    }
    int before = 0;
    for (int other = 0; other < rank; ++other) before += __shfl_sync(0xffffffffu, sizes, other);
    __syncthreads();  // the leader's own list is in registers now, too
#pragma unroll
    for (int k = 0; k < kMaxLocal / 32; ++k) {
      const int i = at + k * 32 * kWarpsEach;
      if (i < size) shared_.listed[before + i] = entries[k];
    }
    __syncthreads();
    local_ = true;
  }

  __device__ unsigned long long MassOf(uint64_t entry) const {
    return MassOfWeight(WeightOf(row_, Row::OfKey(KeyOf(entry)), max_value_));
  }

  // All entries of all blocks, shared out over the calling block's threads: a warp reads the list of one block, unless
  // they were brought together.
  template <typename Visit>
  __device__ void ForEach(Visit visit) const {
    const int rank = local_ ? 0 : static_cast<int>(threadIdx.x) / 32 / kWarpsEach;
    const int stride = local_ ? kTeamThreads : 32 * kWarpsEach;
    const int size = local_ ? size_ : min(*team_.Remote(&shared_.num_listed, rank), kMaxListed);
    const uint64_t* const listed = local_ ? shared_.listed : team_.Remote(shared_.listed, rank);
    constexpr int kInFlight = 8;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x) % stride; i < size; i += kInFlight * stride) {
      uint64_t entries[kInFlight];
#pragma unroll
      for (int k = 0; k < kInFlight; ++k) entries[k] = i + k * stride < size ? listed[i + k * stride] : 0;
      // One copy of the visit: the entries move to it.
#pragma unroll 1
      while (entries[0] != 0) {
        visit(entries[0]);
#pragma unroll
        for (int k = 0; k + 1 < kInFlight; ++k) entries[k] = entries[k + 1];
        entries[kInFlight - 1] = 0;
      }
    }
  }

 private:
  static_assert(kTeamWarps % kBlocks == 0);
  static constexpr int kWarpsEach = kTeamWarps / kBlocks;
  static constexpr int kOwnBins = kSampleBins / kTeamThreads;
  static_assert(kOwnBins == 4);

  __device__ float EdgeOf(int bin) const {
    return bin >= kSampleBins ? -FLT_MAX : max_value_ - static_cast<float>(bin) / bins_per_value_;
  }

  // The number of bins, from the top, that hold no more than `count` of the sample.
  __device__ int FindEdge(int slot, int count) {
    if (threadIdx.x == 0) shared_.edge_bins[slot] = kSampleBins;
    __syncthreads();
    int sum = count_before_;
#pragma unroll
    for (int k = 0; k < kOwnBins; ++k) {
      if (sum <= count && sum + counts_[k] > count) shared_.edge_bins[slot] = kOwnBins * threadIdx.x + k;
      sum += counts_[k];
    }
    __syncthreads();
    return shared_.edge_bins[slot];
  }

  // Bins by value over the range of the list: keys crowd together near zero.
  __device__ int BinOf(uint64_t entry) const {
    const float bins_per_value = (kSearchBins - 1) / fmaxf(high_ - low_, 1e-30f);
    return static_cast<int>(fminf((high_ - Row::OfKey(KeyOf(entry))) * bins_per_value, kSearchBins - 1));
  }

  Team<kBlocks>& team_;
  SearchShared& search_;
  ShortlistShared& shared_;
  const Row& row_;
  const float max_value_, min_value_;
  // In memory that the search by histograms does not need now.
  uint32_t* const sample_;  // two counts of 16 bits a word
  unsigned long long* const ranked_;
  unsigned long long* const ranked_masses_;
  float bins_per_z_, bins_per_value_;
  float low_ = 0, high_ = 0;  // of the list
  int size_ = 0;
  bool local_ = false, can_be_local_ = false;
  int counts_[kOwnBins];
  float masses_[kOwnBins];
  int count_before_ = 0, sampled_ = 0;
  float mass_before_ = 0, sampled_mass_ = 0;
};

}  // namespace swiftlet::cuda
