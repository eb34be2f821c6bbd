#include <absl/strings/str_cat.h>

#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/linear_epilogue.cuh"
#include "engine/kernels/cuda/linear_mlp.h"
#include "engine/kernels/cuda/linear_skinny_kernel.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kWarps = 16;
constexpr int kRowWarps = 2, kSplitK = kWarps / kRowWarps;  // of gate and up; down has all warps along K
constexpr int kMaxHeldPieces = 8;                           // of the input, of one warp
constexpr int kBatch = 5;                                   // pieces of the activated input loaded at a time
constexpr int kSlotBytes = 2 * kFragmentBytes;
constexpr int kStages = 8;  // of a warp's ring, in pieces
constexpr int kSharedBytes = kWarps * kStages * kSlotBytes + 2 * kWarps * kFragmentBytes;

struct MlpParameters {
  LinearOutput activated, residual;
  const __half* input;
  const __half* gate_up;
  const __half* down;
  int32_t hidden, intermediate;
  int32_t num_tiles;  // of gate and up, 16 * kRowWarps features each
  uint64_t* arrivals;
};

__device__ __forceinline__ uint4 LoadFresh(const __half* from) {
  return __ldcg(reinterpret_cast<const uint4*>(from));
}

// Threads: 32 x 16. Blocks: as many as there are multiprocessors.
__global__ void __launch_bounds__(kWarps * 32, 1) MlpKernel(const __grid_constant__ MlpParameters p) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) unsigned char shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int group = lane / 4, quad = lane % 4;
  const int row_warp = warp % kRowWarps, k_warp = warp / kRowWarps;
  const int blocks = gridDim.x;
  unsigned char* const ring = shared + warp * (kStages * kSlotBytes) + lane * 16;
  float4* const partial = reinterpret_cast<float4*>(shared + kWarps * kStages * kSlotBytes) + lane;
  const int rows = p.residual.num_rows;
  const int token_of_lane = min(group, rows - 1);  // what repeats is not stored

  // Of gate and up: this warp's pieces of K, and its tiles.
  const int held = p.hidden / (kPiece * kSplitK);
  const int tiles = (p.num_tiles - static_cast<int>(blockIdx.x) + blocks - 1) / blocks;
  // Of down: the block's 16 features, and this warp's pieces.
  const bool has_down = 16 * static_cast<int>(blockIdx.x) < p.hidden;
  const int down_pieces = p.intermediate / kPiece;
  const int down_first = warp * down_pieces / kWarps;
  const int down_count = has_down ? (warp + 1) * down_pieces / kWarps - down_first : 0;

  // The weights ahead: this lane's 16 bytes of the next piece, and eight rows below.
  const __half* const gate_up_begin =
      p.gate_up + static_cast<int64_t>((blockIdx.x * kRowWarps + row_warp) * 16 + group) * p.hidden +
      k_warp * held * kPiece + quad * 8;
  const int64_t tile_step = static_cast<int64_t>(blocks) * kRowWarps * 16 * p.hidden;
  const __half* ahead = gate_up_begin;
  int64_t eight_rows = int64_t{8} * p.hidden;
  int ahead_left = held, ahead_tile = 0;
  bool ahead_down = false;
  const auto fetch = [&](int slot) {
    if (ahead_left == 0 && !ahead_down) {
      if (++ahead_tile < tiles) {
        ahead = gate_up_begin + ahead_tile * tile_step;
        ahead_left = held;
      } else {
        ahead_down = true;
        ahead =
            p.down + static_cast<int64_t>(blockIdx.x * 16 + group) * p.intermediate + down_first * kPiece + quad * 8;
        eight_rows = int64_t{8} * p.intermediate;
        ahead_left = down_count;
      }
    }
    if (ahead_left > 0) {
      unsigned char* const to = ring + slot * kSlotBytes;
      CopyAsync(to, ahead);
      CopyAsync(to + kFragmentBytes, ahead + eight_rows);
      ahead += kPiece;
      --ahead_left;
    }
    CommitCopies();
  };
#pragma unroll 1
  for (int slot = 0; slot < kStages; ++slot) fetch(slot);
  ReleaseSuccessor();
  WaitForPredecessor();

  int slot = 0;
  const auto multiply = [&](float4& sums, const uint4& x) {
    WaitForCopies<kStages - 1>();
    const unsigned char* const from = ring + slot * kSlotBytes;
    const uint4 low = *reinterpret_cast<const uint4*>(from);
    const uint4 high = *reinterpret_cast<const uint4*>(from + kFragmentBytes);
    fetch(slot);
    slot = slot + 1 == kStages ? 0 : slot + 1;
    Multiply(sums, low.x, high.x, low.y, high.y, x.x, x.y);
    Multiply(sums, low.z, high.z, low.w, high.w, x.z, x.w);
  };

  // Gate and up.
  {
    uint4 x[kMaxHeldPieces];
    const __half* const input =
        p.input + static_cast<int64_t>(token_of_lane) * p.hidden + k_warp * held * kPiece + quad * 8;
#pragma unroll
    for (int i = 0; i < kMaxHeldPieces; ++i) {
      if (i < held) x[i] = LoadFresh(input + i * kPiece);
    }
    int turn = warp, parity = 0;
#pragma unroll 1
    for (int tile = 0; tile < tiles; ++tile) {
      float4 sums = {};
#pragma unroll
      for (int i = 0; i < kMaxHeldPieces; ++i) {
        if (i < held) multiply(sums, x[i]);
      }
      // Two buffers, and other warps to finish from tile to tile: one barrier a tile is enough.
      float4* const warp_sums = partial + parity * kWarps * 32;
      warp_sums[warp * 32] = sums;
      __syncthreads();
      if (turn < kRowWarps) {
        float4 sum = warp_sums[turn * 32];
#pragma unroll
        for (int k = 1; k < kSplitK; ++k) AddTo(sum, warp_sums[(k * kRowWarps + turn) * 32]);
        const int row = ((static_cast<int>(blockIdx.x) + tile * blocks) * kRowWarps + turn) * 16 + group;
        Finish<LinearEpilogue::kSwiglu>(p.activated, sum, float4{}, row, 2 * quad);
      }
      parity ^= 1;
      turn = turn < kRowWarps ? turn + kWarps - kRowWarps : turn - kRowWarps;
    }
  }

  const int down_row = blockIdx.x * 16 + group;
  const float4 old =
      has_down && warp == 0 ? LoadResidual<LinearEpilogue::kAddTo>(p.residual, down_row, 2 * quad) : float4{};

  // All blocks have stored their part of the activated input.
  __syncthreads();
  if (threadIdx.x == 0) {
    uint64_t before, now;
    asm volatile("atom.add.acq_rel.gpu.global.u64 %0, [%1], 1;" : "=l"(before) : "l"(p.arrivals) : "memory");
    const uint64_t target = (before / blocks + 1) * blocks;
    if (has_down) {
      do {
        asm volatile("ld.acquire.gpu.global.u64 %0, [%1];" : "=l"(now) : "l"(p.arrivals) : "memory");
      } while (now < target);
    }
  }
  if (has_down) {
    __syncthreads();
    const __half* const input =
        p.activated.output + static_cast<int64_t>(token_of_lane) * p.intermediate + down_first * kPiece + quad * 8;
    uint4 now[kBatch], next[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      if (i < down_count) next[i] = LoadFresh(input + i * kPiece);
    }
    float4 sums = {};
#pragma unroll 1
    for (int first = 0; first < down_count; first += kBatch) {
#pragma unroll
      for (int i = 0; i < kBatch; ++i) now[i] = next[i];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        if (first + kBatch + i < down_count) next[i] = LoadFresh(input + (first + kBatch + i) * kPiece);
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        if (first + i < down_count) multiply(sums, now[i]);
      }
    }
    partial[warp * 32] = sums;
    __syncthreads();
    if (warp == 0) {
      float4 sum = partial[0];
#pragma unroll
      for (int k = 1; k < kWarps; ++k) AddTo(sum, partial[k * 32]);
      Finish<LinearEpilogue::kAddTo>(p.residual, sum, old, down_row, 2 * quad);
    }
  }
  WaitForCopies<0>();
#endif
}

}  // namespace

bool FusedMlpFits(const LaunchContext& context, const LinearWeight& gate_up, const LinearWeight& down,
                  int32_t num_rows) {
  const int32_t hidden = gate_up.in_features, intermediate = down.in_features;
  return context.hopper() && num_rows >= 1 && num_rows <= kMaxMlpRows && hidden % (kPiece * kSplitK) == 0 &&
         hidden <= kMaxHeldPieces * kPiece * kSplitK && hidden <= 16 * context.device->num_sms &&
         intermediate % kPiece == 0 && gate_up.out_features == 2 * intermediate && down.out_features == hidden &&
         gate_up.out_features >= 16 * kRowWarps * context.device->num_sms &&
         kSharedBytes <= context.device->max_shared_bytes;
}

absl::Status FusedMlp(const LaunchContext& context, const FusedMlpArgs& args) {
  if (!FusedMlpFits(context, args.gate_up, args.down, args.num_rows) || args.arrivals == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("an MLP as one kernel: ", args.num_rows, " rows, [",
                                                   args.gate_up.out_features, ", ", args.gate_up.in_features, "], [",
                                                   args.down.out_features, ", ", args.down.in_features, "]"));
  }
  MlpParameters p = {};
  p.activated = {.bias = args.gate_up_bias,
                 .output = args.activated,
                 .residual = nullptr,
                 .scale = 1,
                 .num_rows = args.num_rows,
                 .out_features = args.gate_up.out_features};
  p.residual = {.bias = args.down_bias,
                .output = nullptr,
                .residual = args.residual,
                .scale = kMlpScale,
                .num_rows = args.num_rows,
                .out_features = args.down.out_features};
  p.input = args.input;
  p.gate_up = args.gate_up.data;
  p.down = args.down.data;
  p.hidden = args.gate_up.in_features;
  p.intermediate = args.down.in_features;
  p.num_tiles = args.gate_up.out_features / (16 * kRowWarps);
  p.arrivals = args.arrivals;
  return LaunchCooperative(context, MlpKernel, dim3(context.device->num_sms), dim3(kWarps * 32), kSharedBytes, p);
}

}  // namespace swiftlet::cuda
