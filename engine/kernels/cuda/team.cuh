// The blocks that work on one row together: a cluster of kTeamBlocks on sm_90, else one block. Reductions give every
// thread the same value, summed in one fixed order. Included by .cu files alone.
//
// Blocks write their part into the shared memory of all others and meet at a barrier: after it nobody needs another's
// memory, and a block may end.
#pragma once

#include <cooperative_groups.h>

#include <cstdint>

namespace swiftlet::cuda {

inline constexpr int kTeamThreads = 256;  // of one block
inline constexpr int kTeamWarps = kTeamThreads / 32;
inline constexpr int kMaxTeamBlocks = 8;
inline constexpr int kTeamSums = 4;

struct TeamShared {
  uint64_t warps[kTeamWarps][kTeamSums];
  uint64_t exchange[2][kMaxTeamBlocks][kTeamSums];
};

template <int kBlocks>
class Team {
 public:
  static_assert(kBlocks <= kMaxTeamBlocks);
  static constexpr bool kCluster = kBlocks > 1;

  // TeamShared lies in the shared memory of each block.
  __device__ explicit Team(TeamShared& shared) : shared_(shared) {}

  __device__ int rank() const { return kCluster ? static_cast<int>(blockIdx.x % kBlocks) : 0; }
  __device__ int row() const { return static_cast<int>(blockIdx.x / kBlocks); }

  // The memory of other blocks may be used once all have called Arrive, and this one Meet.
  __device__ void Arrive() const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if constexpr (kCluster) cooperative_groups::cluster_group::barrier_arrive();
#endif
  }
  __device__ void Meet() const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if constexpr (kCluster) cooperative_groups::cluster_group::barrier_wait();
#endif
  }

  // All threads of the team; also the fence for shared memory of other blocks.
  __device__ void Sync() const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if constexpr (kCluster) {
      cooperative_groups::cluster_group::sync();
      return;
    }
#endif
    __syncthreads();
  }

  // Where block `rank` has what this block has at `local`.
  template <typename T>
  __device__ T* Remote(T* local, int rank) const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if constexpr (kCluster) return cooperative_groups::cluster_group::map_shared_rank(local, rank);
#endif
    return local;
  }

  // The leader's value, for all.
  template <typename T>
  __device__ T FromLeader(T value, T* shared) const {
    if (rank() == 0 && threadIdx.x < kBlocks) *Remote(shared, static_cast<int>(threadIdx.x)) = value;
    Sync();
    return *shared;
  }

  // T is of 64 bits.
  template <typename T, typename Op>
  __device__ T Reduce(T value, Op op) {
    static_assert(sizeof(T) == sizeof(uint64_t));
    const int lane = static_cast<int>(threadIdx.x) % 32;
    value = BlockPart(value, op);
    if constexpr (!kCluster) {
      __syncthreads();
      return value;
    }
    const auto at = [this](int from) { return reinterpret_cast<T*>(&shared_.exchange[parity_][from][0]); };
    if (threadIdx.x < kBlocks) *Remote(at(rank()), static_cast<int>(threadIdx.x)) = value;
    Sync();
    value = ReduceLanes<kBlocks>(*at(lane % kBlocks), op);
    parity_ ^= 1;  // others may still read this one
    return value;
  }

  // Several sums with one barrier of the team.
  __device__ void SumAll(uint64_t (&values)[kTeamSums]) {
    const auto add = [](uint64_t a, uint64_t b) { return a + b; };
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int k = 0; k < kTeamSums; ++k) {
      values[k] = ReduceLanes<32>(values[k], add);
      if (lane == 0) shared_.warps[threadIdx.x / 32][k] = values[k];
    }
    __syncthreads();
    if (threadIdx.x < kTeamSums * kBlocks) {
      const int k = static_cast<int>(threadIdx.x) % kTeamSums;
      uint64_t sum = 0;
      for (int warp = 0; warp < kTeamWarps; ++warp) sum += shared_.warps[warp][k];
      *Remote(&shared_.exchange[parity_][rank()][k], static_cast<int>(threadIdx.x) / kTeamSums) = sum;
    }
    Sync();
#pragma unroll
    for (int k = 0; k < kTeamSums; ++k) {
      values[k] = ReduceLanes<kBlocks>(shared_.exchange[parity_][lane % kBlocks][k], add);
    }
    parity_ ^= 1;
  }

  // The largest score, and the lowest id that has it.
  __device__ void Best(uint64_t& score, uint32_t& id) {
    const auto better = [](uint64_t score, uint32_t id, uint64_t other_score, uint32_t other_id) {
      return other_score > score || (other_score == score && other_id < id);
    };
    const auto reduce = [&](int lanes) {
      for (int offset = lanes / 2; offset > 0; offset /= 2) {
        const uint64_t other_score = __shfl_xor_sync(0xffffffffu, score, offset);
        const uint32_t other_id = __shfl_xor_sync(0xffffffffu, id, offset);
        if (better(score, id, other_score, other_id)) score = other_score, id = other_id;
      }
    };
    const int lane = static_cast<int>(threadIdx.x) % 32;
    reduce(32);
    if (lane == 0) {
      shared_.warps[threadIdx.x / 32][0] = score;
      shared_.warps[threadIdx.x / 32][1] = id;
    }
    __syncthreads();
    score = shared_.warps[lane % kTeamWarps][0];
    id = static_cast<uint32_t>(shared_.warps[lane % kTeamWarps][1]);
    reduce(kTeamWarps);
    if constexpr (!kCluster) {
      __syncthreads();
      return;
    }
    if (threadIdx.x < kBlocks) {
      uint64_t* const to = Remote(&shared_.exchange[parity_][rank()][0], static_cast<int>(threadIdx.x));
      to[0] = score;
      to[1] = id;
    }
    Sync();
    score = shared_.exchange[parity_][lane % kBlocks][0];
    id = static_cast<uint32_t>(shared_.exchange[parity_][lane % kBlocks][1]);
    reduce(kBlocks);
    parity_ ^= 1;
  }

  // Of the calling block alone.
  template <typename T, typename Op>
  __device__ T ReduceBlock(T value, Op op) {
    value = BlockPart(value, op);
    __syncthreads();
    return value;
  }

  __device__ uint64_t Max(uint64_t value) {
    return Reduce(value, [](uint64_t a, uint64_t b) { return a > b ? a : b; });
  }
  template <typename T>
  __device__ T Sum(T value) {
    return Reduce(value, [](T a, T b) { return a + b; });
  }

 private:
  template <int kLanes, typename T, typename Op>
  static __device__ T ReduceLanes(T value, Op op) {
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) {
      value = op(value, __shfl_xor_sync(0xffffffffu, value, offset));
    }
    return value;
  }

  template <typename T, typename Op>
  __device__ T BlockPart(T value, Op op) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    value = ReduceLanes<32>(value, op);
    if (lane == 0) *reinterpret_cast<T*>(&shared_.warps[threadIdx.x / 32][0]) = value;
    __syncthreads();
    return ReduceLanes<kTeamWarps>(*reinterpret_cast<T*>(&shared_.warps[lane % kTeamWarps][0]), op);
  }

  TeamShared& shared_;
  int parity_ = 0;
};

// Places for `wanted` entries of each thread of a warp in a list whose size is `size`; the thread's first one.
__device__ __forceinline__ int ReservePlaces(int* size, int wanted) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int sum = wanted;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, sum, offset);
    if (lane >= offset) sum += other;
  }
  int first = 0;
  if (lane == 31 && sum > 0) first = atomicAdd(size, sum);
  return __shfl_sync(0xffffffffu, first, 31) + sum - wanted;
}

}  // namespace swiftlet::cuda
