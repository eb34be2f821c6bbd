// The work of prefill attention on warpgroups and the warp that brings it: how a step's tiles become items, where an
// item's queries, keys and values lie in shared memory, and the warp that fetches them. Included by .cu files alone.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/attention_mma.cuh"
#include "engine/kernels/cuda/attention_warpgroup.cuh"

namespace swiftlet::cuda {

inline constexpr int kPageTokens = 64;
inline constexpr int kPrefillBlockKeys = 2 * kPageTokens;
inline constexpr int kPrefillConsumers = 2;  // warpgroups, each of the rows of a tile
inline constexpr int kPrefillQuerySlots = 2;
static_assert(kPrefillTileTokens == 64, "a warpgroup multiplies 64 rows");

// What the producer tells of an item.
struct PrefillItem {
  int32_t first_token;  // of the batch
  int32_t num_tokens;
  int32_t first_position;
  int32_t num_pages;
  int32_t first_head;
  int32_t heads;  // 0: there is no other item
};

// In shared memory everything is boxes of 64 dimensions: rows of 128 bytes whose 16-byte columns are permuted by the
// row. [queries: slot, head, box, token][keys: stage, box, token][values: the same][items][barriers]
template <int kHeadDim>
struct PrefillLayout {
  static constexpr int kBoxes = (kHeadDim + 63) / 64;
  static constexpr int kStages = kBoxes == 1 ? 4 : 2;
  static constexpr int kQueryBox = kPrefillTileTokens * 128;
  static constexpr int kHeadBytes = kBoxes * kQueryBox;
  static constexpr int kPageBox = kPageTokens * 128;
  static constexpr int kStageBox = kPrefillBlockKeys * 128;
  static constexpr int kStageBytes = kBoxes * kStageBox;
  static constexpr int kKeys = kPrefillQuerySlots * kPrefillConsumers * kHeadBytes;
  static constexpr int kValues = kKeys + kStages * kStageBytes;
  static constexpr int kItems = kValues + kStages * kStageBytes;
  static constexpr int kBarriers = kItems + kPrefillQuerySlots * static_cast<int>(sizeof(PrefillItem));
  // Barriers, each with the one of its opposite behind.
  static constexpr int kQueryBarriers = kBarriers;
  static constexpr int kKeyBarriers = kQueryBarriers + 16 * kPrefillQuerySlots;
  static constexpr int kValueBarriers = kKeyBarriers + 16 * kStages;
  static constexpr int kBytes = kValueBarriers + 16 * kStages;
};

// How the step's tiles become items: the fewer heads an item has, the more items there are, and the less of the tensor
// cores each can use.
struct PrefillDivision {
  int heads;      // of an item
  int parts;      // items of a tile and key head
  int num_items;  // in all
};
__device__ __forceinline__ PrefillDivision DividePrefill(int num_tiles, int num_kv_heads, int group, int blocks) {
  PrefillDivision best = {};
  int best_cost = 1 << 30;
#pragma unroll
  for (int heads = kPrefillConsumers; heads >= 1; --heads) {
    if (heads > group) continue;
    const int parts = (group + heads - 1) / heads;
    const int num_items = num_tiles * num_kv_heads * parts;
    const int cost = (num_items + blocks - 1) / blocks * (heads == 2 ? 10 : 7);
    if (cost < best_cost) {
      best_cost = cost;
      best = {heads, parts, num_items};
    }
  }
  return best;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int kHeadDim>
__device__ __forceinline__ void ProducePrefill(const AttentionArgs& args, const PrefillDivision& division,
                                               uint32_t shared, PrefillItem* items, const CUtensorMap* query_map,
                                               const CUtensorMap* kv_map) {
  using L = PrefillLayout<kHeadDim>;
  const int lane = threadIdx.x % 32;
  const StepView& step = args.step;
  const int num_kv_heads = args.shape.num_kv_heads;
  const int group = args.shape.num_heads / num_kv_heads;
  const int blocks = static_cast<int>(gridDim.x);
  const int block = static_cast<int>(blockIdx.x);
  int count = 0;  // of blocks of keys
  for (int turn = 0;; ++turn) {
    const int slot = turn % kPrefillQuerySlots;
    const uint32_t query_barrier = shared + L::kQueryBarriers + 16 * slot;
    // This block's items go back and forth over the blocks.
    const int index = turn * blocks + (turn % 2 == 0 ? block : blocks - 1 - block);
    if (index >= division.num_items) {
      WaitBarrier(query_barrier + 8, (turn / kPrefillQuerySlots & 1) ^ 1);
      if (lane == 0) {
        items[slot] = {};
        ArriveAt(query_barrier);
      }
      return;
    }
    const int of_tile = division.parts * num_kv_heads;
    const PrefillTile tile = step.prefill_tiles[index / of_tile];
    const int kv_head = index % of_tile / division.parts;
    const int first_head = index % division.parts * division.heads;
    const int heads = min(division.heads, group - first_head);
    const SequenceSpan span = step.sequences[tile.sequence];
    const int* const table = step.block_tables + static_cast<int64_t>(span.row) * step.block_table_stride;
    PrefillItem item;
    item.first_token = span.first_token + tile.first_token;
    item.num_tokens = min(kPrefillTileTokens, span.num_tokens - tile.first_token);
    item.first_position = span.first_position + tile.first_token;
    item.num_pages = (item.first_position + item.num_tokens - 1) / kPageTokens + 1;
    item.first_head = kv_head * group + first_head;
    item.heads = heads;

    WaitBarrier(query_barrier + 8, (turn / kPrefillQuerySlots & 1) ^ 1);
    if (lane == 0) {
      items[slot] = item;
      ExpectBytes(query_barrier, heads * L::kHeadBytes);
      for (int head = 0; head < heads; ++head) {
#pragma unroll
        for (int box = 0; box < L::kBoxes; ++box) {
          TensorCopy(shared + (slot * kPrefillConsumers + head) * L::kHeadBytes + box * L::kQueryBox, query_map,
                     64 * box, item.first_head + head, item.first_token, query_barrier);
        }
      }
    }
    int ids = 0;  // a lane has one of 32 pages' ids
    for (int page = 0; page < item.num_pages; page += 2, ++count) {
      if (page % 32 == 0) ids = table[min(page + lane, item.num_pages - 1)];
      const int first = __shfl_sync(~0u, ids, page % 32);
      const int second = __shfl_sync(~0u, ids, page % 32 + 1);
      const int pages = min(2, item.num_pages - page);
      const int stage = count % L::kStages;
      const uint32_t parity = (count / L::kStages & 1) ^ 1;
#pragma unroll
      for (int value = 0; value < 2; ++value) {
        const uint32_t barrier = shared + (value == 0 ? L::kKeyBarriers : L::kValueBarriers) + 16 * stage;
        const uint32_t to = shared + (value == 0 ? L::kKeys : L::kValues) + stage * L::kStageBytes;
        WaitBarrier(barrier + 8, parity);
        if (lane == 0) {
          ExpectBytes(barrier, pages * L::kBoxes * L::kPageBox);
#pragma unroll
          for (int box = 0; box < L::kBoxes; ++box) {
            TensorCopy(to + box * L::kStageBox, kv_map, 64 * box, 0, (first * num_kv_heads + kv_head) * 2 + value,
                       barrier);
            if (pages == 2) {
              TensorCopy(to + box * L::kStageBox + L::kPageBox, kv_map, 64 * box, 0,
                         (second * num_kv_heads + kv_head) * 2 + value, barrier);
            }
          }
        }
        __syncwarp();
      }
    }
  }
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace swiftlet::cuda
