// How decode attention is divided over the device. The work, tiles of keys of all (sequence, key head), is one line;
// every block takes an equal piece of it, so that any mix of lengths keeps all of them equally busy. A fixed plan
// (deterministic) cuts each item by its own length alone and deals out whole cuts. Everything is computed on the device
// from the step's spans, so that a captured graph serves every step. Included by .cu files alone.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/attention.h"

namespace swiftlet::cuda {

inline constexpr int kPageTokens = 64;
inline constexpr int kFixedSplitTokens = 512;  // deterministic: the least of a cut
inline constexpr int kMaxFixedSplits = 8;      // of an item
inline constexpr int kLeastTokens = 512;       // otherwise, of a block: what is shorter costs less whole than joined

struct Plan {
  int parts;           // of the query heads that share a key head
  int heads_per_part;  // at most 8 * kHeadTiles
  int stages;          // of each warp's ring
  int least_tiles;     // for a block: what is shorter costs less whole than joined
  bool fixed;
  int num_sms;
};

// Query heads that share a key head are done 16 at a time at most.
struct HeadSplit {
  int parts, heads_per_part;
};
inline HeadSplit SplitHeads(const AttentionShape& shape) {
  const int group = shape.num_heads / shape.num_kv_heads;
  const int parts = (group + 15) / 16;
  return {parts, (group + parts - 1) / parts};
}

// Scratch: 2 slots for each multiprocessor, then for each item a counter and its slots of a fixed plan.
// A slot: float4 of dims (d, d + 8) x heads (h, h + 1), [d / 16][d % 8][pair of heads]; then [maxima, sums][heads].
__host__ __device__ constexpr int HeadPairs(int heads) {
  return (heads + 1) / 2;
}
__host__ __device__ constexpr int64_t SlotFloats(int heads_per_part, int head_dim) {
  return (HeadPairs(heads_per_part) * (2 * head_dim + 4) + 3) / 4 * 4;
}
__host__ __device__ constexpr int64_t ItemFloats(int64_t slot_floats) {
  return 4 + kMaxFixedSplits * slot_floats;
}

// Tiles [begin, end) of an item: one block's share of it.
struct Segment {
  int sequence, head;  // head: key head and part
  int begin, end;
  int tiles;  // of the item
  int position, token, row;
  int first_warp;         // that takes tile `begin`
  int split, item_begin;  // fixed plan: index of the split; else: where the item begins on the line
};

// An item of which this block has stored a part.
struct Partial {
  int sequence, head, token;
  int num_splits, first_block;
};

// Walks over the segments of a block's piece [x, end) of the line.
template <int kTile>
struct Walk {
  const AttentionArgs& args;
  const Plan& plan;
  int heads;  // items a sequence
  int x, begin, end;
  int sequence, base, units;  // the sequence at x, where it begins on the line, its units an item
  SequenceSpan span;

  __device__ static int Tiles(int position) { return position / kTile + 1; }
  __device__ static int Units(const Plan& plan, int position) {
    return plan.fixed ? min(position / kFixedSplitTokens + 1, kMaxFixedSplits) : Tiles(position);
  }

  __device__ void Load() {
    const int4 loaded = *reinterpret_cast<const int4*>(args.step.sequences + sequence);
    span = {loaded.x, loaded.y, loaded.z, loaded.w};
    units = Units(plan, span.first_position);
  }

  __device__ bool Next(Segment* segment, int warps) {
    if (x >= end) return false;
    while (x >= base + units * heads) {
      base += units * heads;
      ++sequence;
      Load();
    }
    const int offset = x - base;
    segment->head = offset / units;
    const int unit = offset - segment->head * units;
    segment->sequence = sequence;
    segment->position = span.first_position;
    segment->token = span.first_token;
    segment->row = span.row;
    segment->tiles = Tiles(span.first_position);
    if (plan.fixed) {
      segment->begin = unit * segment->tiles / units;
      segment->end = (unit + 1) * segment->tiles / units;
      segment->first_warp = 0;
      segment->split = unit;
      segment->item_begin = 0;
      ++x;
    } else {
      segment->begin = unit;
      segment->end = min(units, unit + end - x);
      segment->first_warp = (x - begin) % warps;
      segment->split = 0;
      segment->item_begin = x - unit;
      x += segment->end - segment->begin;
    }
    return true;
  }
};

}  // namespace swiftlet::cuda
