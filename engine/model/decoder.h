// The arithmetic of a decoder-only transformer: token ids and positions in, hidden rows and logits out, keys and values
// into the paged cache. One Decoder owns its weights and its KV cache; the executor's thread alone calls it.
//
// Abstract so that the runtime is tested with scripted numbers; LlamaDecoder (llama_decoder.h) is the real one.
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/thread_pool.h"

namespace swiftlet {

// One sequence's share of a step: rows [first_row, first_row + num_rows) of the batch are its tokens at positions
// [first_position, first_position + num_rows). Everything before first_position is already in the cache.
struct DecoderSequence {
  int32_t first_row = 0;
  int32_t num_rows = 0;        // 1 in decode, a chunk in prefill
  int32_t first_position = 0;  // 0 .. max_model_len - 1
  std::span<const int32_t> block_ids;  // block i holds positions [64 i, 64 i + 64); covers the last row's position
};

struct DecoderBatch {
  std::span<const int32_t> token_ids;  // [num_rows], 0 <= id < vocab_size
  std::span<const DecoderSequence> sequences;  // in row order, without gaps
};

// What the rest of the engine needs to know of a model.
struct DecoderShape {
  int32_t vocab_size = 0;     // the width of the logits
  int32_t max_position = 0;   // positions the model was trained for (max_position_embeddings)
  int64_t kv_bytes_per_block = 0;  // all layers, keys and values, 64 tokens
  int32_t num_blocks = 0;     // size of the KV pool
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual const DecoderShape& shape() const = 0;

  // Computes all rows and writes their keys and values. A row's result does not depend on what else is in the batch,
  // on how its sequence was cut into chunks, or on the number of threads: bit for bit.
  // Rows per call: at most the max_batch_tokens the decoder was made with.
  virtual void Forward(const DecoderBatch& batch) = 0;

  // logits [rows.size(), vocab_size] float32, row-major, for these rows of the last Forward.
  virtual void ComputeLogits(std::span<const int32_t> rows, std::span<float> logits) = 0;

  // Copies the keys and values of one block: the tail block of a prompt that n choices share.
  virtual void CopyBlock(int32_t from, int32_t to) = 0;

  // Idle between calls, when the executor samples on it; null for none.
  virtual ThreadPool* thread_pool() { return nullptr; }
};

}  // namespace swiftlet
