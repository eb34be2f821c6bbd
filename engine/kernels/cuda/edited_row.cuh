// A row of logits as the full tier changes it before temperature: bias, penalties, forbidden ids, mask. The edits are
// made at every read, in float32 operations that round one by one as the oracle's. Included by .cu files alone.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/logits_row.cuh"
#include "engine/kernels/cuda/sampling.h"
#include "engine/kernels/cuda/team.cuh"

namespace swiftlet::cuda {

struct RowEdits {
  const uint32_t* counts;  // [vocab]; null without penalties
  const BiasEntry* bias;
  const int32_t* forbidden;
  const uint32_t* mask;  // null = all allowed
  int num_bias;
  int num_forbidden;
  float repetition, presence, frequency;
  float scale;  // 1 / temperature, 1 for a greedy row

  // `count`: as RowsView::counts has it.
  __device__ __forceinline__ float Penalised(float value, uint32_t count) const {
    if (count == 0) return value;
    if (repetition != 1) value = value > 0 ? __fdiv_rn(value, repetition) : __fmul_rn(value, repetition);
    const uint32_t generated = count & 0x7fffffffu;
    value = __fsub_rn(value, __fmul_rn(frequency, static_cast<float>(generated)));
    return generated > 0 ? __fsub_rn(value, presence) : value;
  }
};

__device__ inline RowEdits EditsOf(const SampleArgs& args, const SamplingRow& sampling, const Draw& draw) {
  RowEdits edits;
  const bool penalised =
      sampling.repetition_penalty != 1 || sampling.presence_penalty != 0 || sampling.frequency_penalty != 0;
  edits.counts = penalised ? args.rows.counts + int64_t{draw.row} * args.vocab : nullptr;
  edits.bias = args.rows.bias + int64_t{draw.row} * kMaxBiasEntries;
  edits.forbidden = args.rows.stop_tokens + int64_t{draw.row} * kMaxStopTokens;
  edits.mask =
      sampling.mask_slot < 0 ? nullptr : args.rows.masks + int64_t{sampling.mask_slot} * ((args.vocab + 31) / 32);
  edits.num_bias = sampling.num_bias_entries;
  edits.num_forbidden = draw.position < sampling.forbid_stop_before ? sampling.num_stop_tokens : 0;
  edits.repetition = sampling.repetition_penalty;
  edits.presence = sampling.presence_penalty;
  edits.frequency = sampling.frequency_penalty;
  edits.scale = sampling.inverse_temperature == 0 ? 1 : sampling.inverse_temperature;
  return edits;
}

struct EditedRow {
  static constexpr float scale = 1;
  static constexpr int kGroupsAtOnce = 1;
  const __half* values;
  const uint32_t* marks;  // bit per token of the slice, in shared memory: it has a bias or is forbidden
  RowEdits edits;
  int first_id;
  int count;

  struct Group {
    float2 pairs[kGroupTokens / 2];
    __device__ __forceinline__ float2 Pair(int k) const { return pairs[k]; }
    __device__ __forceinline__ float Max() const {
      float most = -INFINITY;
#pragma unroll
      for (int k = 0; k < kGroupTokens / 2; ++k) most = fmaxf(most, fmaxf(pairs[k].x, pairs[k].y));
      return most;
    }
  };

  __device__ __forceinline__ void LoadGroup(int at, Group& group, FiniteWatch& watch) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float v[8];
#pragma unroll
      for (int k = 0; k < 8; ++k) v[k] = -INFINITY;
      if (at + 8 * half < count) LoadAndWatch8(at + 8 * half, v, watch);
#pragma unroll
      for (int k = 0; k < 4; ++k) group.pairs[4 * half + k] = {v[2 * k], v[2 * k + 1]};
    }
  }
  __device__ __forceinline__ float Max8(int at, FiniteWatch& watch) const {
    float v[8];
    LoadAndWatch8(at, v, watch);
    return fmaxf(fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3])), fmaxf(fmaxf(v[4], v[5]), fmaxf(v[6], v[7])));
  }
  __device__ __forceinline__ void Load8(int at, float (&v)[8]) const {
    FiniteWatch watch;
    LoadAndWatch8(at, v, watch);
  }
  __device__ __forceinline__ float At(int at) const {
    const int id = first_id + at;
    return Edited(__half2float(values[at]), at, edits.counts == nullptr ? 0 : edits.counts[id],
                  edits.mask == nullptr || (edits.mask[id / 32] >> (id % 32) & 1));
  }
  static __device__ __forceinline__ uint32_t Key(float value) {
    return FloatKey(value);
  }
  static __device__ __forceinline__ float OfKey(uint32_t key) {
    return FloatOfKey(key);
  }

 private:
  __device__ __forceinline__ void LoadAndWatch8(int at, float (&v)[8], FiniteWatch& watch) const {
    const int id = first_id + at;
    const uint4 packed = *reinterpret_cast<const uint4*>(values + at);
    uint4 counts[2] = {};
    if (edits.counts != nullptr) {
      counts[0] = *reinterpret_cast<const uint4*>(edits.counts + id);
      counts[1] = *reinterpret_cast<const uint4*>(edits.counts + id + 4);
    }
    const uint32_t allowed = edits.mask == nullptr ? 0xff : edits.mask[id / 32] >> (id % 32);
    watch.See(packed);
    const uint32_t seen[8] = {counts[0].x, counts[0].y, counts[0].z, counts[0].w,
                              counts[1].x, counts[1].y, counts[1].z, counts[1].w};
    const uint32_t marked = marks[at / 32] >> (at % 32) & 0xff;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float2 pair = __half22float2(reinterpret_cast<const __half2*>(&packed)[k]);
      v[2 * k] = pair.x, v[2 * k + 1] = pair.y;
    }
    if (marked == 0) {
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        v[k] = allowed >> k & 1 ? __fmul_rn(edits.Penalised(v[k], seen[k]), edits.scale) : -INFINITY;
      }
    } else {
#pragma unroll
      for (int k = 0; k < 8; ++k) v[k] = Edited(v[k], at + k, seen[k], allowed >> k & 1);
    }
  }

  __device__ __noinline__ float Edited(float value, int at, uint32_t seen, bool allowed) const {
    const bool marked = marks[at / 32] >> (at % 32) & 1;
    for (int k = 0; marked && k < edits.num_bias; ++k) {
      if (edits.bias[k].token_id == first_id + at) value += edits.bias[k].bias;
    }
    value = edits.Penalised(value, seen);
    for (int k = 0; marked && k < edits.num_forbidden; ++k) {
      if (edits.forbidden[k] == first_id + at) value = -INFINITY;
    }
    return allowed ? __fmul_rn(value, edits.scale) : -INFINITY;
  }
};

// By all threads of a block.
__device__ inline void MarkEdited(uint32_t* marks, const RowEdits& edits, const Slice& slice) {
  for (int i = static_cast<int>(threadIdx.x); i < (slice.count + 31) / 32; i += kTeamThreads) marks[i] = 0;
  __syncthreads();
  const auto mark = [&](int id) {
    const int at = id - slice.first_id;
    if (at >= 0 && at < slice.count) atomicOr(marks + at / 32, 1u << (at % 32));
  };
  for (int k = static_cast<int>(threadIdx.x); k < edits.num_bias; k += kTeamThreads) mark(edits.bias[k].token_id);
  for (int k = static_cast<int>(threadIdx.x); k < edits.num_forbidden; k += kTeamThreads) mark(edits.forbidden[k]);
  __syncthreads();
}

}  // namespace swiftlet::cuda
