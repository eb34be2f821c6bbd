// RopeKv: a group of 2 to 16 lanes does one head of one token (rotary_head.cuh).
#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/attention_versions.h"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/rotary_head.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kPageTokens = 64;

template <int kLanes>
__global__ void __launch_bounds__(kThreads) RopeKvKernel(const RopeKvArgs args) {
  const int num_heads = args.shape.num_heads;
  const int num_kv_heads = args.shape.num_kv_heads;
  const int head_dim = args.shape.head_dim;
  const int half_dim = head_dim / 2;
  const int all_heads = num_heads + 2 * num_kv_heads;
  const int unit = blockIdx.x * (kThreads / kLanes) + threadIdx.x / kLanes;
  const int token = unit / all_heads;
  const int element = static_cast<int>(threadIdx.x % kLanes) * 8;
  RotaryHead<kLanes> head = {args.shape, args.transform, unit - token * all_heads, element};
  head.active = element < half_dim && token < args.num_tokens;
  head.LoadConstants();
  WaitForPredecessor();
  ReleaseSuccessor();

  const StepCounts& counts = *args.step.counts;
  int position = 0;
  int row = -1;
  if (head.active) {
    position = args.step.positions[token];
    row = token >= counts.num_decodes && token < counts.num_tokens ? args.step.token_rows[token] : -1;
  }
  head.active = row >= 0;
  head.LoadRotation(position);
  head.Apply(args.qkv + static_cast<int64_t>(token) * all_heads * head_dim);
  if (!head.active) return;
  __half* to;
  if (head.head < num_heads) {
    to = args.query + (static_cast<int64_t>(token) * num_heads + head.head) * head_dim;
  } else {
    const int64_t page =
        args.step.block_tables[static_cast<int64_t>(row) * args.step.block_table_stride + position / kPageTokens];
    const int kv_head = head.head - num_heads - (head.is_value() ? num_kv_heads : 0);
    to = args.kv.base + page * args.kv.page_stride +
         (static_cast<int64_t>(2 * kv_head + (head.is_value() ? 1 : 0)) * kPageTokens + position % kPageTokens) *
             head_dim;
  }
  *reinterpret_cast<uint4*>(to + element) = RoundedHalves(head.low);
  *reinterpret_cast<uint4*>(to + half_dim + element) = RoundedHalves(head.high);
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
  switch (RotaryLanes(args.shape.head_dim)) {
    case 2:
      return LaunchRopeKv<2>(context, args);
    case 4:
      return LaunchRopeKv<4>(context, args);
    case 8:
      return LaunchRopeKv<8>(context, args);
    default:
      return LaunchRopeKv<16>(context, args);
  }
}

}  // namespace swiftlet::cuda
