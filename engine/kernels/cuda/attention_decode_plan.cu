// The plan of attention_decode_plan.cuh: one block that counts tiles, decides the splits and sorts the segments.
#include <algorithm>

#include "engine/kernels/cuda/attention_decode_plan.cuh"
#include "engine/kernels/cuda/attention_versions.h"
#include "engine/kernels/cuda/launch.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kLengthClasses = 256;  // of segments: eight for each power of two of tiles

__device__ int Tiles(int position) {
  return position / kDecodeTile + 1;
}

// The longest first.
__device__ int LengthClass(int tiles) {
  const int power = 31 - __clz(tiles);
  const int eighth = power >= 3 ? (tiles >> (power - 3)) & 7 : (tiles << (3 - power)) & 7;
  return kLengthClasses - 1 - (power * 8 + eighth);
}

// Of an item of so many tiles; `all_tiles`: of one item of each sequence.
__device__ int Splits(const DecodeLayout& layout, int position, int64_t all_tiles) {
  if (layout.fixed) return min(position / kFixedSplitTokens + 1, layout.max_splits);
  const int64_t tiles = Tiles(position);
  const int64_t items = all_tiles * layout.heads;
  const auto rounded = static_cast<int>((2 * tiles * layout.shares + items) / (2 * items));
  return max(1, min(min(rounded, layout.max_splits), static_cast<int>(tiles) / layout.least_tiles));
}

__global__ void __launch_bounds__(kMaxThreads)
    PlanKernel(const StepView step, const DecodeLayout layout, std::byte* scratch, int32_t* arrivals) {
  __shared__ int32_t class_begin[kLengthClasses];
  __shared__ int32_t warp_tiles[kMaxThreads / 32];
  __shared__ int32_t partials;
  const int thread = static_cast<int>(threadIdx.x);
  const int threads = static_cast<int>(blockDim.x);
  const int lane = thread % 32;
  for (int i = thread; i < kLengthClasses; i += threads) class_begin[i] = 0;
  if (thread == 0) partials = 0;
  WaitForPredecessor();
  ReleaseSuccessor();

  const int num_decodes = step.counts->num_decodes;
  int tiles = 0;
  for (int i = thread; i < num_decodes; i += threads) tiles += Tiles(step.sequences[i].first_position);
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) tiles += __shfl_xor_sync(~0u, tiles, offset);
  if (lane == 0) warp_tiles[thread / 32] = tiles;
  __syncthreads();
  int64_t all_tiles = 0;
  for (int i = 0; i < threads / 32; ++i) all_tiles += warp_tiles[i];

  for (int i = thread; i < num_decodes; i += threads) {
    const int position = step.sequences[i].first_position;
    const int splits = Splits(layout, position, all_tiles);
    atomicAdd(&class_begin[LengthClass((Tiles(position) + splits - 1) / splits)], splits * layout.heads);
  }
  __syncthreads();
  if (thread < 32) {
    constexpr int kMine = kLengthClasses / 32;
    int counts[kMine];
    int sum = 0;
#pragma unroll
    for (int i = 0; i < kMine; ++i) sum += counts[i] = class_begin[lane * kMine + i];
    int before = sum;
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
      const int other = __shfl_up_sync(~0u, before, offset);
      if (lane >= offset) before += other;
    }
    if (lane == 31) reinterpret_cast<DecodePlan*>(scratch)->num_segments = before;
    before -= sum;
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      class_begin[lane * kMine + i] = before;
      before += counts[i];
    }
  }
  __syncthreads();
  auto* const segments = reinterpret_cast<DecodeSegment*>(scratch + sizeof(DecodePlan));
  for (int i = thread; i < num_decodes; i += threads) {
    const SequenceSpan span = step.sequences[i];
    const int num_tiles = Tiles(span.first_position);
    const int splits = Splits(layout, span.first_position, all_tiles);
    int at = atomicAdd(&class_begin[LengthClass((num_tiles + splits - 1) / splits)], splits * layout.heads);
    int partial = splits > 1 ? atomicAdd(&partials, splits * layout.heads) : 0;
    for (int head = 0; head < layout.heads; ++head) {
      for (int split = 0; split < splits; ++split, ++at) {
        int4* const to = reinterpret_cast<int4*>(segments + at);
        to[0] = {span.first_token, span.row, span.first_position, head};
        to[1] = {split * num_tiles / splits, (split + 1) * num_tiles / splits, split << 16 | splits, partial};
      }
      if (splits > 1) {
        for (int rank = 0; rank < kMaxCluster; ++rank) arrivals[partial * kMaxCluster + rank] = 0;
        partial += splits;
      }
    }
  }
}

}  // namespace

DecodeLayout ChooseDecodeLayout(const Device& device, bool hopper, bool deterministic, const AttentionShape& shape,
                                int32_t max_sequences, int32_t max_pages) {
  DecodeLayout layout = {};
  const int group = shape.num_heads / shape.num_kv_heads;
  layout.parts = (group + 15) / 16;
  layout.heads_per_part = (group + layout.parts - 1) / layout.parts;
  layout.heads = shape.num_kv_heads * layout.parts;
  layout.fixed = deterministic;
  layout.cluster = 1;
  if (hopper && !deterministic) {
    while (layout.cluster < kMaxCluster &&
           int64_t{2} * layout.cluster * max_sequences * layout.heads <= device.num_sms) {
      layout.cluster *= 2;
    }
  }
  layout.shares = device.num_sms / layout.cluster;
  const int least_block_tokens = layout.cluster == kMaxCluster ? kLeastBlockTokensOfEight : kLeastBlockTokens;
  layout.least_tiles = least_block_tokens / kDecodeTile * layout.cluster;
  const int32_t max_tiles = max_pages * (kPageTokens / kDecodeTile);
  if (deterministic) {
    layout.max_splits = std::clamp((max_pages * kPageTokens - 1) / kFixedSplitTokens + 1, 1, kMaxFixedSplits);
    layout.max_segments = layout.max_partials = max_sequences * layout.heads * layout.max_splits;
  } else {
    // One item takes at most its rounded share; with sum x = shares / heads, sum max(1, round(x)) over the sequences is
    // largest when one of them has nearly all of the work. What is cut at all is at most 4/3 of the shares.
    const int32_t rounded = std::max(1, (2 * layout.shares + layout.heads) / (2 * layout.heads));
    layout.max_splits = std::clamp(max_tiles / layout.least_tiles, 1, rounded);
    layout.max_segments = std::min(max_sequences * layout.max_splits, max_sequences - 1 + rounded) * layout.heads;
    layout.max_partials = std::min(layout.max_segments, layout.shares * 4 / 3 + layout.heads);
  }
  layout.partial_floats = PartialFloats(layout.heads_per_part, shape.head_dim);
  return layout;
}

absl::Status PlanMatrixDecode(const LaunchContext& context, const DecodeAttentionArgs& args) {
  const DecodeLayout layout = ChooseDecodeLayout(*context.device, context.hopper(), context.deterministic, args.shape,
                                                 args.max_sequences, args.max_pages);
  const int threads = std::clamp((args.max_sequences + 31) / 32 * 32, 64, kMaxThreads);
  return Launch(context, PlanKernel, 1, threads, 0, 1, args.step, layout, args.scratch,
                reinterpret_cast<int32_t*>(args.scratch + layout.arrivals_offset()));
}

}  // namespace swiftlet::cuda
