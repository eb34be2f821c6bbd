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

std::vector<TensorShape> TensorsOf(const ModelConfig& config) {
  using Names = TensorNames;
  const int64_t hidden = config.hidden_size;
  const int64_t queries = int64_t{config.num_heads} * config.head_dim;
  const int64_t keys = int64_t{config.num_kv_heads} * config.head_dim;
  const int64_t intermediate = config.intermediate_size;

  std::vector<TensorShape> tensors;
  tensors.push_back({std::string(Names::kEmbedding), {config.vocab_size, hidden}});
  for (int32_t layer = 0; layer < config.num_layers; ++layer) {
    const auto add = [&](std::string_view part, std::vector<int64_t> shape) {
      tensors.push_back({LayerTensor(layer, part), std::move(shape)});
    };
    const auto add_linear = [&](std::string_view part, int64_t out, int64_t in, bool bias) {
      tensors.push_back({LayerTensor(layer, part, ".weight"), {out, in}});
      if (bias) tensors.push_back({LayerTensor(layer, part, ".bias"), {out}});
    };
    add(Names::kAttentionNorm, {hidden});
    add_linear(Names::kQuery, queries, hidden, config.qkv_bias);
    add_linear(Names::kKey, keys, hidden, config.qkv_bias);
    add_linear(Names::kValue, keys, hidden, config.qkv_bias);
    add_linear(Names::kOutput, hidden, queries, config.output_bias);
    if (config.qk_norm) {
      add(Names::kQueryNorm, {config.head_dim});
      add(Names::kKeyNorm, {config.head_dim});
    }
    add(Names::kMlpNorm, {hidden});
    add_linear(Names::kGate, intermediate, hidden, config.mlp_bias);
    add_linear(Names::kUp, intermediate, hidden, config.mlp_bias);
    add_linear(Names::kDown, hidden, intermediate, config.mlp_bias);
  }
  tensors.push_back({std::string(Names::kFinalNorm), {hidden}});
  if (!config.tied_head) tensors.push_back({std::string(Names::kHead), {config.vocab_size, hidden}});
  return tensors;
}

}  // namespace swiftlet
