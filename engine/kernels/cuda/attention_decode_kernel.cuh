// Decode attention on the tensor cores. A cluster of blocks does a segment of a sequence (attention_decode_plan.cuh):
// its warps take the segment's tiles in turn, each through a ring of copies in shared memory of its own, and join at
// the end. Before any of it depends on the kernel before, the first tiles are on their way.
//
// H200, 2026-11-23 (commit b0f51c3: three slots, promotion to 256 bytes), 12 query heads over 2, head_dim 128, rotation
// and KV write inside, alone / what it adds between two linear layers, us: context 512, batch 1 3.1 / 2.0, 8 4.3 / 3.0,
// 32 7.6 / 5.6, 64 12.5 / 10.4, 128 21 / 20.5, 256 39 / 37, 1,024 134; 520, batch 32 8.7 / 6.3. One block alone at
// batch 1: 7.1. One block a multiprocessor with rings of 192 KB instead of two with 96: 171 instead of 145 at 1,024 of
// 520. Tiles of 16 tokens: 140 instead of 134 at 1,024.
//
// Included by .cu files alone.
#pragma once

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention_decode_join.cuh"
#include "engine/kernels/cuda/attention_tensor_map.h"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/rotary_head.cuh"

namespace swiftlet::cuda {

// Shared memory: rings, join, heads as RotaryHead leaves them ([queries, key, value][head_dim]), barriers. One block
// alone joins where its rings were.
struct DecodeShared {
  int32_t slots;  // of a warp's ring
  int32_t join_offset, heads_offset, barriers_offset, bytes;
};
__host__ __device__ constexpr int HeadRowBytes(int head_dim) {
  return head_dim * 2 + 16;  // eight rows of one column lie in different banks
}

template <int kHeadDim, int kHeadTiles, bool kTensorMap, int kWarps>
__global__ void __launch_bounds__(kWarps * 32, 2)
    DecodeKernel(const DecodeAttentionArgs args, const DecodeLayout layout, const DecodeShared memory,
                 const __grid_constant__ CUtensorMap map, const __grid_constant__ CUtensorMap tail_map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr bool kCompiled = true;
#else
  constexpr bool kCompiled = !kTensorMap;
#endif
  if constexpr (kCompiled) {
    constexpr int kThreads = kWarps * 32;
    constexpr int kLanes = RotaryLanes(kHeadDim);
    constexpr int kRowBytes = HeadRowBytes(kHeadDim);
    constexpr int kColumns = kHeadDim / 8;
    using Slot = RingSlot<kHeadDim>;
    extern __shared__ __align__(1024) char shared[];
    const int thread = static_cast<int>(threadIdx.x);
    const int warp = thread / 32;
    const int lane = thread % 32;
    const int cluster = kTensorMap ? layout.cluster : 1;
    const int rank = static_cast<int>(blockIdx.x) % cluster;
    const int num_clusters = static_cast<int>(gridDim.x) / cluster;
    int index = static_cast<int>(blockIdx.x) / cluster;

    const auto* const segments = reinterpret_cast<const int4*>(args.scratch + sizeof(DecodePlan));
    const int num_segments = __ldcg(&reinterpret_cast<const DecodePlan*>(args.scratch)->num_segments);
    int4 whose = __ldcg(segments + 2 * min(index, layout.max_segments - 1));
    int4 what = __ldcg(segments + 2 * min(index, layout.max_segments - 1) + 1);

    char* const heads = shared + memory.heads_offset;
    const uint32_t join_barrier = SharedAddress(shared + memory.barriers_offset);
    int* const flag = reinterpret_cast<int*>(shared + memory.barriers_offset + 8);
    TileRing<kHeadDim, kTensorMap> ring = {args.kv,
                                           map,
                                           tail_map,
                                           args.shape.num_kv_heads,
                                           SharedAddress(shared) + warp * memory.slots * Slot::kBytes,
                                           join_barrier + 16 + warp * memory.slots * 8,
                                           memory.slots};
    ring.InitBarriers(lane);
    if (kTensorMap && cluster > 1) {
      if (thread == 0) InitBarrier(join_barrier);
      __syncwarp();
      ArriveAtCluster();
    }
    if (index >= num_segments) {
      // Nothing to do. The kernel has its place in the order by the blocks that wait: where none has work, by all.
      if (num_segments == 0 || args.prefill_follows) WaitForPredecessor();
      return;
    }

    const AttentionShape& shape = args.shape;
    const int group = shape.num_heads / shape.num_kv_heads;
    const int all_heads = shape.num_heads + 2 * shape.num_kv_heads;
    const float scale = rsqrtf(static_cast<float>(kHeadDim)) * 1.44269504f;
    SegmentJoin<kHeadDim, kHeadTiles, kTensorMap, kWarps> join = {shared + memory.join_offset, join_barrier, cluster,
                                                                  rank};
    WarpAttention<kHeadDim, kHeadTiles> attention;
    for (bool first = true;; first = false) {
      const int token = whose.x;
      const int position = whose.z;
      const int kv_head = whose.w / layout.parts;
      const int part = whose.w - kv_head * layout.parts;
      const int first_head = kv_head * group + part * layout.heads_per_part;
      const int num_heads = min(layout.heads_per_part, group - part * layout.heads_per_part);
      const int begin = what.x;
      const int end = what.y;
      const int stride = kWarps * cluster;
      const int source = warp * cluster + rank;
      const int newest_tile = position / kDecodeTile;
      // Whether the block has tiles, and the newest of the sequence.
      const bool works = rank < end - begin;
      const bool newest = end == newest_tile + 1 && (newest_tile - begin) % cluster == rank;
      const int32_t* const table =
          args.step.block_tables + static_cast<int64_t>(whose.y) * args.step.block_table_stride;
      join.num_heads = num_heads;
      join.pairs = (num_heads + 1) / 2;
      join.sources = min(end - begin, stride);

      ring.Start(table, kv_head, begin + source, stride, end, position + 1, lane);
      if (first) {
        if (kTensorMap && cluster > 1 && thread == 0) ExpectBytes(join_barrier, join.ExpectedBytes());
        if (!args.prefill_follows) ReleaseSuccessor();
      }
      // The query heads; the block with the newest tile makes its key and value.
      const int units = works ? num_heads + (newest ? 2 : 0) : 0;
      for (int pass = 0; pass * (kThreads / kLanes) < max(units, 1); ++pass) {
        const int unit = pass * (kThreads / kLanes) + thread / kLanes;
        const int element = thread % kLanes * 8;
        const bool is_query = unit < num_heads;
        const bool is_key = unit == num_heads;
        RotaryHead<kLanes> head = {
            shape, args.transform,
            is_query ? first_head + unit : shape.num_heads + kv_head + (is_key ? 0 : shape.num_kv_heads), element,
            unit < units && element < kHeadDim / 2};
        head.LoadConstants();
        head.LoadRotation(position);
        const int page = head.active && !is_query ? table[position / kPageTokens] : 0;
        if (first && pass == 0) {
          WaitForPredecessor();
          if (args.prefill_follows) ReleaseSuccessor();
        }
        head.Apply(args.qkv + static_cast<int64_t>(token) * all_heads * kHeadDim);
        if (head.active) {
          const uint4 low = RoundedHalves(head.low);
          const uint4 high = RoundedHalves(head.high);
          uint4* const row =
              reinterpret_cast<uint4*>(heads + (is_query ? unit : 8 * kHeadTiles + (is_key ? 0 : 1)) * kRowBytes);
          row[element / 8] = low;
          row[(element + kHeadDim / 2) / 8] = high;
          if (!is_query && part == 0) {
            __half* const to =
                args.kv.base + page * args.kv.page_stride +
                (static_cast<int64_t>(2 * kv_head + (is_key ? 0 : 1)) * kPageTokens + position % kPageTokens) *
                    kHeadDim;
            *reinterpret_cast<uint4*>(to + element) = low;
            *reinterpret_cast<uint4*>(to + kHeadDim / 2 + element) = high;
          }
        }
      }
      __syncthreads();

      if (source < join.sources) {
        // Column `lane` of the newest key or value, into its place in a tile.
        const auto patch = [&](uint32_t at, int row) {
          if (lane < kColumns) {
            *reinterpret_cast<uint4*>(shared + (at - SharedAddress(shared)) +
                                      Slot::Offset(position % kDecodeTile, lane)) =
                reinterpret_cast<const uint4*>(heads + row * kRowBytes)[lane];
          }
        };
        attention.Begin(SharedAddress(heads), kRowBytes, num_heads, lane);
        for (int tile = begin + source; tile < end; tile += stride) {
          const int valid = position + 1 - tile * kDecodeTile;  // tokens of the tile, perhaps more than it has
          float score[WarpAttention<kHeadDim, kHeadTiles>::kGroups][kHeadTiles][4] = {};
          const uint32_t keys = ring.Wait();
          if (tile == newest_tile) {
            patch(keys, 8 * kHeadTiles);
            __syncwarp();
          }
          attention.Scores(keys, score, lane);
          ring.Release(lane);
          attention.Weigh(score, scale, valid, lane);
          const uint32_t values = ring.Wait();
          if (tile == newest_tile) {
            // What lies behind the sequence's end may be anything, NaN too.
            for (int chunk = valid * kColumns + lane; chunk < kDecodeTile * kColumns; chunk += 32) {
              *reinterpret_cast<uint4*>(shared + (values - SharedAddress(shared)) +
                                        Slot::Offset(chunk / kColumns, chunk % kColumns)) = {0, 0, 0, 0};
            }
            patch(values, 8 * kHeadTiles + 1);
            __syncwarp();
          }
          attention.AddValues(values, lane);
          ring.Release(lane);
        }
        attention.End();
      }
      if (kTensorMap && cluster > 1) {
        WaitForCluster();  // that all blocks have begun
        if (source < join.sources) join.Send(attention, source, lane);
        WaitForBarrier(join_barrier, 0);
      } else {
        __syncthreads();  // the rings have been read
        if (source < join.sources) join.Send(attention, source, lane);
        __syncthreads();
      }
      const int num_splits = what.z & 0xffff;
      const int64_t partial_floats = layout.partial_floats;
      join.Store(
          args.output + (static_cast<int64_t>(token) * shape.num_heads + first_head) * kHeadDim, what.z >> 16,
          num_splits, reinterpret_cast<float*>(args.scratch + layout.partials_offset()) + what.w * partial_floats,
          partial_floats, reinterpret_cast<int*>(args.scratch + layout.arrivals_offset()) + what.w * kMaxCluster, flag);

      index += num_clusters;
      if (index >= num_segments) break;
      // Clusters of several blocks never come here: there is one for every segment.
      whose = __ldcg(segments + 2 * index);
      what = __ldcg(segments + 2 * index + 1);
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
      if constexpr (kTensorMap) FenceForBulkCopies();
#endif
      __syncthreads();  // what was joined, and the heads, have been read
    }
  }
}

// Blocks of one launch; where there are more segments, a block does several.
inline constexpr int kBlocksOfSms = 8;

template <int kHeadDim, int kHeadTiles, bool kTensorMap, int kWarps>
absl::Status LaunchDecode(const LaunchContext& context, const DecodeAttentionArgs& args, const DecodeLayout& layout) {
  using Slot = RingSlot<kHeadDim>;
  const Device& device = *context.device;
  const int pairs = (layout.heads_per_part + 1) / 2;
  const int join_bytes = JoinBytes(kHeadDim, layout.cluster, kWarps, pairs);
  const int heads_bytes = (8 * kHeadTiles + 2) * HeadRowBytes(kHeadDim);
  const int fixed_bytes = (layout.cluster > 1 ? join_bytes : 0) + heads_bytes + 16 + kWarps * 6 * 8;
  // One block alone: two on a multiprocessor, each with 1 KB that is the system's. A cluster's leave room for the
  // blocks of the kernels before and after, which are there at the same time.
  const int budget = kTensorMap ? device.max_shared_bytes / 2 - 1024 : device.max_shared_bytes;
  const int ring_bytes = (layout.cluster > 1 ? 64 : 96) * 1024;
  DecodeShared memory;
  memory.slots = std::clamp(std::min(ring_bytes, budget - fixed_bytes) / (kWarps * Slot::kBytes), 2, 6);
  int offset = kWarps * memory.slots * Slot::kBytes;
  memory.join_offset = layout.cluster > 1 ? offset : 0;
  memory.heads_offset = layout.cluster > 1 ? offset + join_bytes : std::max(offset, join_bytes);
  memory.barriers_offset = memory.heads_offset + heads_bytes;
  memory.bytes = memory.barriers_offset + 16 + kWarps * memory.slots * 8;
  const int clusters =
      layout.cluster > 1 ? layout.max_segments : std::min(layout.max_segments, kBlocksOfSms * device.num_sms);
  CUtensorMap map = {}, tail_map = {};
  if constexpr (kTensorMap) {
    ASSIGN_OR_RETURN(map, KvTensorMap(args.shape, args.kv, kDecodeTile, 1));
    ASSIGN_OR_RETURN(tail_map, KvTensorMap(args.shape, args.kv, kTailTokens, 1));
  }
  return Launch(context, DecodeKernel<kHeadDim, kHeadTiles, kTensorMap, kWarps>,
                static_cast<unsigned>(clusters * layout.cluster), kWarps * 32, static_cast<size_t>(memory.bytes),
                layout.cluster, args, layout, memory, map, tail_map);
}

// The instantiations of one head_dim.
template <int kHeadDim>
absl::Status DecodeOfHeadDim(const LaunchContext& context, const DecodeAttentionArgs& args,
                             const DecodeLayout& layout) {
  const bool two = layout.heads_per_part > 8;
  if (context.hopper()) {
    return two ? LaunchDecode<kHeadDim, 2, true, 4>(context, args, layout)
               : LaunchDecode<kHeadDim, 1, true, 4>(context, args, layout);
  }
  return two ? LaunchDecode<kHeadDim, 2, false, 2>(context, args, layout)
             : LaunchDecode<kHeadDim, 1, false, 2>(context, args, layout);
}

}  // namespace swiftlet::cuda
