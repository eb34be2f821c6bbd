// How decode attention is divided over the device. An item is a key head (or a part of its query heads) of a sequence;
// a segment is a run of an item's tiles of keys, done by one cluster of blocks. An item of up to one and a half fair
// shares of the work is one segment; longer ones are cut evenly by their own length, so that no segment is much longer
// than a share and none is short: time is smooth in the lengths. The blocks of a cluster join in shared memory,
// segments of one item in global memory by the last cluster to arrive. In a fixed plan (deterministic) the cut follows
// from the length alone. The longest segments come first.
//
// The plan is made on the device from the step's spans, so that a captured graph serves every step. It stands at the
// beginning of the scratch memory: [DecodePlan][DecodeSegment x max_segments][arrivals x max_partials][partials].
// Included by .cu files alone.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/attention.h"

namespace swiftlet::cuda {

inline constexpr int kPageTokens = 64;
inline constexpr int kDecodeTile = 32;  // tokens
inline constexpr int kMaxCluster = 8;   // blocks
// Of a block, where an item is cut: what is shorter costs less whole. A cluster of eight is there for few items, whose
// time is latency: 1 x 4,096 tokens take 8.1 us instead of 9.2 between its neighbours (H200, 2026-11-23).
inline constexpr int kLeastBlockTokens = 384;
inline constexpr int kLeastBlockTokensOfEight = 128;
inline constexpr int kFixedSplitTokens = 1024;  // of a fixed plan, at least
inline constexpr int kMaxFixedSplits = 8;       // of an item

struct alignas(128) DecodePlan {
  int32_t num_segments;
};

struct alignas(32) DecodeSegment {
  int32_t token, row, position;
  int32_t item_head;      // key head * parts + part
  int32_t begin, end;     // tiles
  int32_t split;          // index << 16 | splits of the item
  int32_t first_partial;  // of the item, when there are several splits
};

// What PlanDecodeAttention and DecodeAttention agree on, from the launch alone.
struct DecodeLayout {
  int32_t parts, heads_per_part;  // of the query heads that share a key head: 16 at a time at most
  int32_t heads;                  // items of a sequence
  int32_t cluster;                // blocks that do a segment together
  int32_t shares;                 // that the work is divided into: clusters that fill the device
  int32_t least_tiles;            // of a segment, where an item is cut
  int32_t max_splits;             // of an item
  bool fixed;
  int32_t max_segments, max_partials;
  int32_t partial_floats;

  __host__ __device__ int64_t arrivals_offset() const {
    return static_cast<int64_t>(sizeof(DecodePlan)) + max_segments * static_cast<int64_t>(sizeof(DecodeSegment));
  }
  __host__ __device__ int64_t partials_offset() const {
    return arrivals_offset() + int64_t{4} * kMaxCluster * max_partials;
  }
  __host__ __device__ int64_t scratch_bytes() const {
    return partials_offset() + int64_t{4} * partial_floats * max_partials;
  }
};

// A partial result: [heads][head_dim] sums of weighted values, then for each rank of the cluster [heads] maximum and
// sum of weights: every block writes and joins its own dimensions.
__host__ __device__ constexpr int PartialFloats(int heads, int head_dim) {
  return (heads * (head_dim + 2 * kMaxCluster) + 31) / 32 * 32;
}

// `hopper`: with clusters.
DecodeLayout ChooseDecodeLayout(const Device& device, bool hopper, bool deterministic, const AttentionShape& shape,
                                int32_t max_sequences, int32_t max_pages);

}  // namespace swiftlet::cuda
