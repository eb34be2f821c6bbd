#include "engine/model/llama_weights.h"

#include <span>
#include <string>

#include "engine/base/status_macros.h"
#include "engine/model/architectures.h"

namespace swiftlet {
namespace {

using Names = TensorNames;

class Planner {
 public:
  Planner(const KernelTable& kernels, WeightLoader& loader) : kernels_(kernels), loader_(loader) {}

  absl::Status Allocate(LinearWeight& weight, int64_t out_features, int64_t in_features, bool bias) {
    weight.out_features = static_cast<int32_t>(out_features);
    weight.in_features = static_cast<int32_t>(in_features);
    ASSIGN_OR_RETURN(weight.data,
                     Buffer::Allocate(kernels_.linear_weight_bytes(weight.out_features, weight.in_features)));
    if (bias) weight.bias.resize(out_features);
    return absl::OkStatus();
  }

  // Rows [first_row, first_row + num_rows) of `weight` from the linear layer `part`.
  absl::Status AddLinearRows(int32_t layer, std::string_view part, LinearWeight& weight, int64_t first_row,
                             int64_t num_rows) {
    RETURN_IF_ERROR(loader_.AddMatrix(LayerTensor(layer, part, ".weight"), weight, static_cast<int32_t>(first_row),
                                      static_cast<int32_t>(num_rows)));
    if (weight.bias.empty()) return absl::OkStatus();
    return loader_.AddVector(LayerTensor(layer, part, ".bias"), std::span(weight.bias).subspan(first_row, num_rows));
  }

  absl::Status AddLinear(int32_t layer, std::string_view part, LinearWeight& weight, int64_t out_features,
                         int64_t in_features, bool bias) {
    RETURN_IF_ERROR(Allocate(weight, out_features, in_features, bias));
    return AddLinearRows(layer, part, weight, 0, out_features);
  }

  absl::Status AddVector(std::string_view name, std::vector<float>& vector, int64_t size) {
    vector.resize(size);
    return loader_.AddVector(name, vector);
  }

 private:
  const KernelTable& kernels_;
  WeightLoader& loader_;
};

absl::Status PlanLayer(const ModelConfig& config, int32_t index, Planner& planner, LlamaLayerWeights& layer) {
  const int64_t hidden = config.hidden_size;
  const int64_t queries = int64_t{config.num_heads} * config.head_dim;
  const int64_t keys = int64_t{config.num_kv_heads} * config.head_dim;
  RETURN_IF_ERROR(planner.AddVector(LayerTensor(index, Names::kAttentionNorm), layer.attention_norm, hidden));
  RETURN_IF_ERROR(planner.Allocate(layer.qkv, queries + 2 * keys, hidden, config.qkv_bias));
  RETURN_IF_ERROR(planner.AddLinearRows(index, Names::kQuery, layer.qkv, 0, queries));
  RETURN_IF_ERROR(planner.AddLinearRows(index, Names::kKey, layer.qkv, queries, keys));
  RETURN_IF_ERROR(planner.AddLinearRows(index, Names::kValue, layer.qkv, queries + keys, keys));
  if (config.qk_norm) {
    RETURN_IF_ERROR(planner.AddVector(LayerTensor(index, Names::kQueryNorm), layer.query_norm, config.head_dim));
    RETURN_IF_ERROR(planner.AddVector(LayerTensor(index, Names::kKeyNorm), layer.key_norm, config.head_dim));
  }
  RETURN_IF_ERROR(planner.AddLinear(index, Names::kOutput, layer.output, hidden, queries, config.output_bias));
  RETURN_IF_ERROR(planner.AddVector(LayerTensor(index, Names::kMlpNorm), layer.mlp_norm, hidden));
  const int64_t intermediate = config.intermediate_size;
  RETURN_IF_ERROR(planner.AddLinear(index, Names::kGate, layer.gate, intermediate, hidden, config.mlp_bias));
  RETURN_IF_ERROR(planner.AddLinear(index, Names::kUp, layer.up, intermediate, hidden, config.mlp_bias));
  return planner.AddLinear(index, Names::kDown, layer.down, hidden, intermediate, config.mlp_bias);
}

}  // namespace

absl::StatusOr<LlamaWeights> LoadLlamaWeights(const ModelConfig& config, const Checkpoint& checkpoint,
                                              const KernelTable& kernels, ThreadPool& pool,
                                              const LoadProgress& progress) {
  LlamaWeights weights;
  WeightLoader loader(checkpoint, kernels);
  Planner planner(kernels, loader);
  RETURN_IF_ERROR(planner.Allocate(weights.embedding, config.vocab_size, config.hidden_size, false));
  RETURN_IF_ERROR(loader.AddMatrix(Names::kEmbedding, weights.embedding, 0, config.vocab_size));
  weights.layers.resize(config.num_layers);
  for (int32_t i = 0; i < config.num_layers; ++i) {
    RETURN_IF_ERROR(PlanLayer(config, i, planner, weights.layers[i]));
  }
  RETURN_IF_ERROR(planner.AddVector(Names::kFinalNorm, weights.final_norm, config.hidden_size));
  if (!config.tied_head) {
    RETURN_IF_ERROR(planner.Allocate(weights.separate_head, config.vocab_size, config.hidden_size, false));
    RETURN_IF_ERROR(loader.AddMatrix(Names::kHead, weights.separate_head, 0, config.vocab_size));
  }
  ASSIGN_OR_RETURN(weights.content_hash, loader.Load(pool, progress));
  return weights;
}

}  // namespace swiftlet
