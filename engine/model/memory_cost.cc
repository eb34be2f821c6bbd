#include "engine/model/memory_cost.h"

#include <map>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/architectures.h"

namespace swiftlet {

int64_t PaddedToEight(int64_t width) {
  return (width + 7) / 8 * 8;
}

int64_t MemoryCost::kv_token_bytes() const {
  return kv_block_bytes / kKvBlockTokens;
}

int64_t MemoryCost::SequencesIn(int64_t memory_bytes, int64_t tokens) const {
  if (memory_bytes <= weight_bytes || tokens < 1) return 0;
  return (memory_bytes - weight_bytes) / kv_block_bytes / ((tokens - 1) / kKvBlockTokens + 1);
}

absl::StatusOr<MemoryCost> CpuMemoryCost(const ModelConfig& config, DType dtype) {
  ASSIGN_OR_RETURN(const KernelTable* kernels, ChooseKernels(Backend::kSimd, dtype));
  // A slot is one packed matrix, whatever the number of tensors in it; vectors stay float32 and are not counted there.
  std::map<std::pair<int32_t, WeightSlot>, std::pair<int64_t, int64_t>> matrices;  // rows, columns
  for (const PlannedTensor& tensor : TensorsOf(config)) {
    if (tensor.shape.size() != 2) continue;
    auto& [rows, columns] = matrices[{tensor.layer, tensor.slot}];
    rows += tensor.shape[0];
    columns = tensor.shape[1];
  }
  MemoryCost cost;
  for (const auto& [slot, shape] : matrices) {
    cost.weight_bytes += static_cast<int64_t>(
        kernels->linear_weight_bytes(static_cast<int32_t>(shape.first), static_cast<int32_t>(shape.second)));
  }
  cost.kv_block_bytes =
      int64_t{config.num_layers} * config.num_kv_heads * static_cast<int64_t>(kernels->kv_page_bytes(config.head_dim));
  return cost;
}

MemoryCost GpuMemoryCost(const ModelConfig& config) {
  MemoryCost cost;
  for (const PlannedTensor& tensor : TensorsOf(config)) {
    if (tensor.shape.size() != 2) {
      cost.weight_bytes += 4 * tensor.shape[0];
      continue;
    }
    int64_t rows = tensor.shape[0];
    int64_t columns = tensor.shape[1];
    const bool padded_rows = tensor.slot == WeightSlot::kEmbedding || tensor.slot == WeightSlot::kHead ||
                             tensor.slot == WeightSlot::kGate || tensor.slot == WeightSlot::kUp;
    if (padded_rows) rows = PaddedToEight(rows);
    if (tensor.slot == WeightSlot::kDown) columns = PaddedToEight(columns);
    cost.weight_bytes += 2 * rows * columns;
  }
  cost.weight_bytes += int64_t{4} * config.max_position * config.head_dim;  // sines and cosines
  cost.kv_block_bytes = int64_t{4} * config.num_layers * config.num_kv_heads * config.head_dim * kKvBlockTokens;
  return cost;
}

DType CpuDTypeOf(const Checkpoint& checkpoint) {
  const TensorInfo* embedding = checkpoint.Find(TensorNames::kEmbedding);
  return embedding != nullptr && embedding->dtype == DType::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
}

}  // namespace swiftlet
