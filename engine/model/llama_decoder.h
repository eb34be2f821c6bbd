// The decoder-only transformer that Llama, Mistral, Qwen2 and Qwen3 share, their differences as data in ModelConfig.
// Made by LoadDecoder from a model directory; afterwards the executor's thread alone calls it.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kv/kv_cache.h"
#include "engine/model/decoder.h"
#include "engine/model/llama_weights.h"
#include "engine/model/model_config.h"

namespace swiftlet {

enum class DecoderDType : uint8_t { kAuto, kBFloat16, kFloat32 };  // kAuto: bfloat16 as stored, else float32

struct DecoderOptions {
  std::string model_directory;
  DecoderDType dtype = DecoderDType::kAuto;
  int64_t kv_cache_bytes = int64_t{2} << 30;  // size of the KV pool, rounded down to whole blocks
  int32_t num_kv_blocks = 0;                  // > 0: this many blocks, whatever kv_cache_bytes says
  int64_t max_kv_blocks = 0;                  // > 0: no more than this many, however many kv_cache_bytes could hold
  int32_t max_model_len = 0;                  // > 0: refused, before weights are read, where model or pool hold less
  int32_t max_batch_tokens = 512;             // most rows of one Forward
  int32_t num_threads = 1;
  bool force_reference = false;  // the float32 oracle instead of the SIMD kernels
  LoadProgress progress = {};    // may be empty; called on the loading thread
};

class LlamaDecoder final : public Decoder {
 public:
  const DecoderShape& shape() const override { return shape_; }
  void Forward(const DecoderBatch& batch) override;
  void ComputeLogits(std::span<const int32_t> rows, std::span<float> logits) override;
  void CopyBlock(int32_t from, int32_t to) override { kv_cache_.CopyBlock(from, to); }
  ThreadPool* thread_pool() override { return pool_.get(); }

  const ModelConfig& config() const { return config_; }
  // Of names, shapes and contents of the weights: for the handshake between processes.
  uint64_t weights_hash() const { return weights_.content_hash; }
  // Two decoders with equal fingerprints and weights give the same logits bit for bit.
  std::string numerics_fingerprint() const;
  int64_t weight_bytes() const { return weight_bytes_; }  // resident

 private:
  friend absl::StatusOr<std::unique_ptr<LlamaDecoder>> LoadDecoder(const DecoderOptions& options);
  LlamaDecoder(ModelConfig config, const KernelTable& kernels, std::unique_ptr<ThreadPool> pool, LlamaWeights weights,
               KvCache kv_cache);
  absl::Status AllocateActivations(int32_t max_batch_tokens);

  void PrepareRows(const DecoderBatch& batch);
  void Attention(int32_t layer_index, const LlamaLayerWeights& layer);
  void Mlp(const LlamaLayerWeights& layer);
  PackedRows Packed(Buffer& buffer, int32_t num_rows, int32_t columns, bool precise) {
    return {buffer.as<uint32_t>(), num_rows, columns, precise};
  }

  const ModelConfig config_;
  const KernelTable& kernels_;
  const std::unique_ptr<ThreadPool> pool_;
  const LlamaWeights weights_;
  KvCache kv_cache_;
  DecoderShape shape_;
  int64_t weight_bytes_ = 0;
  bool precise_mlp_ = false;  // also the MLP and the head keep their inputs precise
  int32_t max_batch_tokens_ = 0;
  std::vector<float> rope_frequencies_;  // [head_dim / 2]

  // Of the step under way; sized for max_batch_tokens once.
  int32_t num_rows_ = 0;
  std::vector<SequenceRows> sequences_;
  Buffer hidden_;     // [rows, hidden] float: the residual stream
  Buffer qkv_;        // [rows, (heads + 2 kv heads) * head_dim] float
  Buffer cos_sin_;    // [rows, head_dim] float
  Buffer normed_;     // packed [rows, hidden]
  Buffer attended_;   // packed [rows, heads * head_dim]
  Buffer activated_;  // packed [rows, intermediate]
};

// Reads and checks the directory, loads the weights, reserves the KV pool. INVALID_ARGUMENT, NOT_FOUND, DATA_LOSS or
// UNIMPLEMENTED name file, tensor or key, what was found and what was expected.
absl::StatusOr<std::unique_ptr<LlamaDecoder>> LoadDecoder(const DecoderOptions& options);

}  // namespace swiftlet
