// Attention without tensor cores: a block does one query head of one token, its warps take blocks of 32 keys in turn
// (lanes are keys for the scores, pairs of dimensions for the values) and join their results in shared memory.
#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention_versions.h"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kPageTokens = 64;
constexpr int kMaxHeadDim = 256;
constexpr int kPairs = kMaxHeadDim / 64;  // of dimensions, a lane

// kPrefill: blockIdx.x counts the tokens of the prefill tiles, else the decodes.
template <bool kPrefill>
__global__ void __launch_bounds__(kWarps * 32) PortableAttentionKernel(const AttentionArgs args) {
  __shared__ __align__(16) float query[kMaxHeadDim];
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
  for (int i = threadIdx.x; i < head_dim; i += kWarps * 32) query[i] = __half2float(args.query[row_offset + i]) * scale;
  __syncthreads();

  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int* table = step.block_tables + static_cast<int64_t>(span.row) * step.block_table_stride;
  float maximum = -INFINITY;
  float sum = 0;
  float2 accumulator[kPairs] = {};
  for (int begin = warp * 32; begin <= position; begin += kWarps * 32) {
    const __half* keys = args.kv.base + table[begin / kPageTokens] * args.kv.page_stride +
                         (static_cast<int64_t>(2 * kv_head) * kPageTokens + begin % kPageTokens) * head_dim;
    const int count = min(32, position + 1 - begin);
    float score = -INFINITY;
    if (lane < count) {
      const uint4* key = reinterpret_cast<const uint4*>(keys + lane * head_dim);
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
    const __half* value = keys + kPageTokens * head_dim;
    for (int key = 0; key < count; ++key, value += head_dim) {
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

absl::Status PortableDecodeAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_sequences) {
  const dim3 grid(static_cast<unsigned>(max_sequences), static_cast<unsigned>(args.shape.num_heads));
  return Launch(context, PortableAttentionKernel<false>, grid, kWarps * 32, 0, 1, args);
}

absl::Status PortablePrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles) {
  const dim3 grid(static_cast<unsigned>(max_tiles) * kPrefillTileTokens, static_cast<unsigned>(args.shape.num_heads));
  return Launch(context, PortableAttentionKernel<true>, grid, kWarps * 32, 0, 1, args);
}

}  // namespace swiftlet::cuda
