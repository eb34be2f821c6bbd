#include "engine/model/llama_weights.h"

#include <span>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/model/architectures.h"

namespace swiftlet {
namespace {

absl::Status Allocate(const KernelTable& kernels, LinearWeight& weight, int64_t out_features, int64_t in_features,
                      bool bias) {
  weight.out_features = static_cast<int32_t>(out_features);
  weight.in_features = static_cast<int32_t>(in_features);
  ASSIGN_OR_RETURN(weight.data, Buffer::Allocate(kernels.linear_weight_bytes(weight.out_features, weight.in_features)));
  if (bias) weight.bias.resize(out_features);
  return absl::OkStatus();
}

absl::Status AllocateLayer(const ModelConfig& config, const KernelTable& kernels, LlamaLayerWeights& layer) {
  const int64_t hidden = config.hidden_size;
  const int64_t queries = int64_t{config.num_heads} * config.head_dim;
  const int64_t keys = int64_t{config.num_kv_heads} * config.head_dim;
  const int64_t intermediate = config.intermediate_size;
  layer.attention_norm.resize(hidden);
  layer.mlp_norm.resize(hidden);
  if (config.qk_norm) {
    layer.query_norm.resize(config.head_dim);
    layer.key_norm.resize(config.head_dim);
  }
  RETURN_IF_ERROR(Allocate(kernels, layer.qkv, queries + 2 * keys, hidden, config.qkv_bias));
  RETURN_IF_ERROR(Allocate(kernels, layer.output, hidden, queries, config.output_bias));
  RETURN_IF_ERROR(Allocate(kernels, layer.gate, intermediate, hidden, config.mlp_bias));
  RETURN_IF_ERROR(Allocate(kernels, layer.up, intermediate, hidden, config.mlp_bias));
  return Allocate(kernels, layer.down, hidden, intermediate, config.mlp_bias);
}

LinearWeight& MatrixOf(const PlannedTensor& tensor, LlamaWeights& weights) {
  if (tensor.slot == WeightSlot::kEmbedding) return weights.embedding;
  if (tensor.slot == WeightSlot::kHead) return weights.separate_head;
  LlamaLayerWeights& layer = weights.layers[tensor.layer];
  switch (tensor.slot) {
    case WeightSlot::kQkv:
      return layer.qkv;
    case WeightSlot::kOutput:
      return layer.output;
    case WeightSlot::kGate:
      return layer.gate;
    case WeightSlot::kUp:
      return layer.up;
    default:
      CHECK(tensor.slot == WeightSlot::kDown) << tensor.name;
      return layer.down;
  }
}

std::vector<float>& VectorOf(const PlannedTensor& tensor, LlamaWeights& weights) {
  if (tensor.is_bias) return MatrixOf(tensor, weights).bias;
  if (tensor.slot == WeightSlot::kFinalNorm) return weights.final_norm;
  LlamaLayerWeights& layer = weights.layers[tensor.layer];
  switch (tensor.slot) {
    case WeightSlot::kAttentionNorm:
      return layer.attention_norm;
    case WeightSlot::kQueryNorm:
      return layer.query_norm;
    case WeightSlot::kKeyNorm:
      return layer.key_norm;
    default:
      CHECK(tensor.slot == WeightSlot::kMlpNorm) << tensor.name;
      return layer.mlp_norm;
  }
}

}  // namespace

absl::StatusOr<LlamaWeights> LoadLlamaWeights(const ModelConfig& config, const Checkpoint& checkpoint,
                                              const KernelTable& kernels, ThreadPool& pool,
                                              const LoadProgress& progress) {
  LlamaWeights weights;
  weights.layers.resize(config.num_layers);
  weights.final_norm.resize(config.hidden_size);
  RETURN_IF_ERROR(Allocate(kernels, weights.embedding, config.vocab_size, config.hidden_size, false));
  if (!config.tied_head) {
    RETURN_IF_ERROR(Allocate(kernels, weights.separate_head, config.vocab_size, config.hidden_size, false));
  }
  for (LlamaLayerWeights& layer : weights.layers) RETURN_IF_ERROR(AllocateLayer(config, kernels, layer));

  WeightLoader loader(checkpoint, kernels);
  for (const PlannedTensor& tensor : TensorsOf(config)) {
    if (tensor.shape.size() == 2) {
      RETURN_IF_ERROR(loader.AddMatrix(tensor.name, MatrixOf(tensor, weights), static_cast<int32_t>(tensor.first_row),
                                       static_cast<int32_t>(tensor.shape[0])));
    } else {
      RETURN_IF_ERROR(loader.AddVector(
          tensor.name, std::span(VectorOf(tensor, weights)).subspan(tensor.first_row, tensor.shape[0])));
    }
  }
  ASSIGN_OR_RETURN(weights.content_hash, loader.Load(pool, progress));
  return weights;
}

}  // namespace swiftlet
