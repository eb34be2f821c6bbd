// Attention without tensor cores: a block does one query head of one token, its warps take blocks of 32 keys in turn
// (lanes are keys for the scores, pairs of dimensions for the values) and join their results in shared memory.
#include <type_traits>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention_versions.h"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/rotary_head.cuh"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kPageTokens = 64;
constexpr int kMaxHeadDim = 256;
constexpr int kPairs = kMaxHeadDim / 64;  // of dimensions, a lane

// Args: AttentionArgs, blockIdx.x counts the tokens of the prefill tiles; DecodeAttentionArgs, the decodes, whose
// newest key and value each block makes for itself, and the first of the heads that share them writes to the cache.
template <typename Args>
__global__ void __launch_bounds__(kWarps * 32) PortableAttentionKernel(const Args args) {
  constexpr bool kPrefill = std::is_same_v<Args, AttentionArgs>;
  __shared__ __align__(16) float query[kMaxHeadDim];
  __shared__ __align__(16) __half newest[2][kMaxHeadDim];
  __shared__ float maxima[kWarps], sums[kWarps];
  __shared__ float2 values[kWarps][kMaxHeadDim / 2];
  WaitForPredecessor();
  ReleaseSuccessor();
  const StepView& step = args.step;
  SequenceSpan span;
  int token, position;
  if constexpr (kPrefill) {
    const int index = blockIdx.x / kPrefillTileTokens;
    if (index >= step.counts->num_prefill_tiles) return;
    const PrefillTile tile = step.prefill_tiles[index];
    const int offset = tile.first_token + blockIdx.x % kPrefillTileTokens;
    span = step.sequences[tile.sequence];
    if (offset >= span.num_tokens) return;
    token = span.first_token + offset;
    position = span.first_position + offset;
  } else {
    if (blockIdx.x >= step.counts->num_decodes) return;
    span = step.sequences[blockIdx.x];
    token = span.first_token;
    position = span.first_position;
  }
  const int head_dim = args.shape.head_dim;
  const int head = blockIdx.y;
  const int kv_head = head / (args.shape.num_heads / args.shape.num_kv_heads);
  const int64_t row_offset = (static_cast<int64_t>(token) * args.shape.num_heads + head) * head_dim;
  const float scale = rsqrtf(static_cast<float>(head_dim));
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int* table = step.block_tables + static_cast<int64_t>(span.row) * step.block_table_stride;
  if constexpr (kPrefill) {
    for (int i = threadIdx.x; i < head_dim; i += kWarps * 32) {
      query[i] = __half2float(args.query[row_offset + i]) * scale;
    }
  } else if (warp < 2) {  // the query, the key; the value
    constexpr int kLanes = RotaryLanes(kMaxHeadDim);
    const int num_heads = args.shape.num_heads;
    const int num_kv_heads = args.shape.num_kv_heads;
    const int unit = threadIdx.x / kLanes;
    const int element = threadIdx.x % kLanes * 8;
    RotaryHead<kLanes> one = {args.shape, args.transform,
                              unit == 0 ? head : num_heads + kv_head + (unit == 1 ? 0 : num_kv_heads), element,
                              unit < 3 && element < head_dim / 2};
    one.LoadConstants();
    one.LoadRotation(position);
    one.Apply(args.qkv + static_cast<int64_t>(token) * (num_heads + 2 * num_kv_heads) * head_dim);
    if (one.active) {
      const uint4 halves[2] = {RoundedHalves(one.low), RoundedHalves(one.high)};
      for (int i = 0; i < 2; ++i) {
        const int at = i * (head_dim / 2) + element;
        if (unit == 0) {
          for (int j = 0; j < 8; ++j)
            query[at + j] = __half2float(reinterpret_cast<const __half*>(&halves[i])[j]) * scale;
        } else {
          *reinterpret_cast<uint4*>(&newest[unit - 1][at]) = halves[i];
          if (head % (num_heads / num_kv_heads) == 0) {
            *reinterpret_cast<uint4*>(
                args.kv.base + table[position / kPageTokens] * args.kv.page_stride +
                (static_cast<int64_t>(2 * kv_head + unit - 1) * kPageTokens + position % kPageTokens) * head_dim + at) =
                halves[i];
          }
        }
      }
    }
  }
  __syncthreads();

  float maximum = -INFINITY;
  float sum = 0;
  float2 accumulator[kPairs] = {};
  for (int begin = warp * 32; begin <= position; begin += kWarps * 32) {
    const __half* keys = args.kv.base + table[begin / kPageTokens] * args.kv.page_stride +
                         (static_cast<int64_t>(2 * kv_head) * kPageTokens + begin % kPageTokens) * head_dim;
    const int count = min(32, position + 1 - begin);
    float score = -INFINITY;
    if (lane < count) {
      const bool is_newest = !kPrefill && begin + lane == position;
      const uint4* key = reinterpret_cast<const uint4*>(is_newest ? newest[0] : keys + lane * head_dim);
      score = 0;
      for (int i = 0; i < head_dim / 8; ++i) {
        const uint4 eight = key[i];
        const __half2* pairs = reinterpret_cast<const __half2*>(&eight);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float2 pair = __half22float2(pairs[j]);
          score += pair.x * query[8 * i + 2 * j] + pair.y * query[8 * i + 2 * j + 1];
        }
      }
    }
    float new_maximum = fmaxf(maximum, score);
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
      new_maximum = fmaxf(new_maximum, __shfl_xor_sync(~0u, new_maximum, offset));
    }
    const float correction = __expf(maximum - new_maximum);
    const float weight = __expf(score - new_maximum);
    maximum = new_maximum;
    sum = sum * correction + weight;
#pragma unroll
    for (int j = 0; j < kPairs; ++j) accumulator[j].x *= correction, accumulator[j].y *= correction;
    for (int key = 0; key < count; ++key) {
      const bool is_newest = !kPrefill && begin + key == position;
      const __half* value = is_newest ? newest[1] : keys + (kPageTokens + key) * head_dim;
      const float key_weight = __shfl_sync(~0u, weight, key);
#pragma unroll
      for (int j = 0; j < kPairs; ++j) {
        const int dim = 2 * (lane + 32 * j);
        if (dim >= head_dim) break;
        const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(value + dim));
        accumulator[j].x += key_weight * pair.x;
        accumulator[j].y += key_weight * pair.y;
      }
    }
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
  if (lane == 0) maxima[warp] = maximum, sums[warp] = sum;
#pragma unroll
  for (int j = 0; j < kPairs; ++j) values[warp][lane + 32 * j] = accumulator[j];
  __syncthreads();
  for (int pair = threadIdx.x; pair < head_dim / 2; pair += kWarps * 32) {
    float all_maximum = maxima[0];  // warp 0 has keys always
#pragma unroll
    for (int i = 1; i < kWarps; ++i) all_maximum = fmaxf(all_maximum, maxima[i]);
    float all_sum = 0;
    float2 all = {0, 0};
#pragma unroll
    for (int i = 0; i < kWarps; ++i) {
      const float factor = __expf(maxima[i] - all_maximum);
      all_sum += factor * sums[i];
      all.x += factor * values[i][pair].x;
      all.y += factor * values[i][pair].y;
    }
    reinterpret_cast<__half2*>(args.output + row_offset)[pair] = SaturatedHalf2(all.x / all_sum, all.y / all_sum);
  }
}

}  // namespace

absl::Status PortableDecodeAttention(const LaunchContext& context, const DecodeAttentionArgs& args) {
  const dim3 grid(static_cast<unsigned>(args.max_sequences), static_cast<unsigned>(args.shape.num_heads));
  return Launch(context, PortableAttentionKernel<DecodeAttentionArgs>, grid, kWarps * 32, 0, 1, args);
}

absl::Status PortablePrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles) {
  const dim3 grid(static_cast<unsigned>(max_tiles) * kPrefillTileTokens, static_cast<unsigned>(args.shape.num_heads));
  return Launch(context, PortableAttentionKernel<AttentionArgs>, grid, kWarps * 32, 0, 1, args);
}

}  // namespace swiftlet::cuda
