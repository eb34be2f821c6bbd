// Decode attention on the tensor cores. Within a block's piece of the line of work (attention_decode_plan.cuh) the
// warps take tiles in turn, each through its own ring of copies in shared memory, and join at the end of each item;
// items that cross from block to block are joined by the last block to arrive.
//
//   scores[key, head] = K Q^T        mma m16n8k16: keys on M, the heads that share them on N
//   output[dim, head] = V^T P        dimensions on M; P reaches the B operand through a transposing move
//
// A tile in shared memory: [64 dimensions][keys, values][tokens] rows of 128 bytes, whose 16-byte columns are permuted
// by the row as tensor maps do it (column ^ row % 8), so that eight rows of one column lie in different banks.
//
// H200, 2026-11-23, 12 query heads over 2, head_dim 128, context 512: 4.4 us at batch 1, 6.8 at 32, 41 at 256, 136 at
// 1,024 (3.95 TB/s); context 4,096, batch 256: 260 (4.12 TB/s). Sixteen bulk copies a tile instead of two boxes of the
// tensor map: 148 us at 1,024. Cutting items of 512 tokens in two: 10.4 us at 32.
#pragma once

#include <cuda.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention_decode_plan.cuh"
#include "engine/kernels/cuda/attention_mma.cuh"
#include "engine/kernels/cuda/attention_tensor_map.h"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {

template <int kHeadDim, int kTile>
struct Stage {
  static constexpr int kBoxes = (kHeadDim + 63) / 64;
  static constexpr int kMatrixBytes = kTile * 128;
  static constexpr int kBoxBytes = 2 * kMatrixBytes;
  static constexpr int kBytes = kBoxes * kBoxBytes;

  // `column`: of 16 bytes, in the head.
  __device__ static uint32_t Offset(int value, int token, int column) {
    return column / 8 * kBoxBytes + value * kMatrixBytes + token * 128 + ((column % 8) ^ (token % 8)) * 16;
  }
};
// Of one warp where the warps of a block join: accumulators, maxima, sums.
__host__ __device__ constexpr int JoinFloats(int head_dim, int head_tiles) {
  return head_dim * 8 * head_tiles + 2 * 8 * head_tiles;
}

template <int kHeadDim, int kHeadTiles, bool kTensorMap, int kWarps, int kTile>
__global__ void __launch_bounds__(kWarps * 32, 1)
    DecodeKernel(const AttentionArgs args, const Plan plan, const __grid_constant__ CUtensorMap map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr bool kCompiled = true;
#else
  constexpr bool kCompiled = !kTensorMap;
#endif
  if constexpr (kCompiled) {
    constexpr int kSteps = kHeadDim / 16;  // of the head in sixteens
    using Layout = Stage<kHeadDim, kTile>;
    constexpr int kTilesPerPage = kPageTokens / kTile;
    constexpr int kGroups = kTile / 16;  // of keys
    constexpr int kJoinFloats = JoinFloats(kHeadDim, kHeadTiles);
    extern __shared__ __align__(1024) char shared[];
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int g = lane / 4;
    const int t = lane % 4;
    const int stages = plan.stages;
    float* const join = reinterpret_cast<float*>(shared + kWarps * stages * Layout::kBytes);
    int* const block_ints = reinterpret_cast<int*>(join + kWarps * kJoinFloats);
    const uint32_t ring = SharedAddress(shared) + warp * stages * Layout::kBytes;
    const uint32_t barriers = SharedAddress(block_ints + 16 + 2 * kWarps) + warp * stages * 8;

    if (lane == 0) {
      for (int i = 0; i < stages; ++i) InitBarrier(barriers + 8 * i, kTensorMap ? 1 : 32);
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
      if constexpr (kTensorMap) FenceForBulkCopies();
#endif
    }

    // The line: its length, and the sequence at which this block's piece begins. Each thread has a run of sequences.
    const int heads = args.shape.num_kv_heads * plan.parts;
    const int num_decodes = args.step.counts->num_decodes;
    const int run = (num_decodes + kWarps * 32 - 1) / (kWarps * 32);
    const int run_begin = min(static_cast<int>(threadIdx.x) * run, num_decodes);
    const int run_end = min(run_begin + run, num_decodes);
    int run_units = 0;
    for (int i = run_begin; i < run_end; ++i) {
      run_units += Walk<kTile>::Units(plan, args.step.sequences[i].first_position) * heads;
    }
    int before = run_units;
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
      const int other = __shfl_up_sync(~0u, before, offset);
      if (lane >= offset) before += other;
    }
    if (lane == 31) block_ints[16 + warp] = before;
    before -= run_units;
    __syncthreads();
    int total = 0;
#pragma unroll
    for (int i = 0; i < kWarps; ++i) {
      const int units = block_ints[16 + i];
      if (i < warp) before += units;
      total += units;
    }
    int share = (total + static_cast<int>(gridDim.x) - 1) / static_cast<int>(gridDim.x);
    if (!plan.fixed) share = max(share, plan.least_tiles);
    // Where a cut falls near the end of an item it moves there: an eighth of a block's work costs less than a join.
    const int slack = plan.fixed ? 0 : share / 8;
    const int raw_begin = min(static_cast<int>(blockIdx.x) * share, total);
    const int raw_end = min(raw_begin + share, total);
#pragma unroll
    for (int which = 0; which < 2; ++which) {
      const int raw = which == 0 ? raw_begin : raw_end;
      if (raw >= before && raw < before + run_units) {
        int base = before;
        int i = run_begin;
        int units = 0;
        while (true) {
          units = Walk<kTile>::Units(plan, args.step.sequences[i].first_position);
          if (raw < base + units * heads) break;
          base += units * heads;
          ++i;
        }
        const int into = (raw - base) % units;
        int cut = raw;
        if (into <= slack) {
          cut = raw - into;
        } else if (units - into <= slack) {
          cut = raw - into + units;
        }
        block_ints[3 * which] = cut;
        block_ints[3 * which + 1] = i;
        block_ints[3 * which + 2] = base;
      }
    }
    __syncthreads();
    const int begin = raw_begin < total ? block_ints[0] : total;
    const int end = raw_end < total ? block_ints[3] : total;
    if (begin >= end) {
      WaitForPredecessor();
      ReleaseSuccessor();
      return;
    }

    Walk<kTile> ahead = {args, plan, heads, begin, begin, end, block_ints[1], block_ints[2], 0, {}};
    ahead.Load();
    Walk<kTile> here = ahead;

    // The next tile to copy.
    Segment source = {};
    int source_tile = 0;
    bool more = true;
    int block = 0;
    const auto find_tile = [&] {  // from source_tile on; loads its page's block early
      while (source_tile >= source.end) {
        more = ahead.Next(&source, kWarps);
        if (!more) return;
        source_tile = source.begin + (warp + kWarps - source.first_warp) % kWarps;
      }
      block = args.step.block_tables[static_cast<int64_t>(source.row) * args.step.block_table_stride +
                                     source_tile / kTilesPerPage];
    };
    const auto copy_tile = [&](int stage) {
      const int kv_head = source.head / plan.parts;
      const uint32_t to = ring + stage * Layout::kBytes;
      const uint32_t barrier = barriers + 8 * stage;
      const int first_token = source_tile % kTilesPerPage * kTile;
      if constexpr (kTensorMap) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
        if (lane == 0) {
          ExpectBytes(barrier, Layout::kBytes);
#pragma unroll
          for (int box = 0; box < Layout::kBoxes; ++box) {
            TensorCopy(to + box * Layout::kBoxBytes, &map, 64 * box, first_token,
                       (block * args.shape.num_kv_heads + kv_head) * 2, barrier);
          }
        }
        __syncwarp();
#endif
      } else {
        const __half* keys =
            args.kv.base + block * args.kv.page_stride + (2 * kv_head * kPageTokens + first_token) * kHeadDim;
        constexpr int kColumns = kHeadDim / 8;
        const int valid = source.position + 1 - source_tile * kTile;
#pragma unroll 8
        for (int i = 0; i < 2 * kTile * kColumns / 32; ++i) {
          const int chunk = lane + 32 * i;
          const int value = chunk / (kTile * kColumns);
          const int token = chunk / kColumns % kTile;
          const int column = chunk % kColumns;
          CopyChunk(to + Layout::Offset(value, token, column),
                    keys + (value * kPageTokens + token) * kHeadDim + column * 8, token >= valid);
        }
        ArriveAfterCopies(barrier);
      }
      source_tile += kWarps;
      find_tile();
    };
    more = ahead.Next(&source, kWarps);
    source_tile = source.begin + (warp + kWarps - source.first_warp) % kWarps;
    find_tile();
    __syncwarp();  // the barriers are initialised
    // Only the tile of the newest token is written in this step: whatever comes before it can be read already.
    int filled = 0;
    while (more && filled < stages && source_tile + 1 < source.tiles) copy_tile(filled++);
    WaitForPredecessor();
    ReleaseSuccessor();
    while (more && filled < stages) copy_tile(filled++);

    const int group = args.shape.num_heads / args.shape.num_kv_heads;
    const float scale = rsqrtf(static_cast<float>(kHeadDim)) * 1.44269504f;
    const int64_t slot_floats = SlotFloats(plan.heads_per_part, kHeadDim);
    float* const slots = reinterpret_cast<float*>(args.scratch);
    float* const items = slots + 2 * plan.num_sms * slot_floats;
    // ldmatrix: lane l addresses row l % 8 of matrix l / 8. Keys: (tokens 0-7, 8-15) x columns (0, 1); values: the
    // columns first. Column 2 k + c of row r stands at ((c ^ r % 8) ^ 2 (k % 4)): the sum of bits is exclusive too.
    const uint32_t key_row = (lane % 8 + (lane / 8 & 1) * 8) * 128;
    const uint32_t key_column = ((lane / 16) ^ (lane % 8)) * 16;
    const uint32_t value_row = Layout::kMatrixBytes + (lane % 8 + lane / 16 * 8) * 128;
    const uint32_t value_column = ((lane / 8 & 1) ^ (lane % 8)) * 16;
    const auto store_output = [&](int n, int i, int64_t query_row, int num_heads, const float(&values)[4]) {
      const uint32_t low = TransposedMatrix(Packed(SaturatedHalf2(values[0], values[1])));
      const uint32_t high = TransposedMatrix(Packed(SaturatedHalf2(values[2], values[3])));
      if (n * 8 + g < num_heads) {
        uint32_t* to = reinterpret_cast<uint32_t*>(args.output + (query_row + n * 8 + g) * kHeadDim + 16 * i) + t;
        to[0] = low;
        to[4] = high;
      }
    };
    // Arrives at the item; the last block joins its splits.
    const auto finish = [&](const Partial& partial) {
      const int kv_head = partial.head / plan.parts;
      const int part = partial.head - kv_head * plan.parts;
      const int num_heads = min(plan.heads_per_part, group - part * plan.heads_per_part);
      const int64_t query_row =
          static_cast<int64_t>(partial.token) * args.shape.num_heads + kv_head * group + part * plan.heads_per_part;
      const int pairs = HeadPairs(num_heads);
      const int num_splits = partial.num_splits;
      float* const item_floats = items + (partial.sequence * heads + partial.head) * ItemFloats(slot_floats);
      const float* const first_slot =
          plan.fixed ? item_floats + 4 : slots + (2 * partial.first_block + 1) * slot_floats;
      const float* const other_slots = plan.fixed ? first_slot : first_slot - slot_floats;
      const int64_t slot_stride = plan.fixed ? slot_floats : 2 * slot_floats;
      __threadfence();
      __syncthreads();
      if (threadIdx.x == 0) {
        int* const counter = reinterpret_cast<int*>(item_floats);
        const bool last = atomicAdd(counter, 1) == num_splits - 1;
        if (last) *counter = 0;  // for the next launch
        block_ints[6] = last ? 1 : 0;
      }
      __syncthreads();
      if (block_ints[6] != 0) {
        __threadfence();
        const auto split_slot = [&](int split) { return split == 0 ? first_slot : other_slots + split * slot_stride; };
        // join[split][head]: what the split's values are multiplied by.
        for (int head = warp; head < 2 * pairs; head += kWarps) {
          const int tail = 2 * kHeadDim * pairs + head;
          float all_maximum = -INFINITY;
          for (int split = lane; split < num_splits; split += 32) {
            all_maximum = fmaxf(all_maximum, __ldcg(split_slot(split) + tail));
          }
#pragma unroll
          for (int offset = 16; offset > 0; offset /= 2) {
            all_maximum = fmaxf(all_maximum, __shfl_xor_sync(~0u, all_maximum, offset));
          }
          float all_sum = 0;
          for (int split = lane; split < num_splits; split += 32) {
            const float factor = Exp2(__ldcg(split_slot(split) + tail) - all_maximum);
            all_sum += factor * __ldcg(split_slot(split) + tail + 2 * pairs);
            join[split * 8 * kHeadTiles + head] = factor;
          }
#pragma unroll
          for (int offset = 16; offset > 0; offset /= 2) all_sum += __shfl_xor_sync(~0u, all_sum, offset);
          for (int split = lane; split < num_splits; split += 32) join[split * 8 * kHeadTiles + head] /= all_sum;
        }
        __syncthreads();
        constexpr int kMine = (kSteps + kWarps - 1) / kWarps;
#pragma unroll
        for (int n = 0; n < kHeadTiles; ++n) {
          const int pair = min(n * 4 + t, pairs - 1);
          float values[kMine][4] = {};
#pragma unroll 8
          for (int split = 0; split < num_splits; ++split) {
            const float4* from = reinterpret_cast<const float4*>(split_slot(split)) + g * pairs + pair;
            const float2 factor = reinterpret_cast<const float2*>(join + split * 8 * kHeadTiles)[pair];
#pragma unroll
            for (int m = 0; m < kMine; ++m) {
              const float4 add = __ldcg(from + min(warp + m * kWarps, kSteps - 1) * 8 * pairs);
              values[m][0] += factor.x * add.x;
              values[m][1] += factor.y * add.y;
              values[m][2] += factor.x * add.z;
              values[m][3] += factor.y * add.w;
            }
          }
#pragma unroll
          for (int m = 0; m < kMine; ++m) {
            if (warp + m * kWarps < kSteps) store_output(n, warp + m * kWarps, query_row, num_heads, values[m]);
          }
        }
      }
      __syncthreads();  // `join` and block_ints[6] are free again
    };
    Partial partials[2] = {};
    int stage = 0;
    uint32_t parity = 0;
    Segment segment = {};
    while (here.Next(&segment, kWarps)) {
      const int kv_head = segment.head / plan.parts;
      const int part = segment.head - kv_head * plan.parts;
      const int first_head = kv_head * group + part * plan.heads_per_part;
      const int num_heads = min(plan.heads_per_part, group - part * plan.heads_per_part);
      const int64_t query_row = static_cast<int64_t>(segment.token) * args.shape.num_heads + first_head;
      uint32_t query[kHeadTiles][kSteps][2];
#pragma unroll
      for (int n = 0; n < kHeadTiles; ++n) {
        const bool valid = n * 8 + g < num_heads;
        const uint32_t* from = reinterpret_cast<const uint32_t*>(args.query + (query_row + n * 8 + g) * kHeadDim) + t;
#pragma unroll
        for (int k = 0; k < kSteps; ++k) {
          query[n][k][0] = valid ? from[k * 8] : 0;
          query[n][k][1] = valid ? from[k * 8 + 4] : 0;
        }
      }
      float maximum[kHeadTiles][2], sum[kHeadTiles][2];
      float output[kHeadTiles][kSteps][4];
#pragma unroll
      for (int n = 0; n < kHeadTiles; ++n) {
        maximum[n][0] = maximum[n][1] = -INFINITY;
        sum[n][0] = sum[n][1] = 0;
#pragma unroll
        for (int i = 0; i < kSteps; ++i) {
#pragma unroll
          for (int c = 0; c < 4; ++c) output[n][i][c] = 0;
        }
      }

      for (int tile = segment.begin + (warp + kWarps - segment.first_warp) % kWarps; tile < segment.end;
           tile += kWarps) {
        const uint32_t at = ring + stage * Layout::kBytes;
        WaitBarrier(barriers + 8 * stage, parity);
        if constexpr (!kTensorMap) __syncwarp();
        const int valid = segment.position + 1 - tile * kTile;  // tokens of the tile
        if constexpr (kTensorMap) {
          if (valid < kTile) {  // what lies behind the sequence's end may be anything, NaN too
            constexpr int kColumns = kHeadDim / 8;
            for (int chunk = valid * kColumns + lane; chunk < kTile * kColumns; chunk += 32) {
              *reinterpret_cast<uint4*>(shared + (warp * stages + stage) * Layout::kBytes +
                                        Layout::Offset(1, chunk / kColumns, chunk % kColumns)) = {0, 0, 0, 0};
            }
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
            FenceForBulkCopies();
#endif
            __syncwarp();
          }
        }
        float score[kGroups][kHeadTiles][4] = {};
#pragma unroll
        for (int k = 0; k < kSteps; ++k) {
#pragma unroll
          for (int j = 0; j < kGroups; ++j) {
            uint32_t keys[4];
            LoadMatrices(keys, at + k / 4 * Layout::kBoxBytes + j * 2048 + key_row + (key_column ^ (k % 4 * 32)));
#pragma unroll
            for (int n = 0; n < kHeadTiles; ++n) MultiplyAdd(score[j][n], keys, query[n][k][0], query[n][k][1]);
          }
        }
        uint32_t weights[kGroups][kHeadTiles][2];
#pragma unroll
        for (int n = 0; n < kHeadTiles; ++n) {
          float tile_maximum[2] = {maximum[n][0], maximum[n][1]};
#pragma unroll
          for (int j = 0; j < kGroups; ++j) {
#pragma unroll
            for (int c = 0; c < 4; ++c) {
              const int token = 16 * j + g + c / 2 * 8;
              score[j][n][c] = token < valid ? score[j][n][c] * scale : -INFINITY;
              tile_maximum[c % 2] = fmaxf(tile_maximum[c % 2], score[j][n][c]);
            }
          }
#pragma unroll
          for (int c = 0; c < 2; ++c) {
#pragma unroll
            for (int offset = 4; offset < 32; offset *= 2) {
              tile_maximum[c] = fmaxf(tile_maximum[c], __shfl_xor_sync(~0u, tile_maximum[c], offset));
            }
            const float correction = Exp2(maximum[n][c] - tile_maximum[c]);
            maximum[n][c] = tile_maximum[c];
            sum[n][c] *= correction;
#pragma unroll
            for (int i = 0; i < kSteps; ++i) {
              output[n][i][c] *= correction;
              output[n][i][c + 2] *= correction;
            }
          }
#pragma unroll
          for (int j = 0; j < kGroups; ++j) {
#pragma unroll
            for (int c = 0; c < 4; ++c) {
              score[j][n][c] = Exp2(score[j][n][c] - maximum[n][c % 2]);
              sum[n][c % 2] += score[j][n][c];
            }
            weights[j][n][0] = TransposedMatrix(Packed(__floats2half2_rn(score[j][n][0], score[j][n][1])));
            weights[j][n][1] = TransposedMatrix(Packed(__floats2half2_rn(score[j][n][2], score[j][n][3])));
          }
        }
#pragma unroll
        for (int j = 0; j < kGroups; ++j) {
#pragma unroll
          for (int i = 0; i < kSteps; ++i) {
            uint32_t values[4];
            LoadMatricesTransposed(
                values, at + i / 4 * Layout::kBoxBytes + j * 2048 + value_row + (value_column ^ (i % 4 * 32)));
#pragma unroll
            for (int n = 0; n < kHeadTiles; ++n) MultiplyAdd(output[n][i], values, weights[j][n][0], weights[j][n][1]);
          }
        }
        __syncwarp();
        if (more) copy_tile(stage);
        if (++stage == stages) stage = 0, parity ^= 1;
      }

      // Join the warps: warp w does the dimensions 16 i with i % kWarps == w.
      float* const mine = join + warp * kJoinFloats;
#pragma unroll
      for (int n = 0; n < kHeadTiles; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
#pragma unroll
          for (int offset = 4; offset < 32; offset *= 2) sum[n][c] += __shfl_xor_sync(~0u, sum[n][c], offset);
          if (g == 0) {
            mine[kJoinFloats - 16 * kHeadTiles + n * 8 + 2 * t + c] = maximum[n][c];
            mine[kJoinFloats - 8 * kHeadTiles + n * 8 + 2 * t + c] = sum[n][c];
          }
        }
#pragma unroll
        for (int i = 0; i < kSteps; ++i) {
          reinterpret_cast<float4*>(mine)[(n * kSteps + i) * 32 + lane] =
              make_float4(output[n][i][0], output[n][i][1], output[n][i][2], output[n][i][3]);
        }
      }
      __syncthreads();
      const int pairs = HeadPairs(num_heads);
      const bool whole = segment.begin == 0 && segment.end == segment.tiles;
      const int item = segment.sequence * heads + segment.head;
      Partial partial = {segment.sequence, segment.head, segment.token, 0, 0};
      float* slot = nullptr;
      if (!whole) {
        if (plan.fixed) {
          partial.num_splits = Walk<kTile>::Units(plan, segment.position);
          slot = items + item * ItemFloats(slot_floats) + 4 + segment.split * slot_floats;
        } else {
          // The cuts that stayed inside the item; the first of its blocks has it last, the others first.
          const int first_cut = (segment.item_begin + slack) / share + 1;
          const int last_cut = (segment.item_begin + segment.tiles - slack + share - 1) / share - 1;
          partial.num_splits = last_cut - first_cut + 2;
          partial.first_block = first_cut - 1;
          slot = slots + (2 * blockIdx.x + (static_cast<int>(blockIdx.x) == partial.first_block ? 1 : 0)) * slot_floats;
        }
      }
#pragma unroll
      for (int n = 0; n < kHeadTiles; ++n) {
        float factor[kWarps][2];
        float all_maximum[2], all_sum[2];
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const float* maxima = join + kJoinFloats - 16 * kHeadTiles + n * 8 + 2 * t + c;
          all_maximum[c] = maxima[0];
#pragma unroll
          for (int w = 1; w < kWarps; ++w) all_maximum[c] = fmaxf(all_maximum[c], maxima[w * kJoinFloats]);
          all_sum[c] = 0;
#pragma unroll
          for (int w = 0; w < kWarps; ++w) {
            factor[w][c] = Exp2(maxima[w * kJoinFloats] - all_maximum[c]);
            all_sum[c] += factor[w][c] * maxima[w * kJoinFloats + 8 * kHeadTiles];
          }
        }
        const float inverse[2] = {1.0f / all_sum[0], 1.0f / all_sum[1]};
        for (int i = warp; i < kSteps; i += kWarps) {
          float values[4] = {};
#pragma unroll
          for (int w = 0; w < kWarps; ++w) {
            const float4 add = reinterpret_cast<const float4*>(join + w * kJoinFloats)[(n * kSteps + i) * 32 + lane];
            values[0] += factor[w][0] * add.x;
            values[1] += factor[w][1] * add.y;
            values[2] += factor[w][0] * add.z;
            values[3] += factor[w][1] * add.w;
          }
          if (whole) {
#pragma unroll
            for (int c = 0; c < 4; ++c) values[c] *= inverse[c % 2];
            store_output(n, i, query_row, num_heads, values);
          } else if (n * 4 + t < pairs) {
            reinterpret_cast<float4*>(slot)[(i * 8 + g) * pairs + n * 4 + t] =
                make_float4(values[0], values[1], values[2], values[3]);
          }
        }
        if (!whole && warp == 0 && g == 0 && n * 4 + t < pairs) {
          float2* const tail = reinterpret_cast<float2*>(slot + 2 * kHeadDim * pairs) + n * 4 + t;
          tail[0] = make_float2(all_maximum[0], all_maximum[1]);
          tail[pairs] = make_float2(all_sum[0], all_sum[1]);
        }
      }
      __syncthreads();  // `join` is free again
      if (!whole) {
        if (plan.fixed) {
          finish(partial);
        } else {  // at the end, when nothing is left to copy meanwhile
          partials[segment.begin == 0 ? 1 : 0] = partial;
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (partials[i].num_splits > 0) finish(partials[i]);
    }
  }
}

template <int kHeadDim, int kHeadTiles, bool kTensorMap, int kWarps, int kTile>
absl::Status LaunchDecode(const LaunchContext& context, const AttentionArgs& args, int max_sequences, int max_pages) {
  const HeadSplit split = SplitHeads(args.shape);
  constexpr int kFixedBytes = kWarps * JoinFloats(kHeadDim, kHeadTiles) * 4 + (16 + 2 * kWarps) * 4;
  constexpr int kWarpStageBytes = Stage<kHeadDim, kTile>::kBytes + 8;
  Plan plan;
  plan.parts = split.parts;
  plan.heads_per_part = split.heads_per_part;
  plan.stages = std::min(6, (context.device->max_shared_bytes - kFixedBytes) / (kWarps * kWarpStageBytes));
  plan.least_tiles = kLeastTokens / kTile;
  plan.fixed = context.deterministic;
  plan.num_sms = context.device->num_sms;
  if (context.device->compute_capability < 80) plan.stages = std::min(plan.stages, 1);  // copies are not asynchronous
  const int64_t tiles =
      static_cast<int64_t>(max_sequences) * args.shape.num_kv_heads * split.parts * max_pages * (kPageTokens / kTile);
  // The last block of an item has room for the factors of so many.
  const int64_t most_blocks = std::min(plan.num_sms, kWarps * JoinFloats(kHeadDim, kHeadTiles) / (8 * kHeadTiles));
  const int64_t blocks = std::clamp<int64_t>(plan.fixed ? tiles : tiles / plan.least_tiles, 1, most_blocks);
  CUtensorMap map = {};
  if constexpr (kTensorMap) {
    ASSIGN_OR_RETURN(map, KvTensorMap(args.shape, args.kv, kTile));
  }
  const size_t shared_bytes = static_cast<size_t>(kWarps) * plan.stages * kWarpStageBytes + kFixedBytes;
  return Launch(context, DecodeKernel<kHeadDim, kHeadTiles, kTensorMap, kWarps, kTile>, static_cast<unsigned>(blocks),
                kWarps * 32, shared_bytes, 1, args, plan, map);
}

// The instantiations of one head_dim.
template <int kHeadDim>
absl::Status DecodeOfHeadDim(const LaunchContext& context, const AttentionArgs& args, int max_sequences,
                             int max_pages) {
  const bool two = SplitHeads(args.shape).heads_per_part > 8;
  if (context.hopper()) {
    return two ? LaunchDecode<kHeadDim, 2, true, 4, 32>(context, args, max_sequences, max_pages)
               : LaunchDecode<kHeadDim, 1, true, 4, 32>(context, args, max_sequences, max_pages);
  }
  return two ? LaunchDecode<kHeadDim, 2, false, 2, 32>(context, args, max_sequences, max_pages)
             : LaunchDecode<kHeadDim, 1, false, 2, 32>(context, args, max_sequences, max_pages);
}

}  // namespace swiftlet::cuda
