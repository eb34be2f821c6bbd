// What a model takes of a device's memory, without loading it: as the loaders of each backend lay it out. Pure.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>

#include "engine/kernels/dtype.h"
#include "engine/model/model_config.h"
#include "engine/weights/checkpoint.h"

namespace swiftlet {

struct MemoryCost {
  int64_t weight_bytes = 0;
  int64_t kv_block_bytes = 0;  // of a block of tokens in all layers

  int64_t kv_token_bytes() const;
  // How many sequences of `tokens` each have room for their keys and values beside the weights in `memory_bytes`. The
  // buffers of a step are not counted.
  int64_t SequencesIn(int64_t memory_bytes, int64_t tokens) const;
};

// Of the CPU backend, computing in `dtype`: bfloat16 or float32.
absl::StatusOr<MemoryCost> CpuMemoryCost(const ModelConfig& config, DType dtype);
// The GPU's kernels want widths in multiples of eight: vocabulary and intermediate size are padded with zeros.
int64_t PaddedToEight(int64_t width);
// Of the CUDA backend: float16.
MemoryCost GpuMemoryCost(const ModelConfig& config);

// What the CPU computes in unless told: bfloat16 as stored, else float32.
DType CpuDTypeOf(const Checkpoint& checkpoint);

}  // namespace swiftlet
