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

// What is done to a head between the linear layer and attention: query, key and value get their bias, queries and keys
// their RMSNorm (where the weights are given) and their rotation (x[i] with x[i + head_dim / 2]). All in float32 up to
// the one rounding at the end.
struct HeadTransform {
  const float* bias = nullptr;        // [(num_heads + 2 num_kv_heads) * head_dim] or null
  const float* query_norm = nullptr;  // [head_dim] or null
  const float* key_norm = nullptr;    // [head_dim] or null
  float norm_epsilon = 0;
  const float2* cos_sin = nullptr;  // [max positions, head_dim / 2]: cosine, sine
};

// For each token of a prefill: queries go to `query`, keys and values to their page. Decodes are left out:
// DecodeAttention does the same for them.
struct RopeKvArgs {
  AttentionShape shape;
  const __half* qkv = nullptr;  // [num_tokens, (num_heads + 2 num_kv_heads) * head_dim]
  HeadTransform transform;
  StepView step;
  int32_t num_tokens = 0;  // capacity
  KvLayer kv;
  __half* query = nullptr;  // [num_tokens, num_heads * head_dim]
};
absl::Status RopeKv(const LaunchContext& context, const RopeKvArgs& args);

// Decode attention takes each sequence's newest token from the linear layer itself, writes its key and value to the
// cache and attends with what it wrote: output[t, h, :] = sum_s softmax_s(query[t, h] . k[s] / sqrt(head_dim)) v[s],
// s = 0 .. position of t, for the sequences [0, counts.num_decodes) of the step.
struct DecodeAttentionArgs {
  AttentionShape shape;
  const __half* qkv = nullptr;  // [num_tokens, (num_heads + 2 num_kv_heads) * head_dim]
  HeadTransform transform;
  StepView step;
  KvLayer kv;
  __half* output = nullptr;      // [num_tokens, num_heads * head_dim]
  std::byte* scratch = nullptr;  // AttentionScratchBytes
  int32_t max_sequences = 0;     // capacity of the bucket
  int32_t max_pages = 0;         // the longest block table there can be
  bool prefill_follows = false;  // then the successor is released only when all before this kernel has completed
};

// Bytes for a plan and the partial results of split sequences, for up to max_sequences decodes; serves every smaller
// bucket too.
int64_t AttentionScratchBytes(const Device& device, const AttentionShape& shape, int32_t max_sequences);

// How this step's decodes are divided over the device: once a step, before DecodeAttention of its first layer. Takes
// shape, step, scratch and capacities of `args`, which are to be the same then.
absl::Status PlanDecodeAttention(const LaunchContext& context, const DecodeAttentionArgs& args);

// On Hopper it reads the plan, block tables, and keys and values of all earlier positions before it waits for its
// predecessor. That is sound because none of it is written by a kernel that can still be running then. Between the
// kernels that write it (BeginStep, PlanDecodeAttention; for keys and values: every earlier step, CopyKvBlock) and this
// one there is in every step at least one kernel, the embedding, all blocks of which wait for its predecessor BEFORE
// they release its successor. A block of this kernel runs only when all blocks of its predecessor have released, and so
// have begun, and so all blocks of the predecessor's predecessor have released, and so on back to the embedding: all
// its blocks have waited, and a wait ends only when the kernel before, which itself has waited, has completed with its
// writes visible. Hence everything before the embedding is complete, whatever the kernels since then do. In the step
// itself a decode's pages are written by this kernel alone: its newest position, which each block that needs it takes
// from qkv. RopeKv writes pages of prefills, which no decode of the same step has in its table.
//
// Deterministic: a row's splits follow from its own length, and so its result depends on nothing else.
absl::Status DecodeAttention(const LaunchContext& context, const DecodeAttentionArgs& args);

// output as above, for queries that RopeKv has written.
struct AttentionArgs {
  AttentionShape shape;
  const __half* query = nullptr;  // [num_tokens, num_heads * head_dim]
  StepView step;
  KvLayer kv;
  __half* output = nullptr;  // [num_tokens, num_heads * head_dim]
};

// The prefill tiles [0, counts.num_prefill_tiles) of the step. `max_tiles`: capacity of the bucket. In every mode a
// row's result depends neither on the batch nor on how its prompt was cut into chunks.
absl::Status PrefillAttention(const LaunchContext& context, const AttentionArgs& args, int32_t max_tiles);

}  // namespace swiftlet::cuda
