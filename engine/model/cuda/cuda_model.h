// The decoder-only transformer of LlamaDecoder on a GPU: weights, paged KV cache and activations, and the launches of a
// step. Only launches: nothing here waits for the device, and all of it can be captured into a graph.
// Made and filled by the loading thread; afterwards one thread at a time launches.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/linear.h"
#include "engine/kernels/cuda/step_view.h"
#include "engine/model/cuda/cuda_weights.h"
#include "engine/model/model_config.h"
#include "engine/weights/tensor_reader.h"

namespace swiftlet::cuda {

// What launches are sized for; a step has at most this much of each.
struct StepCapacity {
  int32_t tokens = 0;
  int32_t decodes = 0;
  int32_t prefill_tiles = 0;
  int32_t logits = 0;
  int32_t draws = 0;
};

struct CudaModelOptions {
  std::string model_directory;
  std::string tune_cache;
  int32_t max_positions = 0;  // of one sequence; 0 = all the model was trained for
  int32_t num_threads = 1;    // that read the checkpoint
  LoadProgress progress = {};
};

class CudaModel {
 public:
  // Reads and checks the directory as LoadDecoder does, with the weights on the device when it returns.
  static absl::StatusOr<std::unique_ptr<CudaModel>> Load(const Device& device, const CudaModelOptions& options);

  // Both before the first launch. RESOURCE_EXHAUSTED names the bytes.
  absl::Status AllocateActivations(const StepCapacity& largest, int32_t max_pages);
  absl::Status AllocateKvCache(int32_t num_blocks);

  // Embedding and layers: afterwards the residual stream of every token is there, and all keys and values.
  absl::Status RunLayers(const LaunchContext& context, const StepCapacity& capacity, const StepView& step);
  // logits()[i, :] of token tokens[i] of the last RunLayers, i < num_logits <= the largest capacity's.
  absl::Status RunHead(const LaunchContext& context, const int32_t* tokens, int32_t num_logits);
  // All layers of one block.
  absl::Status CopyKvBlock(const LaunchContext& context, int32_t from, int32_t to);

  const Device& device() const { return device_; }
  const ModelConfig& config() const { return config_; }
  const __half* logits() const { return logits_.as<__half>(); }        // [logits, logits_width]
  int32_t logits_width() const { return weights_.head.out_features; }  // vocab_size up to a multiple of eight
  int32_t num_kv_blocks() const { return num_kv_blocks_; }
  int64_t kv_bytes_per_block() const { return config_.num_layers * LayerBlockBytes(); }
  uint64_t weights_hash() const { return weights_.content_hash; }
  // Two models with equal fingerprints and weights give the same logits, bit for bit when deterministic.
  std::string numerics_fingerprint(const LaunchContext& context) const;
  // What is to be told of the kernels: an unknown device, for one.
  std::string kernels_description() const { return linear_->Description(); }

  int64_t weight_bytes() const { return static_cast<int64_t>(weights_.memory.size() + cos_sin_.size()); }
  int64_t kv_bytes() const { return static_cast<int64_t>(kv_.size()); }
  int64_t activation_bytes() const;
  int64_t workspace_bytes() const;

 private:
  CudaModel(const Device& device, ModelConfig config, CudaWeights weights, std::unique_ptr<LinearKernels> linear);
  absl::Status FillCosSin(int32_t max_positions, ThreadPool& pool);
  DecodeAttentionArgs DecodePlanArgs(const StepCapacity& capacity, const StepView& step) const;
  absl::Status Attention(const LaunchContext& context, const StepCapacity& capacity, const StepView& step,
                         int32_t layer_index);
  absl::Status Mlp(const LaunchContext& context, int32_t num_tokens, const CudaLayerWeights& layer);
  AttentionShape attention_shape() const { return {config_.num_heads, config_.num_kv_heads, config_.head_dim}; }
  int64_t LayerBlockBytes() const;  // of one block in one layer

  const Device device_;
  const ModelConfig config_;
  const CudaWeights weights_;
  const std::unique_ptr<LinearKernels> linear_;
  DeviceBuffer cos_sin_;  // [positions, head_dim / 2] float2
  DeviceBuffer kv_;       // [layers][blocks][kv_heads][keys, values][64][head_dim] float16
  int32_t num_kv_blocks_ = 0;
  int32_t max_pages_ = 0;  // of one sequence
  int32_t max_tokens_ = 0, max_logits_ = 0;

  // Of the step under way.
  DeviceBuffer residual_;   // [tokens, hidden] float32
  DeviceBuffer normed_;     // [tokens, hidden] float16
  DeviceBuffer qkv_;        // [tokens, (heads + 2 kv heads) * head_dim] float16
  DeviceBuffer query_;      // [tokens, heads * head_dim] float16
  DeviceBuffer attended_;   // [tokens, heads * head_dim] float16
  DeviceBuffer gate_up_;    // [tokens, 2 * intermediate] float16
  DeviceBuffer activated_;  // [tokens, intermediate] float16
  DeviceBuffer logits_;     // [logits, logits_width] float16
  DeviceBuffer attention_scratch_;
};

}  // namespace swiftlet::cuda
