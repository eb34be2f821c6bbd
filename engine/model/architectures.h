// The model families, as data: how they differ, and what their tensors are called. One decoder serves them all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/model_config.h"

namespace swiftlet {

enum class SlidingWindow : uint8_t {
  kNone,      // the family has none
  kIfUsed,    // "use_sliding_window" turns it on for the layers from "max_window_layers" on
  kIfNotNull  // "sliding_window" holds for all layers unless null
};

struct Architecture {
  std::string_view name;  // in config.json's "architectures"
  bool always_qkv_bias = false;
  bool attention_bias_key = false;  // "attention_bias" puts biases on q, k, v and o
  bool mlp_bias_key = false;
  bool qk_norm = false;
  int32_t default_head_dim = 0;  // 0: hidden_size / num_attention_heads
  SlidingWindow sliding_window = SlidingWindow::kNone;
  int32_t default_sliding_window = 0;  // when the key is absent
};

// All that are served. Null for an unknown name.
std::span<const Architecture> Architectures();
const Architecture* FindArchitecture(std::string_view name);

// Tensor names. Per-layer ones are "model.layers.<i>." and the part given here.
struct TensorNames {
  static constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
  static constexpr std::string_view kFinalNorm = "model.norm.weight";
  static constexpr std::string_view kHead = "lm_head.weight";
  static constexpr std::string_view kAttentionNorm = "input_layernorm.weight";
  static constexpr std::string_view kMlpNorm = "post_attention_layernorm.weight";
  static constexpr std::string_view kQuery = "self_attn.q_proj";  // and ".weight", ".bias"
  static constexpr std::string_view kKey = "self_attn.k_proj";
  static constexpr std::string_view kValue = "self_attn.v_proj";
  static constexpr std::string_view kOutput = "self_attn.o_proj";
  static constexpr std::string_view kQueryNorm = "self_attn.q_norm.weight";
  static constexpr std::string_view kKeyNorm = "self_attn.k_norm.weight";
  static constexpr std::string_view kGate = "mlp.gate_proj";
  static constexpr std::string_view kUp = "mlp.up_proj";
  static constexpr std::string_view kDown = "mlp.down_proj";
};
std::string LayerTensor(int32_t layer, std::string_view part, std::string_view suffix = "");

// Every tensor that a checkpoint of this configuration holds, with its shape and its place among a decoder's weights:
// what loaders read and tools/synth_checkpoint writes.
enum class WeightSlot : uint8_t {
  kEmbedding,      // also the head when tied
  kAttentionNorm,  // vectors of a layer are in slots of their own or, biases, in that of their matrix
  kQkv,            // queries, keys, values one below the other
  kOutput,
  kQueryNorm,
  kKeyNorm,
  kMlpNorm,
  kGate,
  kUp,
  kDown,
  kFinalNorm,
  kHead,
};
struct PlannedTensor {
  std::string name;
  std::vector<int64_t> shape;  // [rows, columns], or [rows] of a vector
  WeightSlot slot = WeightSlot::kEmbedding;
  int32_t layer = -1;     // -1: of no layer
  int64_t first_row = 0;  // in the slot
  bool is_bias = false;   // of the matrix in the slot
};
std::vector<PlannedTensor> TensorsOf(const ModelConfig& config);

}  // namespace swiftlet
