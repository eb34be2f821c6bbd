// What a step of a model costs at least: bytes that must be read and operations that must be done.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "engine/model/model_config.h"

namespace swiftlet {

struct DeviceSpeed {
  double gb_per_s = 0;     // of reading memory
  double tflop_per_s = 0;  // of products of matrices
};

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
  // The same by what kernels are there for, in microseconds of a device.
  std::map<std::string, double> DecodeFloorsUs(double batch, double context, const DeviceSpeed& device) const {
    const double hidden = config_.hidden_size, layers = config_.num_layers;
    const double queries = static_cast<double>(config_.num_heads) * config_.head_dim;
    const double keys_values = 2.0 * config_.num_kv_heads * config_.head_dim;
    const auto product = [&](double weights) {
      return std::max(element_bytes_ * weights / device.gb_per_s / 1e3, 2 * batch * weights / device.tflop_per_s / 1e6);
    };
    return {{"qkv", product(layers * hidden * (queries + keys_values))},
            {"o", product(layers * hidden * queries)},
            {"gate/up", product(layers * hidden * 2.0 * config_.intermediate_size)},
            {"down", product(layers * hidden * config_.intermediate_size)},
            {"head", product(head_weights_)},
            {"decode attention", element_bytes_ * layers * batch * context * keys_values / device.gb_per_s / 1e3},
            {"sampling", 2.0 * batch * config_.vocab_size / device.gb_per_s / 1e3}};
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
