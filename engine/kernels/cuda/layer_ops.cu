#include <algorithm>

#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/layer_ops.h"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kWarp = 32;

// ---- embedding

// Waits before it releases: decode attention rests on that (attention.h).
__global__ void EmbeddingKernel(EmbeddingArgs args) {
  WaitForPredecessor();
  ReleaseSuccessor();
  const int64_t token = blockIdx.x;
  const uint4* const row = reinterpret_cast<const uint4*>(args.weight + int64_t{args.token_ids[token]} * args.hidden);
  float4* const output = reinterpret_cast<float4*>(args.residual + token * args.hidden);
  for (int i = threadIdx.x; i < args.hidden / 8; i += blockDim.x) {
    const uint4 packed = __ldg(row + i);
    const __half2* const halves = reinterpret_cast<const __half2*>(&packed);
    const float2 a = __half22float2(halves[0]), b = __half22float2(halves[1]);
    const float2 c = __half22float2(halves[2]), d = __half22float2(halves[3]);
    output[2 * i] = {a.x, a.y, b.x, b.y};
    output[2 * i + 1] = {c.x, c.y, d.x, d.y};
  }
}

// ---- RMSNorm

__device__ __forceinline__ float BlockSum(float value, float* warps) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = value;
  __syncthreads();
  const int num_warps = blockDim.x / kWarp;
  value = threadIdx.x % kWarp < num_warps ? warps[threadIdx.x % kWarp] : 0;
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

// A block a row, held in registers: kQuads groups of four columns a thread.
template <int kQuads>
__global__ void __launch_bounds__(kQuads < 8 ? 512 : 1024) RmsNormKernel(RmsNormArgs args) {
  __shared__ float warps[kWarp];
  const int quads = args.hidden / 4;
  const float4* const weight = reinterpret_cast<const float4*>(args.weight);
  float4 w[kQuads], x[kQuads];
#pragma unroll
  for (int k = 0; k < kQuads; ++k) {
    const int i = k * blockDim.x + threadIdx.x;
    if (i < quads) w[k] = __ldg(weight + i);
  }
  ReleaseSuccessor();  // the linear layer that follows fills its rings meanwhile
  WaitForPredecessor();
  const int64_t row = args.rows == nullptr ? blockIdx.x : args.rows[blockIdx.x];
  const float4* const input = reinterpret_cast<const float4*>(args.residual + row * args.hidden);
  float squares = 0;
#pragma unroll
  for (int k = 0; k < kQuads; ++k) {
    const int i = k * blockDim.x + threadIdx.x;
    x[k] = i < quads ? input[i] : float4{0, 0, 0, 0};
  }
#pragma unroll
  for (int k = 0; k < kQuads; ++k) {
    squares += x[k].x * x[k].x + x[k].y * x[k].y + x[k].z * x[k].z + x[k].w * x[k].w;
  }
  const float scale = rsqrtf(BlockSum(squares, warps) / static_cast<float>(args.hidden) + args.epsilon);
  uint2* const output = reinterpret_cast<uint2*>(args.output + int64_t{blockIdx.x} * args.hidden);
#pragma unroll
  for (int k = 0; k < kQuads; ++k) {
    const int i = k * blockDim.x + threadIdx.x;
    if (i >= quads) continue;
    const __half2 low = SaturatedHalf2(x[k].x * scale * w[k].x, x[k].y * scale * w[k].y);
    const __half2 high = SaturatedHalf2(x[k].z * scale * w[k].z, x[k].w * scale * w[k].w);
    output[i] = {*reinterpret_cast<const uint32_t*>(&low), *reinterpret_cast<const uint32_t*>(&high)};
  }
}

// ---- SwiGLU

constexpr int kSwigluThreads = 256;

__device__ __forceinline__ float GatedUp(float gate, float up) {
  return __fdividef(gate, 1 + __expf(-gate)) * (up * (1 / kMlpScale));
}

__device__ __forceinline__ void AddBias(const float* bias, float2 (&values)[4]) {
  const float4 low = __ldg(reinterpret_cast<const float4*>(bias));
  const float4 high = __ldg(reinterpret_cast<const float4*>(bias) + 1);
  values[0].x += low.x, values[0].y += low.y, values[1].x += low.z, values[1].y += low.w;
  values[2].x += high.x, values[2].y += high.y, values[3].x += high.z, values[3].y += high.w;
}

// A thread computes one group of eight columns.
__global__ void __launch_bounds__(kSwigluThreads) SwigluKernel(SwigluArgs args) {
  WaitForPredecessor();
  ReleaseSuccessor();
  const int64_t groups = args.intermediate / 8;
  const int64_t at = int64_t{blockIdx.x} * kSwigluThreads + threadIdx.x;
  if (at >= args.num_rows * groups) return;
  const uint4* const input = reinterpret_cast<const uint4*>(args.gate_up) + 2 * at;
  const uint4 packed_gate = input[0], packed_up = input[1];
  float2 gate[4], up[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    gate[k] = __half22float2(reinterpret_cast<const __half2*>(&packed_gate)[k]);
    up[k] = __half22float2(reinterpret_cast<const __half2*>(&packed_up)[k]);
  }
  if (args.bias != nullptr) {
    const float* const bias = args.bias + 16 * (at % groups);
    AddBias(bias, gate);
    AddBias(bias + 8, up);
  }
  uint4 packed;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    reinterpret_cast<__half2*>(&packed)[k] = SaturatedHalf2(GatedUp(gate[k].x, up[k].x), GatedUp(gate[k].y, up[k].y));
  }
  reinterpret_cast<uint4*>(args.output)[at] = packed;
}

// ---- KV blocks

constexpr int kCopyThreads = 256;

__global__ void __launch_bounds__(kCopyThreads) CopyBlockKernel(CopyBlocksArgs args) {
  WaitForPredecessor();
  ReleaseSuccessor();
  std::byte* const layer = args.kv + blockIdx.y * args.layer_stride;
  const uint4* const from = reinterpret_cast<const uint4*>(layer + args.from * args.block_bytes);
  uint4* const to = reinterpret_cast<uint4*>(layer + args.to * args.block_bytes);
  const int64_t i = int64_t{blockIdx.x} * kCopyThreads + threadIdx.x;
  if (i < args.block_bytes / 16) to[i] = from[i];
}

int64_t CeilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

absl::Status Embedding(const LaunchContext& context, const EmbeddingArgs& args) {
  const auto threads = static_cast<unsigned>(std::clamp<int64_t>(CeilDiv(args.hidden / 8, kWarp) * kWarp, kWarp, 256));
  return Launch(context, EmbeddingKernel, dim3(args.num_tokens), dim3(threads), 0, 1, args);
}

absl::Status RmsNorm(const LaunchContext& context, const RmsNormArgs& args) {
  // By the width alone, so that a row's sum never depends on the batch.
  const int64_t quads = args.hidden / 4;
  const auto threads = [quads](int64_t per_thread) {
    return dim3(static_cast<unsigned>(CeilDiv(CeilDiv(quads, per_thread), kWarp) * kWarp));
  };
  const dim3 grid(args.num_rows);
  if (quads <= 512) return Launch(context, RmsNormKernel<1>, grid, threads(1), 0, 1, args);
  if (quads <= 1024) return Launch(context, RmsNormKernel<2>, grid, threads(2), 0, 1, args);
  if (quads <= 2048) return Launch(context, RmsNormKernel<4>, grid, threads(4), 0, 1, args);
  if (quads <= 8192) return Launch(context, RmsNormKernel<8>, grid, threads(8), 0, 1, args);
  return absl::UnimplementedError("RMSNorm of more than 32,768 columns");
}

absl::Status Swiglu(const LaunchContext& context, const SwigluArgs& args) {
  const int64_t groups = int64_t{args.num_rows} * args.intermediate / 8;
  return Launch(context, SwigluKernel, dim3(static_cast<unsigned>(CeilDiv(groups, kSwigluThreads))),
                dim3(kSwigluThreads), 0, 1, args);
}

absl::Status CopyBlock(const LaunchContext& context, const CopyBlocksArgs& args) {
  const auto blocks = static_cast<unsigned>(CeilDiv(args.block_bytes / 16, kCopyThreads));
  return Launch(context, CopyBlockKernel, dim3(blocks, args.num_layers), dim3(kCopyThreads), 0, 1, args);
}

}  // namespace swiftlet::cuda
