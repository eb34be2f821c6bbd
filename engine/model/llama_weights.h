// The weights of a decoder in the kernels' layouts. Filled by LoadLlamaWeights, constant afterwards.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/linear.h"
#include "engine/model/model_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/weight_loader.h"

namespace swiftlet {

struct LlamaLayerWeights {
  std::vector<float> attention_norm;  // [hidden]
  LinearWeight qkv;                   // queries, keys, values one below the other
  std::vector<float> query_norm;      // [head_dim] or empty
  std::vector<float> key_norm;        // [head_dim] or empty
  LinearWeight output;
  std::vector<float> mlp_norm;  // [hidden]
  LinearWeight gate;
  LinearWeight up;
  LinearWeight down;
};

struct LlamaWeights {
  LinearWeight embedding;  // [vocab, hidden]; also the head when tied
  std::vector<LlamaLayerWeights> layers;
  std::vector<float> final_norm;  // [hidden]
  LinearWeight separate_head;     // [vocab, hidden]; empty when tied
  uint64_t content_hash = 0;

  const LinearWeight& head() const { return separate_head.out_features != 0 ? separate_head : embedding; }
};

// Checks every tensor's presence, shape and dtype before the first byte of data is read.
absl::StatusOr<LlamaWeights> LoadLlamaWeights(const ModelConfig& config, const Checkpoint& checkpoint,
                                              const KernelTable& kernels, ThreadPool& pool,
                                              const LoadProgress& progress);

}  // namespace swiftlet
