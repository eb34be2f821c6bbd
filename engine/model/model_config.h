// What a model directory's config.json says, checked and normalised: the only description of a model that the rest of
// the engine sees. Read once while a model loads.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace swiftlet {

// Rotary embedding. With llama3 scaling the low frequencies are divided by `factor`, those between are blended.
struct RopeConfig {
  double theta = 10000;
  bool llama3 = false;
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int32_t original_max_position = 0;
};

struct ModelConfig {
  std::string architecture;  // "Qwen2ForCausalLM" ...
  int32_t vocab_size = 0;    // width of the logits
  int32_t hidden_size = 0;
  int32_t intermediate_size = 0;
  int32_t num_layers = 0;
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;  // divides num_heads
  int32_t head_dim = 0;      // 32 .. 256, a multiple of 16
  int32_t max_position = 0;  // positions that can be served: those trained for, cut to the sliding window if in use
  float rms_norm_epsilon = 0;
  RopeConfig rope;
  bool tied_head = false;  // the head is the embedding
  bool qkv_bias = false;
  bool output_bias = false;  // of the attention's output projection
  bool mlp_bias = false;
  bool qk_norm = false;  // RMSNorm of each query and key head
};

// INVALID_ARGUMENT names the key, what was found and what is allowed; UNIMPLEMENTED names what is not served, such as
// an architecture, a rope type or a quantisation method.
absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view config_json);

// `directory`/config.json; errors name the file.
absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& directory);

}  // namespace swiftlet
