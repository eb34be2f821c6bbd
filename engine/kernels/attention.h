// Rotary embedding, the paged KV cache as kernels see it, and causal attention over it.
//
// Contract of every implementation: the result of a (query, head) is computed page by page in absolute order with the
// same operations whether its sequence came in one chunk, in many, or token by token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/packed_rows.h"

namespace swiftlet {

inline constexpr int32_t kKvBlockTokens = 64;

struct AttentionShape {
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;  // divides num_heads
  int32_t head_dim = 0;      // 32 .. 256, a multiple of 16
};

// One layer of the cache. The bytes of one (page, kv head), keys then values, lie together at
// base + page * page_stride + kv_head * head_stride; what is inside belongs to the kernel table.
struct KvLayerView {
  std::byte* base = nullptr;
  int64_t page_stride_bytes = 0;
  int64_t head_stride_bytes = 0;

  std::byte* Page(int32_t page, int32_t kv_head) const {
    return base + page * page_stride_bytes + kv_head * head_stride_bytes;
  }
};

// Rows [first_row, first_row + num_rows) are one sequence's positions [first_position, first_position + num_rows).
struct SequenceRows {
  int32_t first_row = 0;
  int32_t num_rows = 0;
  int32_t first_position = 0;
  std::span<const int32_t> pages;  // page i holds positions [64 i, 64 i + 64)
};

// For each row: RMSNorm of each query and key head where the weights are given, rotation of both (the halves of a head
// are paired: x[i], x[i + head_dim / 2]), queries left in place, keys and values written to their page.
struct RopeKvArgs {
  AttentionShape shape;
  float* qkv = nullptr;  // [num_rows, (num_heads + 2 num_kv_heads) * head_dim]: queries, keys, values
  std::span<const SequenceRows> sequences;
  const float* cos_sin = nullptr;      // [num_rows, head_dim]: head_dim / 2 cosines, then the sines
  const float* query_norm = nullptr;   // [head_dim] or null
  const float* key_norm = nullptr;     // [head_dim] or null
  float norm_epsilon = 0;
  KvLayerView kv;
};

// output[r, h, :] = sum_t softmax_t(q[r, h] . k[t] / sqrt(head_dim)) v[t], t = 0 .. position of r.
struct AttentionArgs {
  AttentionShape shape;
  const float* qkv = nullptr;  // as RopeKv left it
  std::span<const SequenceRows> sequences;
  KvLayerView kv;
  PackedRows output;  // [num_rows, num_heads * head_dim]
};

}  // namespace swiftlet
