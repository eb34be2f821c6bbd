// The kernel of linear_skinny.h. Included by the files that instantiate it, one an epilogue.
#pragma once

#include <cuda_fp16.h>

#include "engine/kernels/cuda/hopper.cuh"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/linear_epilogue.cuh"
#include "engine/kernels/cuda/linear_skinny.h"

namespace swiftlet::cuda {

constexpr int kPiece = 32;               // K of one piece: 16 bytes of each lane of a quad
constexpr int kFragmentBytes = 32 * 16;  // of a warp: 8 rows of one piece

struct SkinnyParameters : LinearOutput {
  const __half* input;
  const __half* weight;
  int32_t in_features;
  int32_t num_tiles;  // of 16 * row_tiles * row_warps features
  // K in pieces: all, of a block of the cluster, of one pass of a block, of one warp in a pass.
  int32_t pieces, rank_pieces, pass_pieces, warp_pieces;
  int32_t passes;        // a block holds the input of one pass
  bool whole;            // no tile and no piece reaches beyond the weights
  int32_t input_stride;  // bytes of one token in shared memory
  int32_t partial_offset, joined_offset, barrier_offset, input_offset;  // bytes in shared memory
};

// Copies 16 bytes of weights.
__device__ __forceinline__ void CopyAsync(unsigned char* shared, const __half* global) {
#if __CUDA_ARCH__ >= 800
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
#else
  *reinterpret_cast<uint4*>(shared) = __ldg(reinterpret_cast<const uint4*>(global));
#endif
}

__device__ __forceinline__ void CommitCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int kPending>
__device__ __forceinline__ void WaitForCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

// accumulator[16 x 8] += a[16 x 16] b[16 x 8].
__device__ __forceinline__ void Multiply(float4& accumulator, unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                                         unsigned b0, unsigned b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(accumulator.x), "+f"(accumulator.y), "+f"(accumulator.z), "+f"(accumulator.w)
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+f"(accumulator.x), "+f"(accumulator.y), "+f"(accumulator.z), "+f"(accumulator.w)
               : "r"(a0), "r"(a1), "r"(b0));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+f"(accumulator.x), "+f"(accumulator.y), "+f"(accumulator.z), "+f"(accumulator.w)
               : "r"(a2), "r"(a3), "r"(b1));
#endif
}

// The pieces of K that one warp reads in one pass over one tile.
struct Range {
  int piece, end;

  __device__ __forceinline__ Range(const SkinnyParameters& p, int rank, int pass, int k_warp) {
    const int first = rank * p.rank_pieces + pass * p.pass_pieces;
    const int last = min(min(first + p.pass_pieces, (rank + 1) * p.rank_pieces), p.pieces);
    piece = first + k_warp * p.warp_pieces;
    end = min(piece + p.warp_pieces, last);
  }
};

// Threads: 32 x row_warps x k_warps. Blocks: cluster x groups of tiles x blocks of tokens. A cluster has one tile.
// kHopper: with bulk copies and clusters.
template <int kTokenTiles, int kRowTiles, int kStages, LinearEpilogue kEpilogue, bool kHopper>
__global__ void __launch_bounds__(512, kTokenTiles* kRowTiles <= 4 ? 2 : 1)
    SkinnyKernel(const __grid_constant__ SkinnyParameters p) {
  extern __shared__ __align__(128) unsigned char shared[];
  constexpr int kSlotBytes = 2 * kRowTiles * kFragmentBytes;
  const int lane = threadIdx.x, row_warp = threadIdx.y, k_warp = threadIdx.z;
  const int row_warps = blockDim.y, k_warps = blockDim.z, num_warps = row_warps * k_warps;
  const int warp = k_warp * row_warps + row_warp;
  const int rank = blockIdx.x, cluster = gridDim.x;  // that split K
  const int first_tile = blockIdx.y, tile_stride = gridDim.y;
  const int tile_rows = 16 * kRowTiles * row_warps;
  const int first_token = blockIdx.z * 8 * kTokenTiles;
  const int group = lane / 4, quad = lane % 4;
  const int passes = kHopper ? 1 : p.passes;

  unsigned char* const ring = shared + warp * (kStages * kSlotBytes) + lane * 16;
  unsigned char* const input = shared + p.input_offset;
  float4* const partial = reinterpret_cast<float4*>(shared + p.partial_offset) + lane;
  float4* const joined = reinterpret_cast<float4*>(shared + p.joined_offset) + lane;
  const unsigned input_barrier = SharedAddress(shared + p.barrier_offset), sums_barrier = input_barrier + 8;
  const int fragments = row_warps * kRowTiles * kTokenTiles;

  // The weights ahead: this lane's 16 bytes of row_in_tile in the next piece.
  const int row_in_tile = row_warp * 16 * kRowTiles + group;
  const int64_t eight_rows = int64_t{8} * p.in_features;
  int ahead_tile = first_tile, ahead_pass = 0, ahead_left;
  const __half* ahead;
  const auto enter_range = [&] {
    const Range range(p, rank, ahead_pass, k_warp);
    ahead_left = range.end - range.piece;
    ahead = p.weight + static_cast<int64_t>(ahead_tile * tile_rows + row_in_tile) * p.in_features +
            range.piece * kPiece + quad * 8;
  };
  enter_range();
  const auto fetch = [&](int slot) {
#pragma unroll 1
    while (ahead_left <= 0 && ahead_tile < p.num_tiles) {
      if (++ahead_pass == passes) {
        ahead_pass = 0;
        ahead_tile += tile_stride;
      }
      if (ahead_tile < p.num_tiles) enter_range();
    }
    if (ahead_left > 0) {
      unsigned char* const to = ring + slot * kSlotBytes;
      if (p.whole) {
#pragma unroll
        for (int i = 0; i < 2 * kRowTiles; ++i) CopyAsync(to + i * kFragmentBytes, ahead + i * eight_rows);
      } else {
        const int64_t at = ahead - p.weight;
        const int row = ahead_tile * tile_rows + row_in_tile;
        const bool in_row = at - static_cast<int64_t>(row) * p.in_features < p.in_features;
#pragma unroll 1
        for (int i = 0; i < 2 * kRowTiles; ++i) {
          if (in_row && row + 8 * i < p.out_features) {
            CopyAsync(to + i * kFragmentBytes, ahead + i * eight_rows);
          } else {
            *reinterpret_cast<uint4*>(to + i * kFragmentBytes) = uint4{};
          }
        }
      }
      ahead += kPiece;
      --ahead_left;
    }
    CommitCopies();
  };
#pragma unroll 1
  for (int slot = 0; slot < kStages; ++slot) fetch(slot);
  ReleaseSuccessor();
  if constexpr (kHopper) {
    if (warp == 0 && lane == 0) {
      InitBarrier(input_barrier);
      InitBarrier(sums_barrier);
      // Every block of the cluster sends its sums of the fragments that this one finishes.
      ExpectBytes(sums_barrier, (fragments - rank + cluster - 1) / cluster * cluster * kFragmentBytes);
    }
    __syncthreads();
    if (cluster > 1) ArriveAtCluster();
  }

  const auto row_of = [&](int tile, int fragment) { return tile * tile_rows + fragment / kTokenTiles * 16 + group; };
  const auto token_of = [&](int fragment) { return first_token + fragment % kTokenTiles * 8 + 2 * quad; };
  const int first_fragment = warp * cluster + rank;
  const int tokens = min(8 * kTokenTiles, p.num_rows - first_token);
  float4 first_residual = {};

  WaitForPredecessor();

  // Input of a pass: [token][pass_pieces * 32], rows 64 bytes apart modulo 128, so that the 16-byte reads of a warp
  // have no bank conflict.
  unsigned fills = 0;
  const auto load_input = [&](int pass) {
    const int first = rank * p.rank_pieces + pass * p.pass_pieces;
    const int last = min(min(first + p.pass_pieces, (rank + 1) * p.rank_pieces), p.pieces);
    const int columns = max(min(last * kPiece, p.in_features) - first * kPiece, 0);
    const __half* from = p.input + static_cast<int64_t>(first_token) * p.in_features + first * kPiece;
    if constexpr (kHopper) {
      if (lane == 0) {
        if (warp == 0) ExpectBytes(input_barrier, tokens * columns * 2);
#pragma unroll 1
        for (int token = warp; token < tokens && columns > 0; token += num_warps) {
          CopyBulk(SharedAddress(input + token * p.input_stride), from + static_cast<int64_t>(token) * p.in_features,
                   columns * 2, input_barrier);
        }
      }
      __syncwarp();
    } else {
#pragma unroll 1
      for (int column = (warp * 32 + lane) * 8; column < columns; column += num_warps * 256) {
        const __half* source = from + column;
        unsigned char* to = input + column * 2;
        constexpr int kBatch = 4;
#pragma unroll 1
        for (int token = 0; token < tokens; token += kBatch) {
          uint4 values[kBatch];
#pragma unroll
          for (int i = 0; i < kBatch; ++i) {
            if (token + i < tokens) values[i] = __ldcg(reinterpret_cast<const uint4*>(source + i * p.in_features));
          }
#pragma unroll
          for (int i = 0; i < kBatch; ++i) {
            if (token + i < tokens) *reinterpret_cast<uint4*>(to + i * p.input_stride) = values[i];
          }
          source += kBatch * p.in_features;
          to += kBatch * p.input_stride;
        }
      }
    }
    if (p.in_features % kPiece != 0) {
      // The end of the last piece.
      const int padding = (last - first) * kPiece - columns;
#pragma unroll 1
      for (int token = warp; token < tokens; token += num_warps) {
        if (lane * 8 < padding) {
          *reinterpret_cast<uint4*>(input + token * p.input_stride + columns * 2 + lane * 16) = uint4{};
        }
      }
    }
  };
  const auto wait_for_input = [&] {
    if constexpr (kHopper) WaitForBarrier(input_barrier, fills & 1);
    ++fills;
    if (!kHopper || p.in_features % kPiece != 0) __syncthreads();
  };

  load_input(0);
  if (first_fragment < fragments) {
    first_residual = LoadResidual<kEpilogue>(p, row_of(first_tile, first_fragment), token_of(first_fragment));
  }
  wait_for_input();

  int slot = 0, turn = warp, parity = 0;
#pragma unroll 1
  for (int tile = first_tile; tile < p.num_tiles; tile += tile_stride) {
    float4 sums[kRowTiles][kTokenTiles] = {};
#pragma unroll 1
    for (int pass = 0; pass < passes; ++pass) {
      if (passes > 1 && (pass > 0 || tile != first_tile)) {
        __syncthreads();
        load_input(pass);
        wait_for_input();
      }
      Range now(p, rank, pass, k_warp);
      const unsigned char* tokens_at = input + group * p.input_stride + quad * 16 +
                                       (now.piece - rank * p.rank_pieces - pass * p.pass_pieces) * kPiece * 2;
#pragma unroll 1
      for (; now.piece < now.end; ++now.piece, tokens_at += kPiece * 2) {
        WaitForCopies<kStages - 1>();
        uint4 weights[2 * kRowTiles];
#pragma unroll
        for (int i = 0; i < 2 * kRowTiles; ++i) {
          weights[i] = *reinterpret_cast<const uint4*>(ring + slot * kSlotBytes + i * kFragmentBytes);
        }
        fetch(slot);
        slot = slot + 1 == kStages ? 0 : slot + 1;
#pragma unroll
        for (int j = 0; j < kTokenTiles; ++j) {
          const uint4 x = *reinterpret_cast<const uint4*>(tokens_at + j * 8 * p.input_stride);
#pragma unroll
          for (int i = 0; i < kRowTiles; ++i) {
            const uint4 low = weights[2 * i], high = weights[2 * i + 1];
            Multiply(sums[i][j], low.x, high.x, low.y, high.y, x.x, x.y);
            Multiply(sums[i][j], low.z, high.z, low.w, high.w, x.z, x.w);
          }
        }
      }
    }

    // Sums of the k_warps in order, then of the blocks of the cluster in order. Fragments of a tile, [row tile][token
    // tile], are dealt to the warps; who begins changes from tile to tile, and there are two buffers, so that one
    // barrier a tile is enough.
    float4* const warp_sums = partial + parity * k_warps * fragments * 32;
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int j = 0; j < kTokenTiles; ++j) {
        warp_sums[(k_warp * fragments + (row_warp * kRowTiles + i) * kTokenTiles + j) * 32] = sums[i][j];
      }
    }
    __syncthreads();
    if (cluster > 1) WaitForCluster();  // that all blocks have begun
#pragma unroll 1
    for (int fragment = turn; fragment < fragments; fragment += num_warps) {
      float4 sum = warp_sums[fragment * 32];
#pragma unroll 4
      for (int k = 1; k < k_warps; ++k) AddTo(sum, warp_sums[(k * fragments + fragment) * 32]);
      if (cluster == 1) {
        const float4 old = tile == first_tile && fragment == first_fragment
                               ? first_residual
                               : LoadResidual<kEpilogue>(p, row_of(tile, fragment), token_of(fragment));
        Finish<kEpilogue>(p, sum, old, row_of(tile, fragment), token_of(fragment));
      } else {
        const int turn_of_cluster = fragment / cluster, owner = fragment - turn_of_cluster * cluster;
        Push(SharedAddress(&joined[(turn_of_cluster * cluster + rank) * 32]), sums_barrier, owner, sum);
      }
    }
    if (cluster > 1) {
      WaitForBarrier(sums_barrier, 0);
#pragma unroll 1
      for (int fragment = first_fragment; fragment < fragments; fragment += num_warps * cluster) {
        const float4* from = &joined[(fragment - rank) * 32];
        float4 sum = from[0];
#pragma unroll 4
        for (int block = 1; block < cluster; ++block) AddTo(sum, from[block * 32]);
        const float4 old = fragment == first_fragment
                               ? first_residual
                               : LoadResidual<kEpilogue>(p, row_of(tile, fragment), token_of(fragment));
        Finish<kEpilogue>(p, sum, old, row_of(tile, fragment), token_of(fragment));
      }
    }
    parity ^= 1;
    turn = turn == 0 ? num_warps - 1 : turn - 1;
  }
  WaitForCopies<0>();
}

using SkinnyKernelPointer = void (*)(SkinnyParameters);

// `hopper`: for blocks of 8 rows. The portable kernel has row_tiles 1, stages 4, and blocks of 8 * token_tiles rows (1,
// 2, 4 or 8).
template <LinearEpilogue kEpilogue>
SkinnyKernelPointer ChooseSkinnyKernel(int token_tiles, const SkinnyConfig& config, bool hopper) {
  if (hopper && config.row_tiles == 1) {
    return config.stages == 4 ? SkinnyKernel<1, 1, 4, kEpilogue, true> : SkinnyKernel<1, 1, 8, kEpilogue, true>;
  }
  if (hopper) {
    return config.stages == 4 ? SkinnyKernel<1, 2, 4, kEpilogue, true> : SkinnyKernel<1, 2, 8, kEpilogue, true>;
  }
  return token_tiles == 1   ? SkinnyKernel<1, 1, 4, kEpilogue, false>
         : token_tiles == 2 ? SkinnyKernel<2, 1, 4, kEpilogue, false>
         : token_tiles == 4 ? SkinnyKernel<4, 1, 4, kEpilogue, false>
                            : SkinnyKernel<8, 1, 4, kEpilogue, false>;
}
extern template SkinnyKernelPointer ChooseSkinnyKernel<LinearEpilogue::kStore>(int, const SkinnyConfig&, bool);
extern template SkinnyKernelPointer ChooseSkinnyKernel<LinearEpilogue::kAddTo>(int, const SkinnyConfig&, bool);
extern template SkinnyKernelPointer ChooseSkinnyKernel<LinearEpilogue::kSwiglu>(int, const SkinnyConfig&, bool);

}  // namespace swiftlet::cuda
