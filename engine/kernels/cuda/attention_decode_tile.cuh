// Attention of the query heads that share a key head over one tile of keys and values, on the tensor cores:
//   scores[key, head] = K Q^T        mma m16n8k16: keys on M, heads on N
//   sums[dim, head] += V^T P         dimensions on M; P reaches the B operand through a transposing move
// Lane 4 g + t has of a fragment rows g and g + 8, columns 2 t and 2 t + 1. Included by .cu files alone.
#pragma once

#include "engine/kernels/cuda/attention_decode_ring.cuh"

namespace swiftlet::cuda {

// What a warp has of the tiles it has seen.
template <int kHeadDim, int kHeadTiles>
struct WarpAttention {
  static constexpr int kSteps = kHeadDim / 16;  // of the head in sixteens
  static constexpr int kGroups = kDecodeTile / 16;
  using Slot = RingSlot<kHeadDim>;

  uint32_t query[kHeadTiles][kSteps][2];
  float maximum[kHeadTiles][2], sum[kHeadTiles][2];  // in units of log 2; of heads 2 t, 2 t + 1
  float values[kHeadTiles][kSteps][4];
  uint32_t weights[kGroups][kHeadTiles][2];

  // `rows`: [8 kHeadTiles][kHeadDim] in shared memory, `stride` bytes apart; those from num_heads on may be anything.
  __device__ void Begin(uint32_t rows, int stride, int num_heads, int lane) {
#pragma unroll
    for (int n = 0; n < kHeadTiles; ++n) {
      const bool valid = n * 8 + lane / 4 < num_heads;
#pragma unroll
      for (int k = 0; k < kSteps; k += 2) {
        uint32_t two[4];
        LoadMatrices(two, rows + (n * 8 + lane % 8) * stride + (2 * k + lane / 8) * 16);
        query[n][k][0] = valid ? two[0] : 0;
        query[n][k][1] = valid ? two[1] : 0;
        query[n][k + 1][0] = valid ? two[2] : 0;
        query[n][k + 1][1] = valid ? two[3] : 0;
      }
      maximum[n][0] = maximum[n][1] = -INFINITY;
      sum[n][0] = sum[n][1] = 0;
#pragma unroll
      for (int i = 0; i < kSteps; ++i) {
#pragma unroll
        for (int c = 0; c < 4; ++c) values[n][i][c] = 0;
      }
    }
  }

  // ldmatrix: lane l addresses row l % 8 of matrix l / 8. Keys: (tokens 0-7, 8-15) x columns (0, 1); values: the
  // columns first. Column 2 k + c of row r stands at ((c ^ r % 8) ^ 2 (k % 4)): the sum of bits is exclusive too.
  // After Scores the keys have been read.
  __device__ void Scores(uint32_t keys_at, float (&score)[kGroups][kHeadTiles][4], int lane) {
    const uint32_t row = keys_at + (lane % 8 + (lane / 8 & 1) * 8) * 128;
    const uint32_t column = ((lane / 16) ^ (lane % 8)) * 16;
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
#pragma unroll
      for (int j = 0; j < kGroups; ++j) {
        uint32_t keys[4];
        LoadMatrices(keys, row + k / 4 * Slot::kBoxBytes + j * 2048 + (column ^ (k % 4 * 32)));
#pragma unroll
        for (int n = 0; n < kHeadTiles; ++n) MultiplyAdd(score[j][n], keys, query[n][k][0], query[n][k][1]);
      }
    }
  }

  // `valid`: tokens of the tile that belong to the sequence, one at least.
  __device__ void Weigh(float (&score)[kGroups][kHeadTiles][4], float scale, int valid, int lane) {
    const int g = lane / 4;
#pragma unroll
    for (int n = 0; n < kHeadTiles; ++n) {
      float tile_maximum[2] = {maximum[n][0], maximum[n][1]};
#pragma unroll
      for (int j = 0; j < kGroups; ++j) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const int token = 16 * j + g + c / 2 * 8;
          score[j][n][c] = token < valid ? score[j][n][c] * scale : -INFINITY;
          tile_maximum[c % 2] = fmaxf(tile_maximum[c % 2], score[j][n][c]);
        }
      }
#pragma unroll
      for (int c = 0; c < 2; ++c) {
#pragma unroll
        for (int offset = 4; offset < 32; offset *= 2) {
          tile_maximum[c] = fmaxf(tile_maximum[c], __shfl_xor_sync(~0u, tile_maximum[c], offset));
        }
        const float correction = Exp2(maximum[n][c] - tile_maximum[c]);
        maximum[n][c] = tile_maximum[c];
        sum[n][c] *= correction;
#pragma unroll
        for (int i = 0; i < kSteps; ++i) {
          values[n][i][c] *= correction;
          values[n][i][c + 2] *= correction;
        }
      }
#pragma unroll
      for (int j = 0; j < kGroups; ++j) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          score[j][n][c] = Exp2(score[j][n][c] - maximum[n][c % 2]);
          sum[n][c % 2] += score[j][n][c];
        }
        weights[j][n][0] = TransposedMatrix(Packed(__floats2half2_rn(score[j][n][0], score[j][n][1])));
        weights[j][n][1] = TransposedMatrix(Packed(__floats2half2_rn(score[j][n][2], score[j][n][3])));
      }
    }
  }

  __device__ void AddValues(uint32_t values_at, int lane) {
    const uint32_t row = values_at + (lane % 8 + lane / 16 * 8) * 128;
    const uint32_t column = ((lane / 8 & 1) ^ (lane % 8)) * 16;
#pragma unroll
    for (int j = 0; j < kGroups; ++j) {
#pragma unroll
      for (int i = 0; i < kSteps; ++i) {
        uint32_t columns[4];
        LoadMatricesTransposed(columns, row + i / 4 * Slot::kBoxBytes + j * 2048 + (column ^ (i % 4 * 32)));
#pragma unroll
        for (int n = 0; n < kHeadTiles; ++n) MultiplyAdd(values[n][i], columns, weights[j][n][0], weights[j][n][1]);
      }
    }
  }

  // The sums of weights of all lanes.
  __device__ void End() {
#pragma unroll
    for (int n = 0; n < kHeadTiles; ++n) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
#pragma unroll
        for (int offset = 4; offset < 32; offset *= 2) sum[n][c] += __shfl_xor_sync(~0u, sum[n][c], offset);
      }
    }
  }
};

}  // namespace swiftlet::cuda
