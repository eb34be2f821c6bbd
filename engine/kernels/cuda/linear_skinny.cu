#include <absl/strings/str_cat.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <utility>

#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/linear_skinny.h"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kPiece = 32;               // K of one piece: 16 bytes of each lane of a quad
constexpr int kFragmentBytes = 32 * 16;  // of a warp: 8 rows of one piece

struct Parameters {
  const __half* input;
  const __half* weight;
  const float* bias;
  __half* output;
  float* residual;
  float scale;
  int32_t num_rows, out_features, in_features;
  int32_t num_tiles, row_warps, k_warps, cluster;
  int32_t token_tiles;                                   // tiles of 8 rows in one block
  int32_t pieces;                                        // of K
  int32_t passes;                                        // the input of a block is held in as many parts
  int32_t input_offset, partial_offset, cluster_offset;  // bytes in shared memory
  LinearEpilogue epilogue;
};

// Copies 16 bytes, or fills with zeros.
__device__ __forceinline__ void CopyAsync(unsigned char* shared, const __half* global, bool valid) {
#if __CUDA_ARCH__ >= 800
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(valid ? 16 : 0)
               : "memory");
#else
  *reinterpret_cast<uint4*>(shared) = valid ? __ldg(reinterpret_cast<const uint4*>(global)) : uint4{};
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

__device__ __forceinline__ int ClusterRank() {
  unsigned rank = 0;
#if __CUDA_ARCH__ >= 900
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return static_cast<int>(rank);
}

__device__ __forceinline__ void ClusterBarrier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// Reads shared memory of block `rank` of the cluster at the address that `local` has in this block.
__device__ __forceinline__ float4 LoadFromCluster(const float4* local, int rank) {
  float4 value = {};
#if __CUDA_ARCH__ >= 900
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(local));
  unsigned remote;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(address), "r"(rank));
  asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
               : "r"(remote)
               : "memory");
#endif
  return value;
}

__device__ __forceinline__ void AddTo(float4& sum, const float4& value) {
  sum.x += value.x;
  sum.y += value.y;
  sum.z += value.z;
  sum.w += value.w;
}

__device__ __forceinline__ float Silu(float value) {
  return value / (1.f + __expf(-value));
}

// The pieces of K that one warp reads, tile after tile and pass after pass.
struct Cursor {
  int tile, pass, piece, end;

  __device__ __forceinline__ void SetRange(const Parameters& p, int rank, int k_warp) {
    const int rank_begin = p.pieces * rank / p.cluster;
    const int rank_pieces = p.pieces * (rank + 1) / p.cluster - rank_begin;
    const int pass_begin = rank_pieces * pass / p.passes;
    const int pass_pieces = rank_pieces * (pass + 1) / p.passes - pass_begin;
    piece = rank_begin + pass_begin + pass_pieces * k_warp / p.k_warps;
    end = rank_begin + pass_begin + pass_pieces * (k_warp + 1) / p.k_warps;
  }
  // To the next piece that there is; tile >= num_tiles at the end.
  __device__ __forceinline__ void Settle(const Parameters& p, int rank, int k_warp, int tile_stride) {
    while (piece >= end && tile < p.num_tiles) {
      if (++pass == p.passes) {
        pass = 0;
        tile += tile_stride;
      }
      SetRange(p, rank, k_warp);
    }
  }
};

// What the tensor cores leave in a lane, of features row and row + 8 and tokens token and token + 1:
// x = (row, token), y = (row, token + 1), z = (row + 8, token), w = (row + 8, token + 1).
//
// kAddTo: what `value` is added to; loaded early, for it takes as long as the whole sum.
__device__ __forceinline__ float4 LoadResidual(const Parameters& p, int row, int token) {
  float4 old = {};
  if (p.epilogue != LinearEpilogue::kAddTo || row >= p.out_features) return old;
  const float* residual = p.residual + static_cast<int64_t>(token) * p.out_features + row;
  const bool has_high = row + 8 < p.out_features;
  if (token < p.num_rows) {
    old.x = __ldcg(residual);
    if (has_high) old.z = __ldcg(residual + 8);
  }
  if (token + 1 < p.num_rows) {
    old.y = __ldcg(residual + p.out_features);
    if (has_high) old.w = __ldcg(residual + p.out_features + 8);
  }
  return old;
}

__device__ __forceinline__ void Finish(const Parameters& p, const float4& value, const float4& old, int row,
                                       int token) {
  const float low[2] = {value.x, value.y}, high[2] = {value.z, value.w};
  const float old_low[2] = {old.x, old.y}, old_high[2] = {old.z, old.w};
  const int64_t stride = p.out_features;
  const bool has_low = row < p.out_features, has_high = row + 8 < p.out_features;
  const float bias_low = p.bias != nullptr && has_low ? p.bias[row] : 0.f;
  const float bias_high = p.bias != nullptr && has_high ? p.bias[row + 8] : 0.f;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    if (token + i >= p.num_rows) continue;
    if (p.epilogue == LinearEpilogue::kStore) {
      __half* output = p.output + (token + i) * stride + row;
      if (has_low) output[0] = SaturatedHalf(low[i]);
      if (has_high) output[8] = SaturatedHalf(high[i]);
    } else if (p.epilogue == LinearEpilogue::kAddTo) {
      float* residual = p.residual + (token + i) * stride + row;
      if (has_low) residual[0] = old_low[i] + p.scale * low[i] + bias_low;
      if (has_high) residual[8] = old_high[i] + p.scale * high[i] + bias_high;
    } else if (has_high) {
      // 16 rows: 8 of gate, then 8 of up.
      const float gate = low[i] + bias_low, up = high[i] + bias_high;
      p.output[(token + i) * (stride / 2) + row / 16 * 8 + row % 16] = SaturatedHalf(Silu(gate) * up / kMlpScale);
    }
  }
}

template <int kTokenTiles, int kRowTiles, int kStages>
__global__ void __launch_bounds__(512) SkinnyKernel(const __grid_constant__ Parameters p) {
  extern __shared__ __align__(128) unsigned char shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, num_warps = blockDim.x / 32;
  const int row_warp = warp % p.row_warps, k_warp = warp / p.row_warps;
  const int rank = p.cluster > 1 ? ClusterRank() : 0;
  const int tile_stride = gridDim.x / p.cluster, first_tile = blockIdx.x / p.cluster;
  const int tile_rows = 16 * kRowTiles * p.row_warps;
  const int first_token = blockIdx.y * 8 * kTokenTiles;
  const int group = lane / 4, quad = lane % 4;

  unsigned char* const ring = shared + warp * (kStages * kRowTiles * 2 * kFragmentBytes) + lane * 16;
  unsigned char* const input = shared + p.input_offset;
  float4* const partial = reinterpret_cast<float4*>(shared + p.partial_offset);

  Cursor ahead = {first_tile, 0, 0, 0};
  ahead.SetRange(p, rank, k_warp);
  ahead.Settle(p, rank, k_warp, tile_stride);
  const auto fetch = [&](int slot) {
    if (ahead.tile < p.num_tiles) {
      const int row = ahead.tile * tile_rows + row_warp * 16 * kRowTiles + group;
      const int column = ahead.piece * kPiece + quad * 8;
#pragma unroll
      for (int i = 0; i < 2 * kRowTiles; ++i) {
        const bool valid = row + 8 * i < p.out_features && column < p.in_features;
        const int64_t offset = valid ? static_cast<int64_t>(row + 8 * i) * p.in_features + column : 0;
        CopyAsync(ring + (slot * 2 * kRowTiles + i) * kFragmentBytes, p.weight + offset, valid);
      }
      ++ahead.piece;
      ahead.Settle(p, rank, k_warp, tile_stride);
    }
    CommitCopies();
  };
#pragma unroll
  for (int slot = 0; slot < kStages; ++slot) fetch(slot);
  ReleaseSuccessor();
  WaitForPredecessor();

  // This warp's share of the sums: every num_warps * cluster-th fragment of a tile.
  const int fragments = p.row_warps * kRowTiles * p.token_tiles;
  const int first_fragment = warp * p.cluster + rank;
  const auto row_of = [&](int tile, int fragment) { return tile * tile_rows + fragment / p.token_tiles * 16 + group; };
  const auto token_of = [&](int fragment) { return first_token + fragment % p.token_tiles * 8 + 2 * quad; };
  float4 first_residual = {};
  if (first_fragment < fragments) {
    first_residual = LoadResidual(p, row_of(first_tile, first_fragment), token_of(first_fragment));
  }

  int slot = 0;
  int parity = 0;
  Cursor now = {first_tile, 0, 0, 0};
  for (; now.tile < p.num_tiles; now.tile += tile_stride) {
    float4 sums[kRowTiles][kTokenTiles] = {};
    for (now.pass = 0; now.pass < p.passes; ++now.pass) {
      const int rank_begin = p.pieces * rank / p.cluster;
      const int rank_pieces = p.pieces * (rank + 1) / p.cluster - rank_begin;
      const int pass_begin = rank_begin + rank_pieces * now.pass / p.passes;
      const int pass_end = rank_begin + rank_pieces * (now.pass + 1) / p.passes;
      if (p.passes > 1 || now.tile == first_tile) {
        // Input of this pass: [piece][token][32], so that a warp's 16-byte reads have no bank conflict.
        if (p.passes > 1) __syncthreads();
        const int input_fragments = (pass_end - pass_begin) * p.token_tiles;
        constexpr int kBatch = 4;
        for (int first = warp; first < input_fragments; first += num_warps * kBatch) {
          uint4 values[kBatch];
#pragma unroll
          for (int i = 0; i < kBatch; ++i) {
            const int fragment = first + i * num_warps;
            const int piece = pass_begin + fragment / p.token_tiles;
            const int token = first_token + fragment % p.token_tiles * 8 + group;
            const int column = piece * kPiece + quad * 8;
            values[i] = {};
            if (fragment < input_fragments && token < p.num_rows && column < p.in_features) {
              values[i] = __ldcg(
                  reinterpret_cast<const uint4*>(p.input + static_cast<int64_t>(token) * p.in_features + column));
            }
          }
#pragma unroll
          for (int i = 0; i < kBatch; ++i) {
            const int fragment = first + i * num_warps;
            if (fragment < input_fragments) {
              *reinterpret_cast<uint4*>(input + fragment * kFragmentBytes + lane * 16) = values[i];
            }
          }
        }
        __syncthreads();
      }
      now.SetRange(p, rank, k_warp);
      for (; now.piece < now.end; ++now.piece) {
        WaitForCopies<kStages - 1>();
        uint4 weights[2 * kRowTiles];
#pragma unroll
        for (int i = 0; i < 2 * kRowTiles; ++i) {
          weights[i] = *reinterpret_cast<const uint4*>(ring + (slot * 2 * kRowTiles + i) * kFragmentBytes);
        }
        fetch(slot);
        slot = slot + 1 == kStages ? 0 : slot + 1;
        const unsigned char* tokens = input + (now.piece - pass_begin) * p.token_tiles * kFragmentBytes + lane * 16;
#pragma unroll
        for (int j = 0; j < kTokenTiles; ++j) {
          if (j < p.token_tiles) {
            const uint4 x = *reinterpret_cast<const uint4*>(tokens + j * kFragmentBytes);
#pragma unroll
            for (int i = 0; i < kRowTiles; ++i) {
              const uint4 low = weights[2 * i], high = weights[2 * i + 1];
              Multiply(sums[i][j], low.x, high.x, low.y, high.y, x.x, x.y);
              Multiply(sums[i][j], low.z, high.z, low.w, high.w, x.z, x.w);
            }
          }
        }
      }
    }

    // Sums of the k_warps in order, then of the blocks of the cluster in order.
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int j = 0; j < kTokenTiles; ++j) {
        if (j < p.token_tiles) {
          partial[(k_warp * fragments + (row_warp * kRowTiles + i) * p.token_tiles + j) * 32 + lane] = sums[i][j];
        }
      }
    }
    __syncthreads();
    const auto block_sum = [&](int fragment) {
      float4 sum = partial[fragment * 32 + lane];
      for (int k = 1; k < p.k_warps; ++k) AddTo(sum, partial[(k * fragments + fragment) * 32 + lane]);
      return sum;
    };
    const auto residual_of = [&](int fragment) {
      if (fragment == first_fragment && now.tile == first_tile) return first_residual;
      return LoadResidual(p, row_of(now.tile, fragment), token_of(fragment));
    };
    if (p.cluster == 1) {
      for (int fragment = first_fragment; fragment < fragments; fragment += num_warps) {
        Finish(p, block_sum(fragment), residual_of(fragment), row_of(now.tile, fragment), token_of(fragment));
      }
    } else {
      float4* const joined = reinterpret_cast<float4*>(shared + p.cluster_offset + parity * fragments * kFragmentBytes);
      for (int fragment = warp; fragment < fragments; fragment += num_warps) {
        joined[fragment * 32 + lane] = block_sum(fragment);
      }
      ClusterBarrier();
      for (int fragment = first_fragment; fragment < fragments; fragment += num_warps * p.cluster) {
        float4 sum = LoadFromCluster(&joined[fragment * 32 + lane], 0);
        for (int block = 1; block < p.cluster; ++block) {
          AddTo(sum, LoadFromCluster(&joined[fragment * 32 + lane], block));
        }
        Finish(p, sum, residual_of(fragment), row_of(now.tile, fragment), token_of(fragment));
      }
      parity ^= 1;
    }
    if (now.tile + tile_stride < p.num_tiles) __syncthreads();  // before `partial` is written again
  }
  WaitForCopies<0>();
  if (p.cluster > 1) ClusterBarrier();  // no block leaves while another reads its sums
}

using Kernel = void (*)(Parameters);

template <int kTokenTiles>
Kernel ChooseKernel(int row_tiles, int stages) {
  if (row_tiles == 1) return stages == 4 ? SkinnyKernel<kTokenTiles, 1, 4> : SkinnyKernel<kTokenTiles, 1, 8>;
  return stages == 4 ? SkinnyKernel<kTokenTiles, 2, 4> : SkinnyKernel<kTokenTiles, 2, 8>;
}

}  // namespace

std::string SkinnyConfig::Name() const {
  return absl::StrCat("skinny r", row_tiles, "x", row_warps, " k", k_warps, " c", cluster, " s", stages, " b",
                      blocks_per_sm, " t", max_tokens);
}

absl::Status SkinnyLinear(const LaunchContext& context, const SkinnyConfig& config, const SkinnyArgs& args) {
  const LinearArgs& linear = args.linear;
  Parameters p = {};
  p.input = linear.input;
  p.weight = linear.weight.data;
  p.bias = args.bias;
  p.output = args.output;
  p.residual = args.residual;
  p.scale = args.scale;
  p.epilogue = args.epilogue;
  p.num_rows = linear.num_rows;
  p.out_features = linear.weight.out_features;
  p.in_features = linear.weight.in_features;
  p.num_tiles = (p.out_features + config.tile_rows() - 1) / config.tile_rows();
  p.row_warps = config.row_warps;
  p.k_warps = config.k_warps;
  p.pieces = (p.in_features + kPiece - 1) / kPiece;
  p.cluster = std::min(config.cluster, p.pieces);
  if (config.stages != 4 && config.stages != 8) return absl::InvalidArgumentError(config.Name());
  if (config.warps() > 16 || config.row_tiles < 1 || config.row_tiles > 2 || p.cluster > 8) {
    return absl::InvalidArgumentError(config.Name());
  }

  // Shared memory: rings, partial sums, sums of the cluster, input. The passes are made for a full block of
  // max_tokens whatever num_rows is, so that the order of the sums stays the same.
  const int ring_bytes = config.warps() * config.stages * config.row_tiles * 2 * kFragmentBytes;
  const auto sum_bytes = [&](int token_tiles) {
    const int fragments = config.row_warps * config.row_tiles * token_tiles;
    return std::pair(config.k_warps * fragments * kFragmentBytes, p.cluster > 1 ? 2 * fragments * kFragmentBytes : 0);
  };
  const int full_tiles = config.max_tokens / 8;
  const auto [full_partial, full_cluster] = sum_bytes(full_tiles);
  const int held_bytes = context.device->max_shared_bytes - ring_bytes - full_partial - full_cluster;
  const int held_pieces = held_bytes / (full_tiles * kFragmentBytes);
  if (held_bytes < 0 || held_pieces < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.Name(), " needs more than ", context.device->max_shared_bytes, " bytes of shared memory"));
  }
  const int rank_pieces = (p.pieces + p.cluster - 1) / p.cluster;
  p.passes = (rank_pieces + held_pieces - 1) / held_pieces;
  const int block_tokens = std::min(config.max_tokens, (p.num_rows + 7) / 8 * 8);
  p.token_tiles = block_tokens / 8;
  const auto [partial_bytes, cluster_bytes] = sum_bytes(p.token_tiles);
  p.partial_offset = ring_bytes;
  p.cluster_offset = p.partial_offset + partial_bytes;
  p.input_offset = p.cluster_offset + cluster_bytes;
  const int pass_pieces = (rank_pieces + p.passes - 1) / p.passes;
  const int shared_bytes = p.input_offset + pass_pieces * p.token_tiles * kFragmentBytes;

  const int slots = std::max(1, context.device->num_sms * config.blocks_per_sm / p.cluster);
  const int tiles_of_block = (p.num_tiles + slots - 1) / slots;
  const int groups = config.blocks_per_sm > 0 && tiles_of_block > 1 ? std::min(slots, p.num_tiles) : p.num_tiles;
  const dim3 grid(groups * p.cluster, (p.num_rows + block_tokens - 1) / block_tokens);
  const Kernel kernel = block_tokens <= 8    ? ChooseKernel<1>(config.row_tiles, config.stages)
                        : block_tokens <= 16 ? ChooseKernel<2>(config.row_tiles, config.stages)
                        : block_tokens <= 32 ? ChooseKernel<4>(config.row_tiles, config.stages)
                                             : ChooseKernel<8>(config.row_tiles, config.stages);
  return Launch(context, kernel, grid, dim3(config.warps() * 32), shared_bytes, p.cluster, p);
}

}  // namespace swiftlet::cuda
