#include <absl/strings/str_cat.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/kernels/cuda/hopper.cuh"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/linear_epilogue.cuh"
#include "engine/kernels/cuda/linear_tensor_map.h"
#include "engine/kernels/cuda/linear_warpgroup.h"
#include "engine/kernels/cuda/wgmma.cuh"

namespace swiftlet::cuda {
namespace {

constexpr int kStageK = 64;  // 128 bytes of a row: the width of the swizzle
constexpr int kFragmentBytes = 32 * 16;
constexpr int kMaxStages = 8;

struct Parameters : LinearOutput {
  int32_t num_tiles;                 // of 64 * warpgroups features
  int32_t stages_of_k, rank_stages;  // K in stages: all, of one block of the cluster
  int32_t stages;                    // of the ring
};

// Threads: warpgroups that multiply, then one warp that copies. Blocks: cluster x tiles x blocks of tokens.
template <int kTokens, int kWarpgroups, LinearEpilogue kEpilogue>
__global__ void __launch_bounds__(kWarpgroups * 128 + 32, 1)
    WarpgroupKernel(const __grid_constant__ Parameters p, const __grid_constant__ CUtensorMap weight_map,
                    const __grid_constant__ CUtensorMap input_map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ unsigned char dynamic_shared[];
  constexpr int kRows = 64 * kWarpgroups, kColumnTiles = kTokens / 8;
  constexpr int kWeightBytes = kRows * kStageK * 2, kStageBytes = kWeightBytes + kTokens * kStageK * 2;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int rank = blockIdx.x, cluster = gridDim.x, first_tile = blockIdx.y, tile_stride = gridDim.y;
  const int first_token = blockIdx.z * kTokens;
  const int first_stage = rank * p.rank_stages;
  const int num_stages = min(p.rank_stages, p.stages_of_k - first_stage);  // of one tile

  // [barriers: full, empty, sums][ring at the next 1024 bytes]
  const unsigned base = SharedAddress(dynamic_shared);
  const unsigned full = base, empty = base + 8 * kMaxStages, sums_barrier = base + 16 * kMaxStages;
  const unsigned ring = (base + 16 * kMaxStages + 8 + 1023) / 1024 * 1024;
  unsigned char* const ring_bytes = dynamic_shared + (ring - base);
  // Of this block's warps, the columns that it finishes: one in `cluster`, and a place for each block's sums of them.
  const int owned = (kColumnTiles - rank + cluster - 1) / cluster;
  const int places = (kColumnTiles + cluster - 1) / cluster * cluster;

  if (threadIdx.x == 0) {
    for (int stage = 0; stage < p.stages; ++stage) {
      InitBarrierFor(full + 8 * stage, 1);
      InitBarrierFor(empty + 8 * stage, kWarpgroups);
    }
    InitBarrierFor(sums_barrier, 1);
    FenceBarriers();
    if (cluster > 1) ExpectBytes(sums_barrier, kWarpgroups * 4 * owned * cluster * kFragmentBytes);
  }
  __syncthreads();

  if (warp == kWarpgroups * 4) {
    if (lane == 0) {
      const int tiles = first_tile < p.num_tiles ? (p.num_tiles - first_tile + tile_stride - 1) / tile_stride : 0;
      const int total = tiles * num_stages, early = min(total, p.stages);
      for (int i = 0; i < early; ++i) {
        ExpectBytes(full + 8 * i, kStageBytes);
        CopyTensor(ring + i * kStageBytes, weight_map, (first_stage + i % num_stages) * kStageK,
                   (first_tile + i / num_stages * tile_stride) * kRows, full + 8 * i);
      }
      ReleaseSuccessor();
      WaitForPredecessor();
      for (int i = 0; i < early; ++i) {
        CopyTensor(ring + i * kStageBytes + kWeightBytes, input_map, (first_stage + i % num_stages) * kStageK,
                   first_token, full + 8 * i);
      }
      int slot = early == p.stages ? 0 : early, round = 1;
      int tile = first_tile + early / num_stages * tile_stride, stage = early % num_stages;
      for (int i = early; i < total; ++i) {
        WaitForBarrier(empty + 8 * slot, (round - 1) & 1);
        ExpectBytes(full + 8 * slot, kStageBytes);
        CopyTensor(ring + slot * kStageBytes, weight_map, (first_stage + stage) * kStageK, tile * kRows,
                   full + 8 * slot);
        CopyTensor(ring + slot * kStageBytes + kWeightBytes, input_map, (first_stage + stage) * kStageK, first_token,
                   full + 8 * slot);
        if (++slot == p.stages) {
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
    if (cluster > 1) ClusterBarrier();
    return;
  }

  ReleaseSuccessor();
  WaitForPredecessor();
  const int warpgroup = warp / 4;
  const int row_in_tile = warp * 16 + lane / 4, token_in_tile = 2 * (lane % 4);
  const bool elected = threadIdx.x % 128 == 0;
  int slot = 0, last_slot = 0, round = 0;
  for (int tile = first_tile; tile < p.num_tiles; tile += tile_stride) {
    float sums[kTokens / 2];
    for (int stage = 0; stage < num_stages; ++stage) {
      WaitForBarrier(full + 8 * slot, round & 1);
      const uint64_t weight = Descriptor(ring + slot * kStageBytes + warpgroup * 64 * kStageK * 2);
      const uint64_t input = Descriptor(ring + slot * kStageBytes + kWeightBytes);
      BeginProducts();
#pragma unroll
      for (int k = 0; k < kStageK / 16; ++k) {
        Wgmma<kTokens>::Run(sums, weight + k * 2, input + k * 2, stage > 0 || k > 0 ? 1 : 0);
      }
      CommitProducts();
      WaitForProducts<1>();
      if (stage > 0 && elected) Arrive(empty + 8 * last_slot);
      last_slot = slot;
      if (++slot == p.stages) {
        slot = 0;
        ++round;
      }
    }
    WaitForProducts<0>();
    if (elected) Arrive(empty + 8 * last_slot);
    const int row = tile * kRows + row_in_tile;
    if (cluster == 1) {
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j) {
        const int token = first_token + token_in_tile + 8 * j;
        const float4 value = {sums[4 * j], sums[4 * j + 1], sums[4 * j + 2], sums[4 * j + 3]};
        Finish<kEpilogue>(p, value, LoadResidual<kEpilogue>(p, row, token), row, token);
      }
    } else {
      ClusterBarrier();  // the rings of all blocks are free
      const int warp_place = warp * places;
      int owner = 0, turn = 0;
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j) {
        const float4 value = {sums[4 * j], sums[4 * j + 1], sums[4 * j + 2], sums[4 * j + 3]};
        Push(ring + (warp_place + turn + rank) * kFragmentBytes + lane * 16, sums_barrier, owner, value);
        if (++owner == cluster) {
          owner = 0;
          turn += cluster;
        }
      }
      WaitForBarrier(sums_barrier, 0);
#pragma unroll 2
      for (int i = 0; i < owned; ++i) {
        const int token = first_token + token_in_tile + 8 * (i * cluster + rank);
        const float4 old = LoadResidual<kEpilogue>(p, row, token);
        const float4* from =
            reinterpret_cast<const float4*>(ring_bytes + (warp_place + i * cluster) * kFragmentBytes) + lane;
        float4 sum = from[0];
#pragma unroll 4
        for (int block = 1; block < cluster; ++block) AddTo(sum, from[block * 32]);
        Finish<kEpilogue>(p, sum, old, row, token);
      }
    }
  }
#endif
}

using Kernel = void (*)(Parameters, CUtensorMap, CUtensorMap);

template <int kTokens, LinearEpilogue kEpilogue>
Kernel OfWarpgroups(int warpgroups) {
  return warpgroups == 1 ? WarpgroupKernel<kTokens, 1, kEpilogue> : WarpgroupKernel<kTokens, 2, kEpilogue>;
}

template <LinearEpilogue kEpilogue>
Kernel Choose(const WarpgroupConfig& config) {
  return config.tokens == 32    ? OfWarpgroups<32, kEpilogue>(config.warpgroups)
         : config.tokens == 64  ? OfWarpgroups<64, kEpilogue>(config.warpgroups)
         : config.tokens == 128 ? OfWarpgroups<128, kEpilogue>(config.warpgroups)
                                : OfWarpgroups<256, kEpilogue>(config.warpgroups);
}

struct Plan {
  Parameters parameters = {};
  dim3 grid;
  int32_t cluster = 1;
  int32_t shared_bytes = 0;
};

absl::StatusOr<Plan> MakePlan(const LaunchContext& context, const WarpgroupConfig& config, const LinearArgs& linear) {
  Plan plan;
  Parameters& p = plan.parameters;
  p.num_rows = linear.num_rows;
  p.out_features = linear.weight.out_features;
  const int tile_rows = 64 * config.warpgroups;
  p.num_tiles = (p.out_features + tile_rows - 1) / tile_rows;
  p.stages_of_k = (linear.weight.in_features + kStageK - 1) / kStageK;
  p.rank_stages = (p.stages_of_k + config.cluster - 1) / config.cluster;
  plan.cluster = (p.stages_of_k + p.rank_stages - 1) / p.rank_stages;
  const int groups = std::min(p.num_tiles, std::max(1, context.device->num_sms / plan.cluster));
  if (!context.hopper() || config.warpgroups < 1 || config.warpgroups > 2 || plan.cluster > 8 ||
      (plan.cluster > 1 && groups < p.num_tiles)) {
    return absl::InvalidArgumentError(config.Name());
  }
  const int stage_bytes = (tile_rows + config.tokens) * kStageK * 2;
  const int fixed_bytes = 1024 + 1024;  // barriers, alignment
  p.stages = std::min({config.stages, kMaxStages, (context.device->max_shared_bytes - fixed_bytes) / stage_bytes});
  const int places = (config.tokens / 8 + plan.cluster - 1) / plan.cluster * plan.cluster;
  const int sums_bytes = plan.cluster > 1 ? config.warpgroups * 4 * places * kFragmentBytes : 0;
  plan.shared_bytes = fixed_bytes + std::max(p.stages * stage_bytes, sums_bytes);
  if (p.stages < 2 || plan.shared_bytes > context.device->max_shared_bytes) {
    return absl::InvalidArgumentError(config.Name());
  }
  plan.grid = dim3(plan.cluster, groups, (p.num_rows + config.tokens - 1) / config.tokens);
  return plan;
}

}  // namespace

std::string WarpgroupConfig::Name() const {
  return absl::StrCat("warpgroup w", warpgroups, " t", tokens, " c", cluster, " s", stages);
}

bool WarpgroupFits(const LaunchContext& context, const WarpgroupConfig& config, const LinearWeight& weight) {
  return MakePlan(context, config, {.weight = weight, .num_rows = config.tokens}).ok();
}

absl::Status WarpgroupLinear(const LaunchContext& context, const WarpgroupConfig& config, const SkinnyArgs& args) {
  const LinearArgs& linear = args.linear;
  ASSIGN_OR_RETURN(Plan plan, MakePlan(context, config, linear));
  Parameters& p = plan.parameters;
  p.bias = args.bias;
  p.output = args.output;
  p.residual = args.residual;
  p.scale = args.scale;
  ASSIGN_OR_RETURN(const CUtensorMap weight_map, LinearTensorMap(linear.weight.data, p.out_features,
                                                                 linear.weight.in_features, 64 * config.warpgroups));
  ASSIGN_OR_RETURN(const CUtensorMap input_map,
                   LinearTensorMap(linear.input, p.num_rows, linear.weight.in_features, config.tokens));
  const Kernel kernel = args.epilogue == LinearEpilogue::kStore   ? Choose<LinearEpilogue::kStore>(config)
                        : args.epilogue == LinearEpilogue::kAddTo ? Choose<LinearEpilogue::kAddTo>(config)
                                                                  : Choose<LinearEpilogue::kSwiglu>(config);
  return Launch(context, kernel, plan.grid, dim3(config.warpgroups * 128 + 32), plan.shared_bytes, plan.cluster, p,
                weight_map, input_map);
}

}  // namespace swiftlet::cuda
