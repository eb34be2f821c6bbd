#include "engine/model/architectures.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>

#include "engine/base/string_view.h"

namespace swiftlet {

std::span<const Architecture> Architectures() {
  static constexpr std::array<Architecture, 4> kArchitectures = {{
      {.name = "LlamaForCausalLM", .attention_bias_key = true, .mlp_bias_key = true},
      {.name = "MistralForCausalLM", .sliding_window = SlidingWindow::kIfNotNull, .default_sliding_window = 4096},
      {.name = "Qwen2ForCausalLM",
       .always_qkv_bias = true,
       .sliding_window = SlidingWindow::kIfUsed,
       .default_sliding_window = 4096},
      {.name = "Qwen3ForCausalLM",
       .attention_bias_key = true,
       .qk_norm = true,
       .default_head_dim = 128,
       .sliding_window = SlidingWindow::kIfUsed,
       .default_sliding_window = 4096},
  }};
  return kArchitectures;
}

const Architecture* FindArchitecture(std::string_view name) {
  const auto all = Architectures();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Architecture& known) { return known.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string LayerTensor(int32_t layer, std::string_view part, std::string_view suffix) {
  return absl::StrCat("model.layers.", layer, ".", ToAbsl(part), ToAbsl(suffix));
}

std::vector<PlannedTensor> TensorsOf(const ModelConfig& config) {
  using Names = TensorNames;
  using enum WeightSlot;
  const int64_t hidden = config.hidden_size;
  const int64_t queries = int64_t{config.num_heads} * config.head_dim;
  const int64_t keys = int64_t{config.num_kv_heads} * config.head_dim;
  const int64_t intermediate = config.intermediate_size;

  std::vector<PlannedTensor> tensors;
  const auto add = [&](std::string name, std::vector<int64_t> shape, WeightSlot slot, int32_t layer = -1) {
    tensors.push_back({.name = std::move(name), .shape = std::move(shape), .slot = slot, .layer = layer});
  };
  add(std::string(Names::kEmbedding), {config.vocab_size, hidden}, kEmbedding);
  for (int32_t layer = 0; layer < config.num_layers; ++layer) {
    const auto add_vector = [&](std::string_view part, int64_t size, WeightSlot slot) {
      add(LayerTensor(layer, part), {size}, slot, layer);
    };
    const auto add_linear = [&](std::string_view part, int64_t out, int64_t in, bool bias, WeightSlot slot,
                                int64_t first_row = 0) {
      add(LayerTensor(layer, part, ".weight"), {out, in}, slot, layer);
      tensors.back().first_row = first_row;
      if (!bias) return;
      add(LayerTensor(layer, part, ".bias"), {out}, slot, layer);
      tensors.back().first_row = first_row;
      tensors.back().is_bias = true;
    };
    add_vector(Names::kAttentionNorm, hidden, kAttentionNorm);
    add_linear(Names::kQuery, queries, hidden, config.qkv_bias, kQkv);
    add_linear(Names::kKey, keys, hidden, config.qkv_bias, kQkv, queries);
    add_linear(Names::kValue, keys, hidden, config.qkv_bias, kQkv, queries + keys);
    add_linear(Names::kOutput, hidden, queries, config.output_bias, kOutput);
    if (config.qk_norm) {
      add_vector(Names::kQueryNorm, config.head_dim, kQueryNorm);
      add_vector(Names::kKeyNorm, config.head_dim, kKeyNorm);
    }
    add_vector(Names::kMlpNorm, hidden, kMlpNorm);
    add_linear(Names::kGate, intermediate, hidden, config.mlp_bias, kGate);
    add_linear(Names::kUp, intermediate, hidden, config.mlp_bias, kUp);
    add_linear(Names::kDown, hidden, intermediate, config.mlp_bias, kDown);
  }
  add(std::string(Names::kFinalNorm), {hidden}, kFinalNorm);
  if (!config.tied_head) add(std::string(Names::kHead), {config.vocab_size, hidden}, kHead);
  return tensors;
}

}  // namespace swiftlet
