// Attention on the GPU over the paged KV cache: rotation and the write of keys and values, decode and prefill.
//
// The cache of one layer: [page][kv_head][keys, values][64 tokens][head_dim] float16; a (page, kv_head) is one
// contiguous piece.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/step_view.h"

namespace swiftlet::cuda {

struct AttentionShape {
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;  // divides num_heads; 1 to 8 query heads share one, more are done in parts
  int32_t head_dim = 0;      // 32 to 256, a multiple of 16
};

struct KvLayer {
  __half* base = nullptr;
  int64_t page_stride = 0;  // elements: num_kv_heads * 2 * 64 * head_dim
};

// For each token: query, key and value get their bias, queries and keys their RMSNorm (where the weights are given) and
// their rotation (x[i] with x[i + head_dim / 2]); queries go to `query`, keys and values to their page. All in float32
// up to the one rounding at the end.
struct RopeKvArgs {
  AttentionShape shape;
  const __half* qkv = nullptr;        // [num_tokens, (num_heads + 2 num_kv_heads) * head_dim]
  const float* bias = nullptr;        // [(num_heads + 2 num_kv_heads) * head_dim] or null
  const float* query_norm = nullptr;  // [head_dim] or null
  const float* key_norm = nullptr;    // [head_dim] or null
  float norm_epsilon = 0;
  const float2* cos_sin = nullptr;  // [max positions, head_dim / 2]: cosine, sine
  StepView step;
  int32_t num_tokens = 0;  // capacity
  KvLayer kv;
  __half* query = nullptr;  // [num_tokens, num_heads * head_dim]
};
// Releases its successor only after it has waited itself: DecodeAttention counts on that.
absl::Status RopeKv(const LaunchContext& context, const RopeKvArgs& args);

// output[t, h, :] = sum_s softmax_s(query[t, h] . k[s] / sqrt(head_dim)) v[s], s = 0 .. position of t.
struct AttentionArgs {
  AttentionShape shape;
  const __half* query = nullptr;  // [num_tokens, num_heads * head_dim]
  StepView step;
  KvLayer kv;
  __half* output = nullptr;      // [num_tokens, num_heads * head_dim]
  std::byte* scratch = nullptr;  // AttentionScratchBytes, zero-filled once when allocated
};

// Bytes for the partial results of split sequences, for up to max_sequences decodes; serves every smaller bucket too.
int64_t AttentionScratchBytes(const Device& device, const AttentionShape& shape, int32_t max_sequences);

// The sequences [0, counts.num_decodes) of the step. `max_sequences`: capacity of the bucket; `max_pages`: the longest
// block table there can be.
//
// On sm_90 it reads the step's counts, spans and block tables, and keys and values of positions before the sequence's
// newest 32, before it waits. That is sound because (1) the kernel before it in the stream, RopeKv, waits before it
// releases, so that a block of this one can only run when all kernels before RopeKv have completed, among them the one
// that wrote the step and every earlier step; and (2) RopeKv writes only the newest position of a decode. Whatever
// kernel takes RopeKv's place has to keep both.
//
// Deterministic: a row's splits follow from its own length, and so its result depends on nothing else.
absl::Status DecodeAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_sequences,
                             int32_t max_pages);

// The prefill tiles [0, counts.num_prefill_tiles) of the step. `max_tiles`: capacity of the bucket. In every mode a
// row's result depends neither on the batch nor on how its prompt was cut into chunks.
absl::Status PrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles);

}  // namespace swiftlet::cuda
