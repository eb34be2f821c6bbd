// The blocks that work on one row together: a cluster on sm_90 where rows are few, else one block. Reductions give
// every thread the same value, summed in one fixed order. Included by .cu files alone.
//
// Blocks write what others need into the shared memory of those and meet at a barrier: after it nobody needs another's
// memory, and a block may end.
#pragma once

#include <cooperative_groups.h>

#include <cstdint>

namespace swiftlet::cuda {

inline constexpr int kTeamThreads = 512;  // of one block: two of them fill an SM
inline constexpr int kTeamWarps = kTeamThreads / 32;
inline constexpr int kMaxTeamBlocks = 8;

struct TeamShared {
  uint64_t warps[2][kTeamWarps][2];
  uint64_t exchange[2][kMaxTeamBlocks][2];
};

__device__ __forceinline__ uint32_t WarpMax(uint32_t value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  return __reduce_max_sync(0xffffffffu, value);
#else
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value = max(value, __shfl_xor_sync(0xffffffffu, value, offset));
  return value;
#endif
}

__device__ __forceinline__ uint64_t WarpMax(uint64_t value) {
  const auto high = static_cast<uint32_t>(value >> 32);
  const uint32_t most = WarpMax(high);
  return uint64_t{most} << 32 | WarpMax(high == most ? static_cast<uint32_t>(value) : 0u);
}

template <int kLanes, typename T>
__device__ __forceinline__ T SumLanes(T value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

template <int kBlocks>
class Team {
 public:
  static_assert(kBlocks <= kMaxTeamBlocks && kTeamWarps <= 32);
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

  // Of the calling block alone.
  __device__ uint64_t BlockMax(uint64_t value) {
    uint64_t(&warps)[kTeamWarps][2] = Warps();
    value = WarpMax(value);
    if (lane() == 0) warps[warp()][0] = value;
    __syncthreads();
    return WarpMax(warps[lane() % kTeamWarps][0]);
  }
  __device__ void BlockMaxOfEach(uint32_t& a, uint32_t& b) {
    uint64_t(&warps)[kTeamWarps][2] = Warps();
    a = WarpMax(a);
    b = WarpMax(b);
    if (lane() == 0) warps[warp()][0] = uint64_t{a} << 32 | b;
    __syncthreads();
    const uint64_t both = warps[lane() % kTeamWarps][0];
    a = WarpMax(static_cast<uint32_t>(both >> 32));
    b = WarpMax(static_cast<uint32_t>(both));
  }
  template <typename T>
  __device__ void BlockSumOfEach(T& a, T& b) {
    static_assert(sizeof(T) == sizeof(uint64_t));
    uint64_t(&warps)[kTeamWarps][2] = Warps();
    a = SumLanes<32>(a);
    b = SumLanes<32>(b);
    T* const mine = reinterpret_cast<T*>(&warps[warp()][0]);
    if (lane() == 0) mine[0] = a, mine[1] = b;
    __syncthreads();
    const T* const other = reinterpret_cast<const T*>(&warps[lane() % kTeamWarps][0]);
    a = SumLanes<kTeamWarps>(other[0]);
    b = SumLanes<kTeamWarps>(other[1]);
  }

  // Of the team.
  __device__ uint64_t Max(uint64_t value) {
    value = BlockMax(value);
    if constexpr (!kCluster) return value;
    uint64_t(&blocks)[kMaxTeamBlocks][2] = Exchange();
    if (threadIdx.x < kBlocks) (*Remote(&blocks, static_cast<int>(threadIdx.x)))[rank()][0] = value;
    Sync();
    return WarpMax(blocks[lane() % kBlocks][0]);
  }
  template <typename T>
  __device__ void SumOfEach(T& a, T& b) {
    BlockSumOfEach(a, b);
    if constexpr (!kCluster) return;
    uint64_t(&blocks)[kMaxTeamBlocks][2] = Exchange();
    if (threadIdx.x < kBlocks) {
      T* const to = reinterpret_cast<T*>(&(*Remote(&blocks, static_cast<int>(threadIdx.x)))[rank()][0]);
      to[0] = a, to[1] = b;
    }
    Sync();
    const T* const from = reinterpret_cast<const T*>(&blocks[lane() % kBlocks][0]);
    a = SumLanes<kBlocks>(from[0]);
    b = SumLanes<kBlocks>(from[1]);
  }

 private:
  static __device__ int lane() {
    return static_cast<int>(threadIdx.x) % 32;
  }
  static __device__ int warp() {
    return static_cast<int>(threadIdx.x) / 32;
  }

  // Two of each in turn: threads may still read the last one.
  __device__ uint64_t (&Warps())[kTeamWarps][2] {
    warps_parity_ ^= 1;
    return shared_.warps[warps_parity_];
  }
  __device__ uint64_t (&Exchange())[kMaxTeamBlocks][2] {
    exchange_parity_ ^= 1;
    return shared_.exchange[exchange_parity_];
  }

  TeamShared& shared_;
  int warps_parity_ = 0, exchange_parity_ = 0;
};

}  // namespace swiftlet::cuda
