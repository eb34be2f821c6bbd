// The blocks that work on one row together: a cluster of kTeamBlocks on sm_90, else one block. Reductions give every
// thread the same value, summed in one fixed order. Included by .cu files alone.
#pragma once

#include <cooperative_groups.h>

#include <cstdint>

namespace swiftlet::cuda {

inline constexpr int kTeamThreads = 256;  // of one block
inline constexpr int kTeamWarps = kTeamThreads / 32;

inline constexpr int kTeamSums = 4;

struct TeamShared {
  uint64_t warps[kTeamWarps * kTeamSums];
  uint64_t exchange[2][kTeamSums];
};

template <int kBlocks>
class Team {
 public:
  // TeamShared lies in the shared memory of each block.
  __device__ explicit Team(TeamShared& shared) : shared_(shared) {}

  __device__ int rank() const { return kBlocks == 1 ? 0 : static_cast<int>(blockIdx.x % kBlocks); }
  __device__ int row() const { return static_cast<int>(blockIdx.x / kBlocks); }

  // All threads of the team; also the fence for shared memory of other blocks.
  __device__ void Sync() const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if constexpr (kBlocks > 1) {
      cooperative_groups::this_cluster().sync();
      return;
    }
#endif
    __syncthreads();
  }

  // Where block `rank` has what this block has at `local`.
  template <typename T>
  __device__ T* Remote(T* local, int rank) const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if constexpr (kBlocks > 1) return cooperative_groups::this_cluster().map_shared_rank(local, rank);
#endif
    return local;
  }

  // T is of 64 bits.
  template <typename T, typename Op>
  __device__ T Reduce(T value, Op op) {
    static_assert(sizeof(T) == sizeof(uint64_t));
    T* const warps = reinterpret_cast<T*>(shared_.warps);
    T* const exchange = reinterpret_cast<T*>(shared_.exchange[parity_]);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    value = ReduceLanes<32>(value, op);
    if (lane == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = ReduceLanes<kTeamWarps>(warps[lane % kTeamWarps], op);
    if constexpr (kBlocks == 1) {
      __syncthreads();
      return value;
    }
    if (threadIdx.x == 0) *exchange = value;
    Sync();
    value = ReduceLanes<kBlocks>(*Remote(exchange, lane % kBlocks), op);
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
      if (lane == 0) shared_.warps[kTeamSums * (threadIdx.x / 32) + k] = values[k];
    }
    __syncthreads();
    if (threadIdx.x < kTeamSums) {
      uint64_t sum = 0;
      for (int warp = 0; warp < kTeamWarps; ++warp) sum += shared_.warps[kTeamSums * warp + threadIdx.x];
      shared_.exchange[parity_][threadIdx.x] = sum;
    }
    Sync();
#pragma unroll
    for (int k = 0; k < kTeamSums; ++k) {
      values[k] = ReduceLanes<kBlocks>(*Remote(&shared_.exchange[parity_][k], lane % kBlocks), add);
    }
    parity_ ^= 1;
  }

  // Of the calling block alone.
  template <typename T, typename Op>
  __device__ T ReduceBlock(T value, Op op) {
    T* const warps = reinterpret_cast<T*>(shared_.warps);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    value = ReduceLanes<32>(value, op);
    if (lane == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = ReduceLanes<kTeamWarps>(warps[lane % kTeamWarps], op);
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
    for (int offset = kLanes / 2; offset > 0; offset /= 2)
      value = op(value, __shfl_xor_sync(0xffffffffu, value, offset));
    return value;
  }

  TeamShared& shared_;
  int parity_ = 0;
};

}  // namespace swiftlet::cuda
