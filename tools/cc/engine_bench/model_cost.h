// What a step of a model costs at least: bytes that must be read and operations that must be done.
#pragma once

#include <cstdint>

#include "engine/model/model_config.h"

namespace swiftlet {

class ModelCost {
 public:
  // `weight_bytes`: resident, from which the bytes of one weight follow.
  ModelCost(const ModelConfig& config, int64_t weight_bytes) : config_(config) {
    const double attention = static_cast<double>(config.num_heads + config.num_kv_heads) * 2 * config.head_dim;
    layer_weights_ = config.num_layers * config.hidden_size * (attention + 3.0 * config.intermediate_size);
    head_weights_ = static_cast<double>(config.vocab_size) * config.hidden_size;
    const double all = layer_weights_ + head_weights_ * (config.tied_head ? 1 : 2);
    element_bytes_ = static_cast<double>(weight_bytes) / all < 3 ? 2 : 4;
  }

  // One token each for `batch` sequences with `context` positions in the cache.
  double DecodeBytes(double batch, double context) const {
    const double kv = 2.0 * config_.num_layers * config_.num_kv_heads * config_.head_dim;
    return element_bytes_ * (layer_weights_ + head_weights_ + batch * context * kv);
  }
  double DecodeFlop(double batch, double context) const {
    return batch * (2 * (layer_weights_ + head_weights_) + AttentionFlop(context));
  }
  // A prompt from its first token; logits of the last row alone.
  double PrefillFlop(double tokens) const {
    return tokens * (2 * layer_weights_ + AttentionFlop(tokens / 2)) + 2 * head_weights_;
  }

 private:
  double AttentionFlop(double context) const {
    return 4.0 * config_.num_layers * config_.num_heads * config_.head_dim * context;
  }

  const ModelConfig config_;
  double layer_weights_ = 0, head_weights_ = 0;  // elements of the matrices a step multiplies by
  double element_bytes_ = 0;
};

}  // namespace swiftlet
