// The tiles of keys and values that one warp of decode attention reads: a ring of slots in shared memory, each of which
// takes the keys or the values of a tile, in turn, so that a slot is free again as early as can be.
//
// A slot: [64 dimensions][tokens] rows of 128 bytes, whose 16-byte columns are permuted by the row as tensor maps do it
// (column ^ row % 8), so that eight rows of one column lie in different banks. Included by .cu files alone.
#pragma once

#include <cuda.h>

#include "engine/kernels/cuda/attention_decode_plan.cuh"
#include "engine/kernels/cuda/attention_mma.cuh"

namespace swiftlet::cuda {

inline constexpr int kTailTokens = 8;  // of a last tile no more is read than so many too much

template <int kHeadDim>
struct RingSlot {
  static constexpr int kBoxes = (kHeadDim + 63) / 64;
  static constexpr int kBoxBytes = kDecodeTile * 128;
  static constexpr int kBytes = kBoxes * kBoxBytes;

  // `column`: of 16 bytes, in the head.
  __device__ static uint32_t Offset(int token, int column) {
    return column / 8 * kBoxBytes + token * 128 + ((column % 8) ^ (token % 8)) * 16;
  }
};

// Every lane of the warp calls everything.
template <int kHeadDim, bool kTensorMap>
struct TileRing {
  using Slot = RingSlot<kHeadDim>;

  const KvLayer& kv;
  const CUtensorMap& map;       // boxes of a tile
  const CUtensorMap& tail_map;  // boxes of kTailTokens
  int num_kv_heads;
  uint32_t first_slot, barriers;  // in shared memory
  int slots;
  int slot = 0, filled = 0;  // to be read next, to be filled next
  uint32_t parity = 0;       // of the slot to be read next

  // Of the segment: tiles tile, tile + stride .. < end are this warp's.
  const int32_t* table = nullptr;
  int kv_head = 0, tile = 0, stride = 1, end = 0, tokens = 0;  // tokens: of the sequence
  bool value = false;                                          // what comes next of `tile`
  int block = 0, blocks_read = 0;                              // lane i: the page of the i-th tile read ahead

  __device__ void InitBarriers(int lane) {
    if (lane == 0) {
      for (int i = 0; i < slots; ++i) InitBarrier(barriers + 8 * i, kTensorMap ? 1 : 32);
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
      if constexpr (kTensorMap) FenceForBulkCopies();
#endif
    }
    __syncwarp();
  }

  __device__ void Start(const int32_t* row_table, int head, int first_tile, int tile_stride, int end_tile,
                        int num_tokens, int lane) {
    table = row_table;
    kv_head = head;
    tile = first_tile;
    stride = tile_stride;
    end = end_tile;
    tokens = num_tokens;
    value = false;
    ReadBlocks(lane);
    for (int i = 0; i < slots; ++i) Fill(lane);
  }

  __device__ void ReadBlocks(int lane) {
    const int mine = tile + lane * stride;
    block = mine < end ? table[mine / (kPageTokens / kDecodeTile)] : 0;
    blocks_read = 0;
  }

  // The next half of a tile into the slot that was free first.
  __device__ void Fill(int lane) {
    if (tile >= end) return;
    const int page = __shfl_sync(~0u, block, blocks_read);
    const int first_token = tile % (kPageTokens / kDecodeTile) * kDecodeTile;
    const uint32_t to = first_slot + filled * Slot::kBytes;
    const uint32_t barrier = barriers + 8 * filled;
    if constexpr (kTensorMap) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
      if (lane == 0) {
        const int matrix = (page * num_kv_heads + kv_head) * 2 + (value ? 1 : 0);
        const int rows = tokens - 1 - tile * kDecodeTile;  // without the newest token: no one has written that yet
        if (rows >= kDecodeTile) {
          ExpectBytes(barrier, Slot::kBytes);
#pragma unroll
          for (int box = 0; box < Slot::kBoxes; ++box) {
            TensorCopy(to + box * Slot::kBoxBytes, &map, 64 * box, first_token, matrix, barrier);
          }
        } else {
          const int pieces = (rows + kTailTokens - 1) / kTailTokens;
          ExpectBytes(barrier, pieces * Slot::kBoxes * kTailTokens * 128);
          for (int piece = 0; piece < pieces; ++piece) {
            for (int box = 0; box < Slot::kBoxes; ++box) {
              TensorCopy(to + box * Slot::kBoxBytes + piece * kTailTokens * 128, &tail_map, 64 * box,
                         first_token + piece * kTailTokens, matrix, barrier);
            }
          }
        }
      }
      __syncwarp();
#endif
    } else {
      const __half* from = kv.base + page * kv.page_stride +
                           (static_cast<int64_t>(2 * kv_head + (value ? 1 : 0)) * kPageTokens + first_token) * kHeadDim;
      constexpr int kColumns = kHeadDim / 8;
      const int valid = tokens - tile * kDecodeTile;
#pragma unroll 4
      for (int i = 0; i < kDecodeTile * kColumns / 32; ++i) {
        const int chunk = lane + 32 * i;
        const int token = chunk / kColumns;
        const int column = chunk % kColumns;
        CopyChunk(to + Slot::Offset(token, column), from + token * kHeadDim + column * 8, token >= valid);
      }
      ArriveAfterCopies(barrier);
    }
    if (++filled == slots) filled = 0;
    if (value) {
      tile += stride;
      if (++blocks_read == 32) ReadBlocks(lane);
    }
    value = !value;
  }

  // Address of the next half of a tile, once it is there.
  __device__ uint32_t Wait() {
    WaitBarrier(barriers + 8 * slot, parity);
    if constexpr (!kTensorMap) __syncwarp();
    return first_slot + slot * Slot::kBytes;
  }

  // It has been read.
  __device__ void Release(int lane) {
    __syncwarp();
    if (++slot == slots) slot = 0, parity ^= 1;
    Fill(lane);
  }
};

}  // namespace swiftlet::cuda
