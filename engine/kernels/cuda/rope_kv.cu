// RopeKv: a group of 2 to 16 lanes does one head of one token; each lane has eight elements of either half of the head,
// so that a rotation stays in the lane and a norm is a few shuffles.
//
// ReleaseSuccessor() comes after WaitForPredecessor() on purpose: see DecodeAttention in attention.h.
#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/attention_versions.h"
#include "engine/kernels/cuda/saturate.cuh"
#include "engine/kernels/cuda/launch.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kPageTokens = 64;

__device__ __forceinline__ void LoadFloats(const float* from, float (&to)[8]) {
  const float4 low = *reinterpret_cast<const float4*>(from);
  const float4 high = *reinterpret_cast<const float4*>(from + 4);
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ __forceinline__ void AddHalves(const uint4& from, float (&to)[8]) {
  const __half2* pairs = reinterpret_cast<const __half2*>(&from);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(pairs[i]);
    to[2 * i] += pair.x;
    to[2 * i + 1] += pair.y;
  }
}

__device__ __forceinline__ void StoreHalves(const float (&from)[8], __half* to) {
  uint4 packed;
  __half2* pairs = reinterpret_cast<__half2*>(&packed);
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = SaturatedHalf2(from[2 * i], from[2 * i + 1]);
  *reinterpret_cast<uint4*>(to) = packed;
}

// kLanes: lanes of a head, the power of two that is at least head_dim / 16.
template <int kLanes>
__global__ void __launch_bounds__(kThreads) RopeKvKernel(const RopeKvArgs args) {
  const int num_heads = args.shape.num_heads;
  const int num_kv_heads = args.shape.num_kv_heads;
  const int head_dim = args.shape.head_dim;
  const int half_dim = head_dim / 2;
  const int all_heads = num_heads + 2 * num_kv_heads;
  const int unit = blockIdx.x * (kThreads / kLanes) + threadIdx.x / kLanes;
  const int token = unit / all_heads;
  const int head = unit - token * all_heads;
  const int element = static_cast<int>(threadIdx.x % kLanes) * 8;
  const bool active = element < half_dim && token < args.num_tokens;
  const bool is_query = head < num_heads;
  const bool is_value = head >= num_heads + num_kv_heads;

  float low[8] = {}, high[8] = {};
  float low_norm[8], high_norm[8];
  const float* norm = is_query ? args.query_norm : is_value ? nullptr : args.key_norm;
  if (active && args.bias != nullptr) {
    LoadFloats(args.bias + head * head_dim + element, low);
    LoadFloats(args.bias + head * head_dim + half_dim + element, high);
  }
  if (active && norm != nullptr) {
    LoadFloats(norm + element, low_norm);
    LoadFloats(norm + half_dim + element, high_norm);
  }
  WaitForPredecessor();
  ReleaseSuccessor();

  int position = 0;
  int row = -1;
  if (active) {
    const __half* from = args.qkv + (static_cast<int64_t>(token) * all_heads + head) * head_dim + element;
    const uint4 low_halves = *reinterpret_cast<const uint4*>(from);
    const uint4 high_halves = *reinterpret_cast<const uint4*>(from + half_dim);
    position = args.step.positions[token];
    row = token < args.step.counts->num_tokens ? args.step.token_rows[token] : -1;
    AddHalves(low_halves, low);
    AddHalves(high_halves, high);
  }
  if (args.query_norm != nullptr || args.key_norm != nullptr) {
    float squares = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) squares += low[i] * low[i] + high[i] * high[i];
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) squares += __shfl_xor_sync(~0u, squares, offset);
    if (norm != nullptr) {
      const float scale = 1.0f / sqrtf(squares / static_cast<float>(head_dim) + args.norm_epsilon);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        low[i] = low[i] * scale * low_norm[i];
        high[i] = high[i] * scale * high_norm[i];
      }
    }
  }
  if (!active) return;
  if (!is_value) {
    const float4* cos_sin =
        reinterpret_cast<const float4*>(args.cos_sin + static_cast<int64_t>(position) * half_dim + element);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float4 two = cos_sin[i];
      const float first = low[2 * i], second = low[2 * i + 1];
      low[2 * i] = first * two.x - high[2 * i] * two.y;
      high[2 * i] = high[2 * i] * two.x + first * two.y;
      low[2 * i + 1] = second * two.z - high[2 * i + 1] * two.w;
      high[2 * i + 1] = high[2 * i + 1] * two.z + second * two.w;
    }
  }
  __half* to;
  if (is_query) {
    to = args.query + (static_cast<int64_t>(token) * num_heads + head) * head_dim;
  } else {
    if (row < 0) return;
    const int64_t page =
        args.step.block_tables[static_cast<int64_t>(row) * args.step.block_table_stride + position / kPageTokens];
    const int kv_head = is_value ? head - num_heads - num_kv_heads : head - num_heads;
    to = args.kv.base + page * args.kv.page_stride +
         (static_cast<int64_t>(2 * kv_head + (is_value ? 1 : 0)) * kPageTokens + position % kPageTokens) * head_dim;
  }
  StoreHalves(low, to + element);
  StoreHalves(high, to + half_dim + element);
}

template <int kLanes>
absl::Status LaunchRopeKv(const LaunchContext& context, const RopeKvArgs& args) {
  const int64_t units = static_cast<int64_t>(args.num_tokens) * (args.shape.num_heads + 2 * args.shape.num_kv_heads);
  constexpr int kUnits = kThreads / kLanes;
  return Launch(context, RopeKvKernel<kLanes>, static_cast<unsigned>((units + kUnits - 1) / kUnits), kThreads, 0, 1,
                args);
}

}  // namespace

absl::Status RopeKv(const LaunchContext& context, const RopeKvArgs& args) {
  RETURN_IF_ERROR(CheckAttentionShape(args.shape));
  if (args.num_tokens == 0) return absl::OkStatus();
  if (args.shape.head_dim <= 32) return LaunchRopeKv<2>(context, args);
  if (args.shape.head_dim <= 64) return LaunchRopeKv<4>(context, args);
  if (args.shape.head_dim <= 128) return LaunchRopeKv<8>(context, args);
  return LaunchRopeKv<16>(context, args);
}

}  // namespace swiftlet::cuda
