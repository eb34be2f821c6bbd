// How the warps of a cluster of blocks that do one segment become one result. Each warp sends its sums to the blocks of
// the cluster, every one of which joins some of the dimensions (in sixteens); they arrive in shared memory as [source
// warp][dimensions / 16][8][pairs of heads] float4 of dims (d, d + 8) x heads (h, h + 1), and as [source][pairs] float4
// of two maxima and two sums of weights. Where an item has several segments, the blocks of the last cluster to arrive
// join those in global memory. All sums are in a fixed order. Included by .cu files alone.
#pragma once

#include "engine/kernels/cuda/attention_decode_tile.cuh"
#include "engine/kernels/cuda/saturate.cuh"

namespace swiftlet::cuda {

// Sixteens of dimensions that a block of the cluster joins, at most.
__host__ __device__ constexpr int JoinSteps(int head_dim, int cluster) {
  return (head_dim / 16 + cluster - 1) / cluster;
}
__host__ __device__ constexpr int JoinBytes(int head_dim, int cluster, int warps, int pairs) {
  return cluster * warps * (JoinSteps(head_dim, cluster) * 8 + 1) * pairs * 16;
}

template <int kHeadDim, int kHeadTiles, bool kTensorMap, int kWarps>
struct SegmentJoin {
  static constexpr int kSteps = kHeadDim / 16;

  char* shared;        // JoinBytes
  uint32_t barrier;    // of this block, for what the cluster sends
  int cluster, rank;   // blocks, and which one this is
  int num_heads;       // of the item
  int pairs, sources;  // warps that have tiles

  __device__ int FirstStep(int block) const { return (block * kSteps + cluster - 1) / cluster; }
  __device__ int num_steps() const { return FirstStep(rank + 1) - FirstStep(rank); }
  __device__ int source_float4s() const { return JoinSteps(kHeadDim, cluster) * 8 * pairs; }
  __device__ int tails_offset() const { return cluster * kWarps * source_float4s(); }  // in float4
  __device__ int ExpectedBytes() const { return sources * (num_steps() * 8 + 1) * pairs * 16; }

  __device__ void Put(int offset, int block, const float4& value) const {
    if (kTensorMap && cluster > 1) {
      Push(SharedAddress(shared) + offset * 16, barrier, block, value);
    } else {
      reinterpret_cast<float4*>(shared)[offset] = value;
    }
  }

  // The calling warp is `source`; it has called End().
  __device__ void Send(const WarpAttention<kHeadDim, kHeadTiles>& attention, int source, int lane) const {
    const int g = lane / 4;
    const int t = lane % 4;
#pragma unroll
    for (int n = 0; n < kHeadTiles; ++n) {
      const int pair = n * 4 + t;
      if (pair >= pairs) continue;
#pragma unroll
      for (int i = 0; i < kSteps; ++i) {
        const int block = i * cluster / kSteps;
        const auto& values = attention.values[n][i];
        Put(source * source_float4s() + ((i - FirstStep(block)) * 8 + g) * pairs + pair, block,
            make_float4(values[0], values[1], values[2], values[3]));
      }
      if (g < cluster) {
        Put(tails_offset() + source * pairs + pair, g,
            make_float4(attention.maximum[n][0], attention.maximum[n][1], attention.sum[n][0], attention.sum[n][1]));
      }
    }
  }

  struct Joined {
    float maximum, sum;
    float2 values;
  };
  __device__ static void Add(Joined& to, float maximum, float sum, const float2& values) {
    const float new_maximum = fmaxf(to.maximum, maximum);
    const float old_factor = Exp2(to.maximum - new_maximum);
    const float factor = Exp2(maximum - new_maximum);
    to.maximum = new_maximum;
    to.sum = to.sum * old_factor + sum * factor;
    to.values.x = to.values.x * old_factor + values.x * factor;
    to.values.y = to.values.y * old_factor + values.y * factor;
  }

  // Two adjacent dimensions of a head, of everything that was sent. `pair`: of this block's dimensions.
  __device__ Joined JoinSources(int head, int pair) const {
    const float* const sent = reinterpret_cast<const float*>(shared);
    const float* const values =
        sent + ((pair / 8 * 8 + 2 * (pair % 4)) * pairs + head / 2) * 4 + pair / 4 % 2 * 2 + head % 2;
    const float* const tails = sent + (tails_offset() + head / 2) * 4 + head % 2;
    Joined joined = {-INFINITY, 0, {0, 0}};
#pragma unroll 4
    for (int source = 0; source < sources; ++source) {
      joined.maximum = fmaxf(joined.maximum, tails[source * pairs * 4]);
    }
#pragma unroll 4
    for (int source = 0; source < sources; ++source) {
      const float factor = Exp2(tails[source * pairs * 4] - joined.maximum);
      const float* from = values + source * source_float4s() * 4;
      joined.sum += factor * tails[source * pairs * 4 + 2];
      joined.values.x += factor * from[0];
      joined.values.y += factor * from[4 * pairs];
    }
    return joined;
  }

  // What was sent is there. `output`: the item's first head of its token. `partial`, `arrivals`: the item's first;
  // `flag`: an int in shared memory. Every thread of the block calls it.
  __device__ void Store(__half* output, int split, int num_splits, float* partials, int64_t partial_floats,
                        int* arrivals, int* flag) const {
    const int first = FirstStep(rank) * 8;  // pairs of dimensions
    const int mine = num_steps() * 8;
    for (int i = static_cast<int>(threadIdx.x); i < num_heads * mine; i += kWarps * 32) {
      const int head = i / mine;
      const int pair = i - head * mine;
      const Joined joined = JoinSources(head, pair);
      if (num_splits == 1) {
        StoreOutput(output, head, first + pair, joined);
      } else {
        float* const to = partials + split * partial_floats;
        __stcg(reinterpret_cast<float2*>(to + head * kHeadDim) + first + pair, joined.values);
        if (pair == 0) __stcg(Tails(to) + head, make_float2(joined.maximum, joined.sum));
      }
    }
    if (num_splits == 1) return;
    __syncthreads();
    if (threadIdx.x == 0) {
      const bool last = Arrive(arrivals + rank) == num_splits - 1;
      if (last) arrivals[rank] = 0;  // for the next layer
      *flag = last ? 1 : 0;
    }
    __syncthreads();
    if (*flag == 0) return;
    for (int i = static_cast<int>(threadIdx.x); i < num_heads * mine; i += kWarps * 32) {
      const int head = i / mine;
      const int pair = i - head * mine;
      constexpr int kAtOnce = 8;
      Joined joined = {-INFINITY, 0, {0, 0}};
      for (int begin = 0; begin < num_splits; begin += kAtOnce) {
        float2 tails[kAtOnce], values[kAtOnce];
#pragma unroll
        for (int k = 0; k < kAtOnce; ++k) {
          float* const from = partials + min(begin + k, num_splits - 1) * partial_floats;
          tails[k] = __ldcg(Tails(from) + head);
          values[k] = __ldcg(reinterpret_cast<const float2*>(from + head * kHeadDim) + first + pair);
        }
#pragma unroll
        for (int k = 0; k < kAtOnce; ++k) {
          if (begin + k < num_splits) Add(joined, tails[k].x, tails[k].y, values[k]);
        }
      }
      StoreOutput(output, head, first + pair, joined);
    }
  }

  // Orders what the block has written before what the last to arrive reads.
  __device__ static int Arrive(int* arrivals) {
    int before;
    asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], 1;" : "=r"(before) : "l"(arrivals) : "memory");
    return before;
  }
  __device__ float2* Tails(float* partial) const {
    return reinterpret_cast<float2*>(partial + num_heads * kHeadDim) + rank * num_heads;
  }
  __device__ static void StoreOutput(__half* output, int head, int pair, const Joined& joined) {
    const float inverse = 1.0f / joined.sum;
    reinterpret_cast<__half2*>(output + head * kHeadDim)[pair] =
        SaturatedHalf2(joined.values.x * inverse, joined.values.y * inverse);
  }
};

}  // namespace swiftlet::cuda
