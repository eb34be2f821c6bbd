#include <absl/strings/str_cat.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/hopper.cuh"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/linear_epilogue.cuh"
#include "engine/kernels/cuda/linear_stream.h"
#include "engine/kernels/cuda/linear_tensor_map.h"
#include "engine/kernels/cuda/wgmma.cuh"

namespace swiftlet::cuda {
namespace {

constexpr CUtensorMapL2promotion kPromotion = CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
constexpr int kStageK = 64;  // 128 bytes of a row: the width of the swizzle
constexpr int kTileRows = 64;
constexpr int kWeightBytes = kTileRows * kStageK * 2;
constexpr int kFragmentBytes = 32 * 16;
constexpr int kMaxSlots = 24;
constexpr int kWarps = 4;                 // that multiply
constexpr int kFixedBytes = 1024 + 1024;  // barriers, alignment

struct StreamParameters : LinearOutput {
  int32_t num_tiles;
  int32_t stages_of_k, rank_stages;  // K in stages: all, of one block of the cluster
  int32_t slots;
};

// Threads: four warps that multiply, one that copies. Blocks: cluster x groups that the tiles are dealt to.
// kResident: the input of all the block's stages is held, else each slot of the ring has its piece.
template <int kTokens, bool kResident, LinearEpilogue kEpilogue>
__global__ void __launch_bounds__(kWarps * 32 + 32)
    StreamKernel(const __grid_constant__ StreamParameters p, const __grid_constant__ CUtensorMap weight_map,
                 const __grid_constant__ CUtensorMap input_map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ unsigned char dynamic_shared[];
  constexpr int kColumnTiles = kTokens / 8, kFragments = kWarps * kColumnTiles;
  constexpr int kInputBytes = kTokens * kStageK * 2;  // of one stage
  constexpr int kSlotBytes = kWeightBytes + (kResident ? 0 : kInputBytes);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int rank = blockIdx.x, cluster = gridDim.x, first_tile = blockIdx.y, tile_stride = gridDim.y;
  const int first_stage = rank * p.rank_stages;
  const int num_stages = min(p.rank_stages, p.stages_of_k - first_stage);  // of one tile
  const int tiles = (p.num_tiles - first_tile + tile_stride - 1) / tile_stride;

  // [barriers: full, empty, input, sums][ring at the next 1024 bytes][input][sums of the cluster, of two tiles where
  // there are more]
  const unsigned base = SharedAddress(dynamic_shared);
  const unsigned full = base, empty = base + 8 * kMaxSlots, input_barrier = base + 16 * kMaxSlots;
  const unsigned sums_barrier = input_barrier + 8;
  const unsigned ring = (base + 16 * kMaxSlots + 24 + 1023) / 1024 * 1024;
  const unsigned input = ring + p.slots * kSlotBytes;
  const unsigned sums_offset = input - base + (kResident ? p.rank_stages * kInputBytes : 0);

  if (threadIdx.x == 0) {
    for (int slot = 0; slot < p.slots; ++slot) {
      InitBarrierFor(full + 8 * slot, 1);
      InitBarrierFor(empty + 8 * slot, 1);
    }
    InitBarrierFor(input_barrier, 1);
    InitBarrierFor(sums_barrier, 1);
    InitBarrierFor(sums_barrier + 8, 1);
    FenceBarriers();
  }
  __syncthreads();
  if (cluster > 1) ArriveAtCluster();

  if (warp == kWarps) {
    if (lane == 0) {
      const int total = tiles * num_stages, early = min(total, p.slots);
      for (int i = 0; i < early; ++i) {
        ExpectBytes(full + 8 * i, kSlotBytes);
        CopyTensor(ring + i * kSlotBytes, weight_map, (first_stage + i % num_stages) * kStageK,
                   (first_tile + i / num_stages * tile_stride) * kTileRows, full + 8 * i);
      }
      ReleaseSuccessor();
      PrefetchTensorMap(input_map);
      WaitForPredecessor();
      if constexpr (kResident) {
        ExpectBytes(input_barrier, num_stages * kInputBytes);
        for (int i = 0; i < num_stages; ++i) {
          CopyTensor(input + i * kInputBytes, input_map, (first_stage + i) * kStageK, 0, input_barrier);
        }
      } else {
        for (int i = 0; i < early; ++i) {
          CopyTensor(ring + i * kSlotBytes + kWeightBytes, input_map, (first_stage + i % num_stages) * kStageK, 0,
                     full + 8 * i);
        }
      }
      int slot = early == p.slots ? 0 : early, round = 1;
      int tile = first_tile + early / num_stages * tile_stride, stage = early % num_stages;
      for (int i = early; i < total; ++i) {
        WaitForBarrier(empty + 8 * slot, (round - 1) & 1);
        ExpectBytes(full + 8 * slot, kSlotBytes);
        CopyTensor(ring + slot * kSlotBytes, weight_map, (first_stage + stage) * kStageK, tile * kTileRows,
                   full + 8 * slot);
        if constexpr (!kResident) {
          CopyTensor(ring + slot * kSlotBytes + kWeightBytes, input_map, (first_stage + stage) * kStageK, 0,
                     full + 8 * slot);
        }
        if (++slot == p.slots) {
          slot = 0;
          ++round;
        }
        if (++stage == num_stages) {
          stage = 0;
          tile += tile_stride;
        }
      }
    }
    __syncwarp();
    if (cluster > 1) WaitForCluster();
    return;
  }

  ReleaseSuccessor();
  const bool elected = threadIdx.x == 0;
  const auto row_of = [&](int tile, int fragment) {
    return tile * kTileRows + fragment / kColumnTiles * 16 + lane / 4;
  };
  const auto token_of = [&](int fragment) { return fragment % kColumnTiles * 8 + 2 * (lane % 4); };
  // Of the tile's fragments, [warp][column tile], this block finishes every cluster-th.
  const int owned = (kFragments - rank + cluster - 1) / cluster;
  WaitForPredecessor();
  const float4 first_residual = warp < owned ? LoadResidual<kEpilogue>(p, row_of(first_tile, rank + warp * cluster),
                                                                       token_of(rank + warp * cluster))
                                             : float4{};
  if constexpr (kResident) WaitForBarrier(input_barrier, 0);
  int slot = 0, last_slot = 0, round = 0, turn = 0;
  for (int tile = first_tile; tile < p.num_tiles; tile += tile_stride, ++turn) {
    float sums[kTokens / 2];
    for (int stage = 0; stage < num_stages; ++stage) {
      WaitForBarrier(full + 8 * slot, round & 1);
      const uint64_t a = Descriptor(ring + slot * kSlotBytes);
      const uint64_t b = Descriptor(kResident ? input + stage * kInputBytes : ring + slot * kSlotBytes + kWeightBytes);
      BeginProducts();
#pragma unroll
      for (int k = 0; k < kStageK / 16; ++k) {
        Wgmma<kTokens>::Run(sums, a + k * 2, b + k * 2, stage > 0 || k > 0 ? 1 : 0);
      }
      CommitProducts();
      WaitForProducts<1>();
      if (stage > 0 && elected) Arrive(empty + 8 * last_slot);
      last_slot = slot;
      if (++slot == p.slots) {
        slot = 0;
        ++round;
      }
    }
    WaitForProducts<0>();
    FenceSums(sums);
    if (elected) Arrive(empty + 8 * last_slot);
    if (cluster == 1) {
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j) {
        const int fragment = warp * kColumnTiles + j;
        const float4 value = {sums[4 * j], sums[4 * j + 1], sums[4 * j + 2], sums[4 * j + 3]};
        const int row = row_of(tile, fragment), token = token_of(fragment);
        Finish<kEpilogue>(p, value, LoadResidual<kEpilogue>(p, row, token), row, token);
      }
      continue;
    }
    // A buffer is written again two tiles later, by blocks that have finished the tile between, for which all warps of
    // this block have pushed their sums, after the barrier here: then nobody reads it any more.
    if (turn == 0) {
      WaitForCluster();  // that all blocks have their barriers
    } else {
      asm volatile("bar.sync 1, 128;" ::: "memory");
    }
    const unsigned buffer = sums_offset + (turn & 1) * kFragments * kFragmentBytes,
                   barrier = sums_barrier + (turn & 1) * 8;
    if (elected) ExpectBytes(barrier, owned * cluster * kFragmentBytes);
#pragma unroll
    for (int j = 0; j < kColumnTiles; ++j) {
      const int fragment = warp * kColumnTiles + j, place = fragment / cluster, owner = fragment - place * cluster;
      const float4 value = {sums[4 * j], sums[4 * j + 1], sums[4 * j + 2], sums[4 * j + 3]};
      Push(base + buffer + (place * cluster + rank) * kFragmentBytes + lane * 16, barrier, owner, value);
    }
    WaitForBarrier(barrier, turn / 2 & 1);
    for (int i = warp; i < owned; i += kWarps) {
      const int fragment = rank + i * cluster, row = row_of(tile, fragment), token = token_of(fragment);
      const float4 old = turn == 0 && i == warp ? first_residual : LoadResidual<kEpilogue>(p, row, token);
      const float4* from =
          reinterpret_cast<const float4*>(dynamic_shared + buffer + i * cluster * kFragmentBytes) + lane;
      float4 sum = from[0];
#pragma unroll 4
      for (int block = 1; block < cluster; ++block) AddTo(sum, from[block * 32]);
      Finish<kEpilogue>(p, sum, old, row, token);
    }
  }
#endif
}

using Kernel = void (*)(StreamParameters, CUtensorMap, CUtensorMap);

template <bool kResident, LinearEpilogue kEpilogue>
Kernel OfTokens(int tokens) {
  return tokens == 8    ? StreamKernel<8, kResident, kEpilogue>
         : tokens == 16 ? StreamKernel<16, kResident, kEpilogue>
         : tokens == 32 ? StreamKernel<32, kResident, kEpilogue>
                        : StreamKernel<64, kResident, kEpilogue>;
}

template <bool kResident>
Kernel Choose(LinearEpilogue epilogue, int tokens) {
  return epilogue == LinearEpilogue::kStore   ? OfTokens<kResident, LinearEpilogue::kStore>(tokens)
         : epilogue == LinearEpilogue::kAddTo ? OfTokens<kResident, LinearEpilogue::kAddTo>(tokens)
                                              : OfTokens<kResident, LinearEpilogue::kSwiglu>(tokens);
}

struct Plan {
  StreamParameters parameters = {};
  dim3 grid;
  int32_t tokens = 0;
  int32_t shared_bytes = 0;
  bool resident = false;
};

absl::StatusOr<Plan> MakePlan(const LaunchContext& context, const StreamConfig& config, const SkinnyArgs& args) {
  Plan plan;
  StreamParameters& p = plan.parameters;
  static_cast<LinearOutput&>(p) = MakeLinearOutput(args);
  p.num_tiles = (p.out_features + kTileRows - 1) / kTileRows;
  p.stages_of_k = (args.linear.weight.in_features + kStageK - 1) / kStageK;
  p.rank_stages = (p.stages_of_k + config.cluster - 1) / config.cluster;
  const int cluster = (p.stages_of_k + p.rank_stages - 1) / p.rank_stages;
  const int groups = std::min(p.num_tiles, std::max(1, context.device->num_sms / cluster));
  plan.tokens = p.num_rows <= 8 ? 8 : p.num_rows <= 16 ? 16 : p.num_rows <= 32 ? 32 : 64;
  plan.resident = groups < p.num_tiles;
  const int input_bytes = plan.tokens * kStageK * 2, slot_bytes = kWeightBytes + (plan.resident ? 0 : input_bytes);
  const int fragments = kWarps * plan.tokens / 8;
  const int other_bytes = kFixedBytes + (plan.resident ? p.rank_stages * input_bytes : 0) +
                          (cluster > 1 ? (plan.resident ? 2 : 1) * fragments * kFragmentBytes : 0);
  const int tiles = (p.num_tiles + groups - 1) / groups;
  p.slots = std::min(
      {config.slots, kMaxSlots, (context.device->max_shared_bytes - other_bytes) / slot_bytes, tiles * p.rank_stages});
  if (!context.hopper() || p.num_rows > kMaxStreamRows || cluster > 8 || cluster > fragments || p.slots < 1 ||
      (p.slots < 4 && p.slots < tiles * p.rank_stages)) {
    return absl::InvalidArgumentError(config.Name());
  }
  plan.shared_bytes = other_bytes + p.slots * slot_bytes;
  plan.grid = dim3(cluster, groups);
  return plan;
}

}  // namespace

std::string StreamConfig::Name() const {
  return absl::StrCat("stream c", cluster, " s", slots);
}

bool StreamFits(const LaunchContext& context, const StreamConfig& config, const LinearWeight& weight) {
  return MakePlan(context, config, {.linear = {.weight = weight, .num_rows = 8}}).ok() &&
         MakePlan(context, config, {.linear = {.weight = weight, .num_rows = kMaxStreamRows}}).ok();
}

absl::Status StreamLinear(const LaunchContext& context, const StreamConfig& config, const SkinnyArgs& args) {
  const LinearArgs& linear = args.linear;
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(context, config, args));
  const StreamParameters& p = plan.parameters;
  ASSIGN_OR_RETURN(const CUtensorMap weight_map, LinearTensorMap(linear.weight.data, p.out_features,
                                                                 linear.weight.in_features, kTileRows, kPromotion));
  ASSIGN_OR_RETURN(const CUtensorMap input_map,
                   LinearTensorMap(linear.input, p.num_rows, linear.weight.in_features, plan.tokens, kPromotion));
  const Kernel kernel =
      plan.resident ? Choose<true>(args.epilogue, plan.tokens) : Choose<false>(args.epilogue, plan.tokens);
  return Launch(context, kernel, plan.grid, dim3(kWarps * 32 + 32), plan.shared_bytes, static_cast<int>(plan.grid.x), p,
                weight_map, input_map);
}

}  // namespace swiftlet::cuda
