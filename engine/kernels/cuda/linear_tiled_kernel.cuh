// The kernel of linear_tiled.h. Included by the files that instantiate it, one an epilogue.
#pragma once

#include <cuda.h>
#include <cuda_fp16.h>

#include "engine/kernels/cuda/hopper.cuh"
#include "engine/kernels/cuda/launch.cuh"
#include "engine/kernels/cuda/linear_epilogue.cuh"
#include "engine/kernels/cuda/linear_tiled.h"
#include "engine/kernels/cuda/wgmma.cuh"

namespace swiftlet::cuda {

constexpr int kTiledWarpgroups = 2;
constexpr int kTiledStageK = 64;  // 128 bytes of a row: the width of the swizzle
constexpr int kTiledMaxStages = 12;
constexpr int kTiledBarrierBytes = 256;
constexpr int kTiledSumBytes = 32 * 16;  // of a warp: 16 rows of 8 features

struct TiledParameters : LinearOutput {
  int32_t splits;                     // the cluster
  int32_t row_tiles, feature_tiles;   // dealt to the clusters
  bool rows_first;                    // neighbours in that order have the same features
  int32_t stages_of_k, split_stages;  // K in stages: all, of one part
  int32_t stages;                     // of the ring
  int32_t ring_offset;                // bytes, before it is aligned
  int32_t sums_offset;                // bytes from the ring; 0: in its place
};

// Halves that a warp writes of one row at once, and the bytes between rows that they are collected in: an odd number of
// 16 bytes, so that eight rows lie in different banks.
template <int kFeatures, LinearEpilogue kEpilogue>
struct TiledStaging {
  static constexpr int kWidth = kEpilogue == LinearEpilogue::kSwiglu ? kFeatures / 2 : kFeatures;
  static constexpr int kColumns = kWidth > 96 ? kWidth / 2 : kWidth;
  static constexpr int kPitch = kColumns * 2 + (kColumns % 16 == 0 ? 16 : 0);
  static constexpr int kBytes = kEpilogue == LinearEpilogue::kAddTo ? 0 : kTiledWarpgroups * 4 * 16 * kPitch;
};

// Two warpgroups that multiply, then one of which one thread copies: it gives its registers to their sums.
constexpr int kTiledThreads = (kTiledWarpgroups + 1) * 128;

// Two neighbouring features of a row.
__device__ __forceinline__ float2 LoadResidualPair(const LinearOutput& p, int row, int feature) {
  if (row >= p.num_rows || feature >= p.out_features) return {};
  return __ldcg(reinterpret_cast<const float2*>(p.residual + static_cast<int64_t>(row) * p.out_features + feature));
}

__device__ __forceinline__ void AddPairTo(const LinearOutput& p, float low, float high, const float2& old, int row,
                                          int feature) {
  if (row >= p.num_rows || feature >= p.out_features) return;
  float2 bias = {};
  if (p.bias != nullptr) bias = __ldg(reinterpret_cast<const float2*>(p.bias + feature));
  *reinterpret_cast<float2*>(p.residual + static_cast<int64_t>(row) * p.out_features + feature) = {
      __fadd_rn(__fmaf_rn(p.scale, low, old.x), bias.x), __fadd_rn(__fmaf_rn(p.scale, high, old.y), bias.y)};
}

__device__ __forceinline__ void StorePair(const LinearOutput& p, float low, float high, int row, int feature) {
  if (row >= p.num_rows || feature >= p.out_features) return;
  *reinterpret_cast<__half2*>(p.output + static_cast<int64_t>(row) * p.out_features + feature) =
      SaturatedHalf2(low, high);
}

__device__ __forceinline__ float Gated(float gate, float up) {
  return Silu(gate) * up / kMlpScale;
}

// Threads: kTiledThreads. Blocks: clusters, one after another.
// The ranks of a cluster are parts of K. kHalf: the rows are those of the first warpgroup alone.
template <int kBlocks, int kFeatures, LinearEpilogue kEpilogue, bool kSerial, bool kHalf>
__global__ void __launch_bounds__(kTiledThreads, 1)
    TiledKernel(const __grid_constant__ TiledParameters p, const __grid_constant__ CUtensorMap weight_map,
                const __grid_constant__ CUtensorMap input_map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ unsigned char dynamic_shared[];
  constexpr int kWarpgroups = kHalf ? 1 : kTiledWarpgroups;
  constexpr int kRows = 64 * kWarpgroups * kBlocks, kColumnTiles = kFeatures / 8;
  constexpr int kInputBytes = kRows * kTiledStageK * 2, kStageBytes = kInputBytes + kFeatures * kTiledStageK * 2;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int split = blockIdx.x, cluster = gridDim.x, first_tile = blockIdx.y, tile_stride = gridDim.y;
  const int num_tiles = p.row_tiles * p.feature_tiles;
  const int first_stage = kSerial ? 0 : split * p.split_stages;
  const int num_stages = kSerial ? p.stages_of_k : min(p.split_stages, p.stages_of_k - first_stage);
  const auto first_row_of = [&](int tile) {
    return (p.rows_first ? tile % p.row_tiles : tile / p.feature_tiles) * kRows;
  };
  const auto first_feature_of = [&](int tile) {
    return (p.rows_first ? tile / p.row_tiles : tile % p.feature_tiles) * kFeatures;
  };

  // [barriers: full, empty, sums][staging][ring at the next 1024 bytes][sums]
  const unsigned base = SharedAddress(dynamic_shared);
  const unsigned full = base, empty = base + 8 * kTiledMaxStages, sums_barrier = base + 16 * kTiledMaxStages;
  const unsigned ring = (base + p.ring_offset + 1023) / 1024 * 1024;
  unsigned char* const sums_bytes = dynamic_shared + (ring - base) + p.sums_offset;
  // Of a warp's sums, those that this block finishes: one in `splits`, and a place for each part of them.
  constexpr int kFragments = kBlocks * kColumnTiles;
  const int owned = (kFragments - split + p.splits - 1) / p.splits;
  const int places = (kFragments + p.splits - 1) / p.splits * p.splits;

  if (threadIdx.x == 0) {
    PrefetchTensorMap(weight_map);
    PrefetchTensorMap(input_map);
    for (int stage = 0; stage < p.stages; ++stage) {
      InitBarrierFor(full + 8 * stage, 1);
      InitBarrierFor(empty + 8 * stage, kWarpgroups);
    }
    InitBarrierFor(sums_barrier, 1);
    FenceBarriers();
    if (p.splits > 1) ExpectBytes(sums_barrier, kTiledWarpgroups * 4 * owned * p.splits * kTiledSumBytes);
  }
  __syncthreads();
  if (cluster > 1) ArriveAtCluster();  // who pushes waits until all blocks have their barriers

  if (warp >= kTiledWarpgroups * 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == kTiledWarpgroups * 128) {
      const int tiles = first_tile < num_tiles ? (num_tiles - first_tile + tile_stride - 1) / tile_stride : 0;
      const int total = tiles * num_stages, early = min(total, p.stages);
      // Where the copies are: place in the ring and how often it was gone round, tile, stage of K.
      struct Cursor {
        int slot, round, tile, row, feature, stage;
      };
      const Cursor start = {0, 0, first_tile, first_row_of(first_tile), first_feature_of(first_tile), 0};
      const auto advance = [&](Cursor& at) {
        if (++at.slot == p.stages) {
          at.slot = 0;
          ++at.round;
        }
        if (++at.stage == num_stages) {
          at.stage = 0;
          at.tile += tile_stride;
          at.row = first_row_of(at.tile);
          at.feature = first_feature_of(at.tile);
        }
      };
      const auto copy_weights = [&](const Cursor& at) {
        CopyTensor(ring + at.slot * kStageBytes + kInputBytes, weight_map, (first_stage + at.stage) * kTiledStageK,
                   at.feature, full + 8 * at.slot);
      };
      const auto copy_input = [&](const Cursor& at) {
        CopyTensor(ring + at.slot * kStageBytes, input_map, (first_stage + at.stage) * kTiledStageK, at.row,
                   full + 8 * at.slot);
      };
      Cursor at = start;
#pragma unroll 1
      for (int i = 0; i < early; ++i, advance(at)) {
        ExpectBytes(full + 8 * at.slot, kStageBytes);
        copy_weights(at);
      }
      ReleaseSuccessor();
      WaitForPredecessor();
      at = start;
#pragma unroll 1
      for (int i = 0; i < early; ++i, advance(at)) copy_input(at);
#pragma unroll 1
      for (int i = early; i < total; ++i, advance(at)) {
        WaitForBarrier(empty + 8 * at.slot, (at.round - 1) & 1);
        ExpectBytes(full + 8 * at.slot, kStageBytes);
        copy_weights(at);
        copy_input(at);
      }
    }
    __syncwarp();
    if (cluster > 1) WaitForCluster();
    if (p.splits > 1 && p.sums_offset == 0) {
      ArriveAtCluster();
      WaitForCluster();
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    ReleaseSuccessor();
    WaitForPredecessor();
    const int thread = threadIdx.x % 128, warpgroup = warp / 4;
    if (kHalf && warpgroup > 0) return;
    // Of the tile, what this lane has of block b: rows row_in_tile + 64 b and 8 more, of each eight features two.
    const int row_in_tile = warpgroup * 64 * kBlocks + warp % 4 * 16 + lane / 4, feature_in_eight = 2 * (lane % 4);

    constexpr int kEarlyResidual = 2;
    float2 early_residual[kEarlyResidual][2];
    if (kEpilogue == LinearEpilogue::kAddTo && p.splits > 1) {
#pragma unroll
      for (int i = 0; i < kEarlyResidual; ++i) {
        const int fragment = i * p.splits + split;
        if (i >= owned) continue;
        const int row = first_row_of(first_tile) + row_in_tile + fragment / kColumnTiles * 64;
        const int feature = first_feature_of(first_tile) + fragment % kColumnTiles * 8 + feature_in_eight;
        early_residual[i][0] = LoadResidualPair(p, row, feature);
        early_residual[i][1] = LoadResidualPair(p, row + 8, feature);
      }
    }

    int slot = 0, last_slot = 0, round = 0;
    for (int tile = first_tile; tile < num_tiles; tile += tile_stride) {
      float sums[kBlocks][kFeatures / 2];
      float totals[kSerial ? kBlocks : 1][kSerial ? kFeatures / 2 : 1];
      int in_part = 0;
#pragma unroll 1
      for (int stage = 0; stage < num_stages; ++stage) {
        WaitForBarrier(full + 8 * slot, round & 1);
        const uint64_t input = Descriptor(ring + slot * kStageBytes + warpgroup * 64 * kBlocks * kTiledStageK * 2);
        const uint64_t weight = Descriptor(ring + slot * kStageBytes + kInputBytes);
        BeginProducts();
#pragma unroll
        for (int k = 0; k < kTiledStageK / 16; ++k) {
#pragma unroll
          for (int b = 0; b < kBlocks; ++b) {
            Wgmma<kFeatures>::Run(sums[b], input + b * (64 * kTiledStageK * 2 / 16) + k * 2, weight + k * 2,
                                  in_part > 0 || k > 0 ? 1 : 0);
          }
        }
        CommitProducts();
        WaitForProducts<1>();
        if (stage > 0 && thread == 0) Arrive(empty + 8 * last_slot);
        last_slot = slot;
        if (++slot == p.stages) {
          slot = 0;
          ++round;
        }
        ++in_part;
        if (kSerial && (in_part == p.split_stages || stage + 1 == num_stages)) {
          WaitForProducts<0>();
#pragma unroll
          for (int b = 0; b < kBlocks; ++b) {
            FenceSums(sums[b]);
            if constexpr (kSerial) {
#pragma unroll
              for (int i = 0; i < kFeatures / 2; ++i) {
                totals[b][i] = stage + 1 == in_part ? sums[b][i] : __fadd_rn(totals[b][i], sums[b][i]);
              }
            }
          }
          in_part = 0;
        }
      }
      WaitForProducts<0>();
      if (thread == 0) Arrive(empty + 8 * last_slot);
#pragma unroll
      for (int b = 0; b < kBlocks; ++b) {
        FenceSums(sums[b]);
        if constexpr (kSerial) {
#pragma unroll
          for (int i = 0; i < kFeatures / 2; ++i) sums[b][i] = totals[b][i];
        }
      }

      const int first_feature = first_feature_of(tile), first_row = first_row_of(tile) + row_in_tile;
      if (p.splits > 1) {  // such a block has one tile
        if constexpr (!kSerial && kEpilogue != LinearEpilogue::kSwiglu) {
          WaitForCluster();
          if (p.sums_offset == 0) {  // until the rings of all blocks are free
            ArriveAtCluster();
            WaitForCluster();
          }
          const int warp_place = warp * places;
          int owner = 0, turn = 0;
#pragma unroll
          for (int i = 0; i < kFragments; ++i) {
            const float* sum = &sums[i / kColumnTiles][i % kColumnTiles * 4];
            Push(ring + p.sums_offset + (warp_place + turn + split) * kTiledSumBytes + lane * 16, sums_barrier, owner,
                 {sum[0], sum[1], sum[2], sum[3]});
            if (++owner == p.splits) {
              owner = 0;
              turn += p.splits;
            }
          }
          WaitForBarrier(sums_barrier, 0);
          const auto finish = [&](int i, const float2* old) {
            const float4* from =
                reinterpret_cast<const float4*>(sums_bytes + (warp_place + i * p.splits) * kTiledSumBytes) + lane;
            float4 sum = from[0];
#pragma unroll 4
            for (int part = 1; part < p.splits; ++part) AddTo(sum, from[part * 32]);
            const int fragment = i * p.splits + split, row = first_row + fragment / kColumnTiles * 64;
            const int feature = first_feature + fragment % kColumnTiles * 8 + feature_in_eight;
            if constexpr (kEpilogue == LinearEpilogue::kAddTo) {
              AddPairTo(p, sum.x, sum.y, old != nullptr ? old[0] : LoadResidualPair(p, row, feature), row, feature);
              AddPairTo(p, sum.z, sum.w, old != nullptr ? old[1] : LoadResidualPair(p, row + 8, feature), row + 8,
                        feature);
            } else {
              StorePair(p, sum.x, sum.y, row, feature);
              StorePair(p, sum.z, sum.w, row + 8, feature);
            }
          };
#pragma unroll
          for (int i = 0; i < kEarlyResidual; ++i) {
            if (i < owned) finish(i, early_residual[i]);
          }
#pragma unroll 1
          for (int i = kEarlyResidual; i < owned; ++i) finish(i, nullptr);
        }
      } else if constexpr (kEpilogue == LinearEpilogue::kAddTo) {
        constexpr int kBatch = kColumnTiles % 4 == 0 ? 4 : 2;
#pragma unroll
        for (int b = 0; b < kBlocks; ++b) {
          const int row = first_row + 64 * b;
#pragma unroll
          for (int j = 0; j < kColumnTiles; j += kBatch) {
            float2 old[kBatch][2];
#pragma unroll
            for (int i = 0; i < kBatch; ++i) {
              const int feature = first_feature + (j + i) * 8 + feature_in_eight;
              old[i][0] = LoadResidualPair(p, row, feature);
              old[i][1] = LoadResidualPair(p, row + 8, feature);
            }
#pragma unroll
            for (int i = 0; i < kBatch; ++i) {
              const int feature = first_feature + (j + i) * 8 + feature_in_eight;
              const float* sum = &sums[b][(j + i) * 4];
              AddPairTo(p, sum[0], sum[1], old[i][0], row, feature);
              AddPairTo(p, sum[2], sum[3], old[i][1], row + 8, feature);
            }
          }
        }
      } else {
        using Staging = TiledStaging<kFeatures, kEpilogue>;
        constexpr bool kGated = kEpilogue == LinearEpilogue::kSwiglu;
        constexpr int kVectors = Staging::kColumns / 8;  // of a row
        unsigned char* const staging = dynamic_shared + kTiledBarrierBytes + warp * 16 * Staging::kPitch;
        const int width = kGated ? p.out_features / 2 : p.out_features;
        const int first_column = kGated ? first_feature / 2 : first_feature;
#pragma unroll
        for (int b = 0; b < kBlocks; ++b) {
#pragma unroll
          for (int part = 0; part < Staging::kWidth; part += Staging::kColumns) {
#pragma unroll
            for (int j = 0; j < kVectors; ++j) {
              unsigned char* const to = staging + lane / 4 * Staging::kPitch + (j * 8 + feature_in_eight) * 2;
              __half2 low, high;
              if constexpr (kGated) {
                const float* gate = &sums[b][(part / 8 + j) * 8];
                float2 gate_bias = {}, up_bias = {};
                const int feature = first_feature + (part / 8 + j) * 16 + feature_in_eight;
                if (p.bias != nullptr && feature < p.out_features) {
                  gate_bias = __ldg(reinterpret_cast<const float2*>(p.bias + feature));
                  up_bias = __ldg(reinterpret_cast<const float2*>(p.bias + feature + 8));
                }
                const float* up = gate + 4;
                low = SaturatedHalf2(Gated(gate[0] + gate_bias.x, up[0] + up_bias.x),
                                     Gated(gate[1] + gate_bias.y, up[1] + up_bias.y));
                high = SaturatedHalf2(Gated(gate[2] + gate_bias.x, up[2] + up_bias.x),
                                      Gated(gate[3] + gate_bias.y, up[3] + up_bias.y));
              } else {
                const float* sum = &sums[b][(part / 8 + j) * 4];
                low = SaturatedHalf2(sum[0], sum[1]);
                high = SaturatedHalf2(sum[2], sum[3]);
              }
              *reinterpret_cast<__half2*>(to) = low;
              *reinterpret_cast<__half2*>(to + 8 * Staging::kPitch) = high;
            }
            __syncwarp();
#pragma unroll
            for (int i = lane; i < 16 * kVectors; i += 32) {
              const int row = first_row - lane / 4 + 64 * b + i / kVectors;
              const int column = first_column + part + i % kVectors * 8;
              if (row < p.num_rows && column < width) {
                *reinterpret_cast<uint4*>(p.output + static_cast<int64_t>(row) * width + column) =
                    *reinterpret_cast<const uint4*>(staging + i / kVectors * Staging::kPitch + i % kVectors * 16);
              }
            }
            __syncwarp();
          }
        }
      }
    }
  }
#endif
}

// What is launched, and the shared memory that the instance needs before its ring.
struct TiledInstance {
  void (*kernel)(TiledParameters, CUtensorMap, CUtensorMap) = nullptr;
  int32_t staging_bytes = 0;
};

// The instance of a configuration, where it is this one.
template <int kBlocks, int kFeatures, LinearEpilogue kEpilogue, bool kSerial = false, bool kHalf = false>
bool TakeTiledInstance(const TiledConfig& config, TiledInstance& instance) {
  if (config.rows != (kHalf ? 64 : 128) * kBlocks || config.features != kFeatures || config.serial != kSerial) {
    return false;
  }
  instance = {TiledKernel<kBlocks, kFeatures, kEpilogue, kSerial, kHalf>, TiledStaging<kFeatures, kEpilogue>::kBytes};
  return true;
}

// nullptr where there is none.
template <LinearEpilogue kEpilogue>
TiledInstance FindTiledInstance(const TiledConfig& config);
template <>
TiledInstance FindTiledInstance<LinearEpilogue::kStore>(const TiledConfig& config);
template <>
TiledInstance FindTiledInstance<LinearEpilogue::kAddTo>(const TiledConfig& config);
template <>
TiledInstance FindTiledInstance<LinearEpilogue::kSwiglu>(const TiledConfig& config);

}  // namespace swiftlet::cuda
