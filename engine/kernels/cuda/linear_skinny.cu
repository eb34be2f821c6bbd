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
  int32_t num_tiles;  // of 16 * row_tiles * row_warps features
  // K in pieces: all, of a block of the cluster, of one pass of a block, of one warp in a pass.
  int32_t pieces, rank_pieces, pass_pieces, warp_pieces;
  int32_t passes;                                                       // a block holds the input of one pass
  int32_t input_stride;                                                 // bytes of one token in shared memory
  int32_t barrier_offset, input_offset, partial_offset, joined_offset;  // bytes in shared memory
  LinearEpilogue epilogue;
  bool bulk;  // the input comes by bulk copies
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

__device__ __forceinline__ unsigned SharedAddress(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void InitBarrier(unsigned barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;\nfence.mbarrier_init.release.cluster;" ::"r"(barrier)
               : "memory");
#endif
}

__device__ __forceinline__ void ExpectBytes(unsigned barrier, unsigned bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
#endif
}

__device__ __forceinline__ void CopyBulk(unsigned shared, const __half* global, unsigned bytes, unsigned barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared),
               "l"(global), "r"(bytes), "r"(barrier)
               : "memory");
#endif
}

__device__ __forceinline__ void WaitForBarrier(unsigned barrier, unsigned parity) {
#if __CUDA_ARCH__ >= 900
  unsigned done = 0;
  while (done == 0) {
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.b32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"(barrier), "r"(parity)
                 : "memory");
  }
#endif
}

// The pieces of K that one warp reads in one pass over one tile.
struct Range {
  int piece, end;

  __device__ __forceinline__ Range(const Parameters& p, int rank, int pass, int k_warp) {
    const int first = rank * p.rank_pieces + pass * p.pass_pieces;
    const int last = min(min(first + p.pass_pieces, (rank + 1) * p.rank_pieces), p.pieces);
    piece = first + k_warp * p.warp_pieces;
    end = min(piece + p.warp_pieces, last);
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

// Threads: 32 x row_warps x k_warps. Blocks: cluster x groups of tiles x blocks of tokens.
template <int kTokenTiles, int kRowTiles, int kStages>
__global__ void __launch_bounds__(512) SkinnyKernel(const __grid_constant__ Parameters p) {
  extern __shared__ __align__(128) unsigned char shared[];
  constexpr int kSlotBytes = 2 * kRowTiles * kFragmentBytes;
  const int lane = threadIdx.x, row_warp = threadIdx.y, k_warp = threadIdx.z;
  const int row_warps = blockDim.y, k_warps = blockDim.z, num_warps = row_warps * k_warps;
  const int warp = k_warp * row_warps + row_warp;
  const int rank = blockIdx.x, cluster = gridDim.x, first_tile = blockIdx.y, tile_stride = gridDim.y;
  const int tile_rows = 16 * kRowTiles * row_warps;
  const int first_token = blockIdx.z * 8 * kTokenTiles;
  const int group = lane / 4, quad = lane % 4;

  unsigned char* const ring = shared + warp * (kStages * kSlotBytes) + lane * 16;
  unsigned char* const input = shared + p.input_offset;
  float4* const partial = reinterpret_cast<float4*>(shared + p.partial_offset) + lane;
  float4* const joined = reinterpret_cast<float4*>(shared + p.joined_offset) + lane;
  const unsigned barrier = SharedAddress(shared + p.barrier_offset);

  // The weights ahead.
  int ahead_tile = first_tile, ahead_pass = 0;
  Range ahead(p, rank, 0, k_warp);
  const int row_in_tile = row_warp * 16 * kRowTiles + group;
  const __half* ahead_row = p.weight + static_cast<int64_t>(ahead_tile * tile_rows + row_in_tile) * p.in_features;
  const auto fetch = [&](int slot) {
    while (ahead.piece >= ahead.end && ahead_tile < p.num_tiles) {
      if (++ahead_pass == p.passes) {
        ahead_pass = 0;
        ahead_tile += tile_stride;
        ahead_row += static_cast<int64_t>(tile_stride * tile_rows) * p.in_features;
      }
      ahead = Range(p, rank, ahead_pass, k_warp);
    }
    if (ahead_tile < p.num_tiles) {
      const int row = ahead_tile * tile_rows + row_in_tile;
      const int column = ahead.piece * kPiece + quad * 8;
#pragma unroll
      for (int i = 0; i < 2 * kRowTiles; ++i) {
        const bool valid = row + 8 * i < p.out_features && column < p.in_features;
        CopyAsync(ring + slot * kSlotBytes + i * kFragmentBytes,
                  valid ? ahead_row + 8 * i * p.in_features + column : p.weight, valid);
      }
      ++ahead.piece;
    }
    CommitCopies();
  };
#pragma unroll
  for (int slot = 0; slot < kStages; ++slot) fetch(slot);
  ReleaseSuccessor();
  if (p.bulk) {
    if (warp == 0 && lane == 0) InitBarrier(barrier);
    __syncthreads();
  }

  // Fragments of a tile's sums, [row tile][token tile], are dealt to the warps of the cluster; who begins changes from
  // tile to tile.
  const int fragments = row_warps * kRowTiles * kTokenTiles;
  const auto row_of = [&](int tile, int fragment) { return tile * tile_rows + fragment / kTokenTiles * 16 + group; };
  const auto token_of = [&](int fragment) { return first_token + fragment % kTokenTiles * 8 + 2 * quad; };
  const int first_fragment = warp * cluster + rank;
  const int tokens = min(8 * kTokenTiles, p.num_rows - first_token);
  float4 first_residual = {};

  WaitForPredecessor();

  // Input of a pass: [token][pass_pieces * 32], rows 64 bytes apart modulo 128, so that the 16-byte reads of a warp
  // have no bank conflict.
  const auto load_input = [&](int pass) {
    const int first = rank * p.rank_pieces + pass * p.pass_pieces;
    const int last = min(min(first + p.pass_pieces, (rank + 1) * p.rank_pieces), p.pieces);
    const int columns = min(last * kPiece, p.in_features) - first * kPiece;
    const __half* from = p.input + static_cast<int64_t>(first_token) * p.in_features + first * kPiece;
    if (p.bulk) {
      if (warp == 0) {
        if (lane == 0) ExpectBytes(barrier, columns > 0 ? tokens * columns * 2 : 0);
        __syncwarp();
        for (int token = lane; token < tokens && columns > 0; token += 32) {
          CopyBulk(SharedAddress(input + token * p.input_stride), from + static_cast<int64_t>(token) * p.in_features,
                   columns * 2, barrier);
        }
      }
    } else {
      for (int token = warp; token < tokens; token += num_warps) {
        for (int column = lane * 8; column < columns; column += 256) {
          *reinterpret_cast<uint4*>(input + token * p.input_stride + column * 2) =
              __ldcg(reinterpret_cast<const uint4*>(from + static_cast<int64_t>(token) * p.in_features + column));
        }
      }
    }
    // The end of the last piece, where K is no multiple of 32.
    const int padding = (last - first) * kPiece - columns;
    if (padding > 0 && columns > 0) {
      for (int token = warp; token < tokens; token += num_warps) {
        if (lane * 8 < padding) {
          *reinterpret_cast<uint4*>(input + token * p.input_stride + columns * 2 + lane * 16) = uint4{};
        }
      }
    }
  };

  load_input(0);
  if (first_fragment < fragments) {
    first_residual = LoadResidual(p, row_of(first_tile, first_fragment), token_of(first_fragment));
  }
  unsigned fills = 0;
  const auto wait_for_input = [&] {
    if (p.bulk) WaitForBarrier(barrier, fills & 1);
    ++fills;
    if (!p.bulk || p.in_features % kPiece != 0) __syncthreads();
  };
  wait_for_input();

  int slot = 0, round = 0;
  for (int tile = first_tile; tile < p.num_tiles; tile += tile_stride, ++round) {
    float4 sums[kRowTiles][kTokenTiles] = {};
    for (int pass = 0; pass < p.passes; ++pass) {
      if (p.passes > 1 && (pass > 0 || round > 0)) {
        __syncthreads();
        load_input(pass);
        wait_for_input();
      }
      Range now(p, rank, pass, k_warp);
      const unsigned char* tokens_at = input + group * p.input_stride + quad * 16 +
                                       (now.piece - rank * p.rank_pieces - pass * p.pass_pieces) * kPiece * 2;
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

    // Sums of the k_warps in order, then of the blocks of the cluster in order. Both buffers are there twice, so that
    // one barrier a tile is enough.
    const int parity = round & 1;
    float4* const block_sums = joined + parity * fragments * 32;
    float4* const warp_sums = k_warps > 1 ? partial + parity * k_warps * fragments * 32 : block_sums;
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int j = 0; j < kTokenTiles; ++j) {
        warp_sums[(k_warp * fragments + (row_warp * kRowTiles + i) * kTokenTiles + j) * 32] = sums[i][j];
      }
    }
    __syncthreads();
    const auto block_sum = [&](int fragment) {
      float4 sum = warp_sums[fragment * 32];
#pragma unroll 4
      for (int k = 1; k < k_warps; ++k) AddTo(sum, warp_sums[(k * fragments + fragment) * 32]);
      return sum;
    };
    const auto residual_of = [&](int fragment) {
      if (fragment == first_fragment && round == 0) return first_residual;
      return LoadResidual(p, row_of(tile, fragment), token_of(fragment));
    };
    int turn = warp - round % num_warps;
    if (turn < 0) turn += num_warps;
    if (cluster == 1) {
      for (int fragment = turn; fragment < fragments; fragment += num_warps) {
        Finish(p, block_sum(fragment), residual_of(fragment), row_of(tile, fragment), token_of(fragment));
      }
    } else {
      if (k_warps > 1) {
        for (int fragment = turn; fragment < fragments; fragment += num_warps) {
          block_sums[fragment * 32] = block_sum(fragment);
        }
      }
      ClusterBarrier();
      for (int fragment = turn * cluster + rank; fragment < fragments; fragment += num_warps * cluster) {
        float4 sum = LoadFromCluster(&block_sums[fragment * 32], 0);
#pragma unroll 4
        for (int block = 1; block < cluster; ++block) {
          AddTo(sum, LoadFromCluster(&block_sums[fragment * 32], block));
        }
        Finish(p, sum, residual_of(fragment), row_of(tile, fragment), token_of(fragment));
      }
    }
  }
  WaitForCopies<0>();
  if (cluster > 1) ClusterBarrier();  // no block leaves while another reads its sums
}

using Kernel = void (*)(Parameters);

template <int kTokenTiles>
Kernel ChooseKernel(int row_tiles, int stages) {
  if (row_tiles == 1) return stages == 4 ? SkinnyKernel<kTokenTiles, 1, 4> : SkinnyKernel<kTokenTiles, 1, 8>;
  return stages == 4 ? SkinnyKernel<kTokenTiles, 2, 4> : SkinnyKernel<kTokenTiles, 2, 8>;
}

// Tiles of 8 rows that a kernel is compiled for.
int TokenTiles(int num_rows) {
  return num_rows <= 8 ? 1 : num_rows <= 16 ? 2 : num_rows <= 32 ? 4 : 8;
}

// Blocks, or clusters, that the tiles are dealt to: one each where that is a single wave.
int Groups(const LaunchContext& context, const SkinnyConfig& config, int num_tiles, int cluster) {
  return std::min(num_tiles, std::max(1, context.device->num_sms * config.blocks_per_sm / cluster));
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
  p.pieces = (p.in_features + kPiece - 1) / kPiece;
  p.bulk = context.hopper();
  const int cluster = std::min(config.cluster, p.pieces);
  if ((config.stages != 4 && config.stages != 8) || config.warps() > 16 || config.row_tiles < 1 ||
      config.row_tiles > 2 || cluster > 8) {
    return absl::InvalidArgumentError(config.Name());
  }

  // Shared memory: rings, partial sums, sums of the cluster, barrier, input. The passes are made for a full block of
  // max_tokens whatever num_rows is, so that the order of the sums stays the same.
  const int ring_bytes = config.warps() * config.stages * config.row_tiles * 2 * kFragmentBytes;
  const bool one_tile = p.num_tiles <= Groups(context, config, p.num_tiles, cluster);
  const auto input_offset = [&](int token_tiles) {
    const int fragments = config.row_warps * config.row_tiles * token_tiles;
    const int buffer_bytes = (!one_tile ? 2 : 1) * fragments * kFragmentBytes;
    p.partial_offset = ring_bytes;
    p.joined_offset = p.partial_offset + (config.k_warps > 1 ? config.k_warps * buffer_bytes : 0);
    p.barrier_offset = p.joined_offset + (cluster > 1 || config.k_warps == 1 ? buffer_bytes : 0);
    return p.barrier_offset + 64;
  };
  const int held_bytes = context.device->max_shared_bytes - input_offset(config.max_tokens / 8);
  const int held_pieces = (held_bytes / config.max_tokens - 64) / (kPiece * 2);
  if (held_bytes < 0 || held_pieces < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.Name(), " needs more than ", context.device->max_shared_bytes, " bytes of shared memory"));
  }
  p.rank_pieces = (p.pieces + cluster - 1) / cluster;
  p.passes = (p.rank_pieces + held_pieces - 1) / held_pieces;
  p.pass_pieces = (p.rank_pieces + p.passes - 1) / p.passes;
  p.warp_pieces = (p.pass_pieces + config.k_warps - 1) / config.k_warps;
  const int block_tokens = std::min(config.max_tokens, TokenTiles(p.num_rows) * 8);
  p.input_offset = input_offset(block_tokens / 8);
  p.input_stride = p.pass_pieces * kPiece * 2 + (p.pass_pieces % 2 == 0 ? 64 : 0);
  const int shared_bytes = p.input_offset + block_tokens * p.input_stride;

  const dim3 grid(cluster, Groups(context, config, p.num_tiles, cluster),
                  (p.num_rows + block_tokens - 1) / block_tokens);
  const Kernel kernel = block_tokens <= 8    ? ChooseKernel<1>(config.row_tiles, config.stages)
                        : block_tokens <= 16 ? ChooseKernel<2>(config.row_tiles, config.stages)
                        : block_tokens <= 32 ? ChooseKernel<4>(config.row_tiles, config.stages)
                                             : ChooseKernel<8>(config.row_tiles, config.stages);
  return Launch(context, kernel, grid, dim3(32, config.row_warps, config.k_warps), shared_bytes, cluster, p);
}

}  // namespace swiftlet::cuda
