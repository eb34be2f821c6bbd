// Prefill attention on the tensor cores: a block does up to 128 rows, (query head, token) pairs of one prefill tile
// that share a key head, heads outermost; its four warps do 32 rows each over all pages from the first on, so that a
// row's result depends neither on the batch nor on how its prompt was cut into chunks.
//
//   scores[row, key] = Q K^T, output[row, dim] = P V      mma m16n8k16: rows on M, P stays in its registers
//
// Keys and values pass through shared memory a page at a time, two pages deep where it has room.
#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention_mma.cuh"
#include "engine/kernels/cuda/attention_versions.h"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kPageTokens = 64;
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
constexpr int kWarpRows = 32;
constexpr int kRows = kWarps * kWarpRows;

// Rows of head_dim in shared memory: eight rows of one 16-byte column lie in different banks. Where the rows are a
// multiple of 128 bytes the columns are permuted by the row, otherwise rows are 16 bytes apart.
template <int kHeadDim>
struct Rows {
  static constexpr bool kPermuted = kHeadDim % 64 == 0;
  static constexpr int kStride = kHeadDim * 2 + (kPermuted ? 0 : 16);
  // `column`: in 16 bytes.
  __device__ static uint32_t Offset(int row, int column) {
    return row * kStride + (kPermuted ? column ^ (row & 7) : column) * 16;
  }
};

template <int kHeadDim>
constexpr int SharedBytes(int stages) {
  return (kRows + stages * 2 * kPageTokens) * Rows<kHeadDim>::kStride;
}

template <int kRemaining>
__device__ __forceinline__ void WaitForCopies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kRemaining) : "memory");
#endif
}
__device__ __forceinline__ void CommitCopies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads, 2) PrefillKernel(const AttentionArgs args, int row_blocks, int stages) {
  using Layout = Rows<kHeadDim>;
  constexpr int kColumns = kHeadDim / 8;
  constexpr int kPageBytes = 2 * kPageTokens * Layout::kStride;
  extern __shared__ __align__(128) char shared[];
  WaitForPredecessor();
  ReleaseSuccessor();
  const StepView& step = args.step;
  const int tile_index = static_cast<int>(blockIdx.y);
  if (tile_index >= step.counts->num_prefill_tiles) return;
  const PrefillTile tile = step.prefill_tiles[tile_index];
  const SequenceSpan span = step.sequences[tile.sequence];
  const int kv_head = blockIdx.x / row_blocks;
  const int group = args.shape.num_heads / args.shape.num_kv_heads;
  const int num_tokens = min(kPrefillTileTokens, span.num_tokens - tile.first_token);
  const int num_rows = num_tokens * group;
  const int first_row = (blockIdx.x - kv_head * row_blocks) * kRows;
  if (first_row >= num_rows) return;
  const int first_position = span.first_position + tile.first_token;
  const int last_position = first_position + num_tokens - 1;
  const int num_pages = last_position / kPageTokens + 1;
  const int* table = step.block_tables + static_cast<int64_t>(span.row) * step.block_table_stride;

  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const uint32_t queries = SharedAddress(shared);
  const uint32_t pages = queries + kRows * Layout::kStride;

  const auto row_offset = [&](int row) {  // of the query and the output, in elements; rows beyond the last: -1
    if (row >= num_rows) return int64_t{-1};
    const int head = row / num_tokens;
    const int64_t token = span.first_token + tile.first_token + row - head * num_tokens;
    return (token * args.shape.num_heads + kv_head * group + head) * kHeadDim;
  };
  const auto copy_page = [&](int page, int block, int stage) {
    const __half* from =
        args.kv.base + block * args.kv.page_stride + static_cast<int64_t>(2 * kv_head) * kPageTokens * kHeadDim;
    const uint32_t to = pages + stage * kPageBytes;
    const int valid = last_position + 1 - page * kPageTokens;
#pragma unroll 4
    for (int chunk = threadIdx.x; chunk < 2 * kPageTokens * kColumns; chunk += kThreads) {
      const int row = chunk / kColumns;  // keys, then values
      CopyChunk(to + Layout::Offset(row, chunk % kColumns), from + chunk * 8, row % kPageTokens >= valid);
    }
  };

  for (int chunk = threadIdx.x; chunk < kRows * kColumns; chunk += kThreads) {
    const int row = chunk / kColumns;
    const int64_t offset = row_offset(first_row + row);
    CopyChunk(queries + Layout::Offset(row, chunk % kColumns),
              args.query + (offset < 0 ? 0 : offset) + chunk % kColumns * 8, offset < 0);
  }
  copy_page(0, table[0], 0);
  CommitCopies();
  int next_block = num_pages > 1 ? table[1] : 0;

  int position[2][2];  // of the lane's rows
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = first_row + warp * kWarpRows + m * 16 + r * 8 + g;
      position[m][r] = row < num_rows ? first_position + row % num_tokens : last_position;
    }
  }
  const float scale = rsqrtf(static_cast<float>(kHeadDim)) * 1.44269504f;
  float maximum[2][2], sum[2][2] = {};
  float output[2][kColumns][4] = {};
#pragma unroll
  for (int m = 0; m < 2; ++m) maximum[m][0] = maximum[m][1] = -INFINITY;

  for (int page = 0; page < num_pages; ++page) {
    const int stage = stages == 2 ? page & 1 : 0;
    if (stages == 1 && page > 0) {
      __syncthreads();
      copy_page(page, next_block, 0);
      CommitCopies();
      if (page + 1 < num_pages) next_block = table[page + 1];
    }
    WaitForCopies<0>();
    __syncthreads();
    if (stages == 2 && page + 1 < num_pages) {
      copy_page(page + 1, next_block, stage ^ 1);
      CommitCopies();
      if (page + 2 < num_pages) next_block = table[page + 2];
    }
    const uint32_t keys = pages + stage * kPageBytes;
    const uint32_t values = keys + kPageTokens * Layout::kStride;

    float score[2][8][4] = {};
#pragma unroll
    for (int k = 0; k < kHeadDim / 16; ++k) {
      uint32_t query[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        LoadMatrices(query[m], queries + Layout::Offset(warp * kWarpRows + m * 16 + lane % 16, 2 * k + lane / 16));
      }
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        uint32_t key[4];
        LoadMatrices(key, keys + Layout::Offset(n * 16 + lane / 16 * 8 + lane % 8, 2 * k + (lane / 8 & 1)));
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          MultiplyAdd(score[m][2 * n], query[m], key[0], key[1]);
          MultiplyAdd(score[m][2 * n + 1], query[m], key[2], key[3]);
        }
      }
    }
    if (page * kPageTokens + kPageTokens - 1 > first_position) {
#pragma unroll
      for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < 8; ++n) {
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            if (page * kPageTokens + n * 8 + 2 * t + c % 2 > position[m][c / 2]) score[m][n][c] = -INFINITY;
          }
        }
      }
    }
    uint32_t weights[2][4][4];  // A operands of 16 keys each
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float row_maximum = maximum[m][r];
#pragma unroll
        for (int n = 0; n < 8; ++n) row_maximum = fmaxf(row_maximum, fmaxf(score[m][n][2 * r], score[m][n][2 * r + 1]));
        row_maximum = fmaxf(row_maximum, __shfl_xor_sync(~0u, row_maximum, 1));
        row_maximum = fmaxf(row_maximum, __shfl_xor_sync(~0u, row_maximum, 2));
        const float correction = Exp2((maximum[m][r] - row_maximum) * scale);
        maximum[m][r] = row_maximum;
        const float shift = row_maximum * scale;
        float row_sum = 0;
#pragma unroll
        for (int n = 0; n < 8; ++n) {
#pragma unroll
          for (int c = 2 * r; c < 2 * r + 2; ++c) {
            score[m][n][c] = Exp2(score[m][n][c] * scale - shift);
            row_sum += score[m][n][c];
          }
          weights[m][n / 2][n % 2 * 2 + r] = Packed(__floats2half2_rn(score[m][n][2 * r], score[m][n][2 * r + 1]));
        }
        sum[m][r] = sum[m][r] * correction + row_sum;
#pragma unroll
        for (int i = 0; i < kColumns; ++i) {
          output[m][i][2 * r] *= correction;
          output[m][i][2 * r + 1] *= correction;
        }
      }
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
#pragma unroll
      for (int i = 0; i < kColumns / 2; ++i) {
        uint32_t value[4];
        LoadMatricesTransposed(value, values + Layout::Offset(k * 16 + lane % 16, 2 * i + lane / 16));
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          MultiplyAdd(output[m][2 * i], weights[m][k], value[0], value[1]);
          MultiplyAdd(output[m][2 * i + 1], weights[m][k], value[2], value[3]);
        }
      }
    }
  }

  // Through the warp's own rows of the queries, so that stores are 16 bytes.
  __syncwarp();
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float all = sum[m][r];
      all += __shfl_xor_sync(~0u, all, 1);
      all += __shfl_xor_sync(~0u, all, 2);
      const float inverse = 1.0f / all;
      const int row = warp * kWarpRows + m * 16 + r * 8 + g;
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        *reinterpret_cast<__half2*>(shared + Layout::Offset(row, i) + 4 * t) =
            SaturatedHalf2(output[m][i][2 * r] * inverse, output[m][i][2 * r + 1] * inverse);
      }
    }
  }
  __syncwarp();
  for (int chunk = lane; chunk < kWarpRows * kColumns; chunk += 32) {
    const int row = warp * kWarpRows + chunk / kColumns;
    const int64_t offset = row_offset(first_row + row);
    if (offset >= 0) {
      *reinterpret_cast<uint4*>(args.output + offset + chunk % kColumns * 8) =
          *reinterpret_cast<const uint4*>(shared + Layout::Offset(row, chunk % kColumns));
    }
  }
}

template <int kHeadDim>
absl::Status LaunchPrefill(const LaunchContext& context, const AttentionArgs& args, int max_tiles) {
  const int group = args.shape.num_heads / args.shape.num_kv_heads;
  const int row_blocks = (group * kPrefillTileTokens + kRows - 1) / kRows;
  const int stages =
      context.device->compute_capability >= 80 && SharedBytes<kHeadDim>(2) <= context.device->max_shared_bytes ? 2 : 1;
  const dim3 grid(static_cast<unsigned>(row_blocks * args.shape.num_kv_heads), static_cast<unsigned>(max_tiles));
  return Launch(context, PrefillKernel<kHeadDim>, grid, kThreads, static_cast<size_t>(SharedBytes<kHeadDim>(stages)), 1,
                args, row_blocks, stages);
}

}  // namespace

bool HasMatrixPrefill(const AttentionShape& shape) {
  return shape.head_dim == 64 || shape.head_dim == 96 || shape.head_dim == 128;
}

absl::Status MatrixPrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles) {
  switch (args.shape.head_dim) {
    case 64:
      return LaunchPrefill<64>(context, args, max_tiles);
    case 96:
      return LaunchPrefill<96>(context, args, max_tiles);
    default:
      return LaunchPrefill<128>(context, args, max_tiles);
  }
}

}  // namespace swiftlet::cuda
