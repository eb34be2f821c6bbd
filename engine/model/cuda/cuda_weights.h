// The weights of a decoder on the device: float16 matrices, float32 norms and biases, in one allocation.
// Filled by LoadCudaWeights, constant afterwards.
#pragma once

#include <absl/status/statusor.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <vector>

#include "engine/base/cuda/device.h"
#include "engine/base/cuda/device_buffer.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/cuda/linear.h"
#include "engine/model/model_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/tensor_reader.h"

namespace swiftlet::cuda {

// Vectors are null where the model has none.
struct CudaLayerWeights {
  float* attention_norm = nullptr;  // [hidden]
  LinearWeight qkv;                 // queries, keys, values one below the other
  float* qkv_bias = nullptr;
  float* query_norm = nullptr;  // [head_dim]
  float* key_norm = nullptr;
  LinearWeight output;
  float* output_bias = nullptr;
  float* mlp_norm = nullptr;
  LinearWeight gate_up;  // in groups of eight rows, as layer_ops.h says
  float* gate_up_bias = nullptr;
  LinearWeight down;
  float* down_bias = nullptr;
};

struct CudaWeights {
  DeviceBuffer memory;
  LinearWeight embedding;  // [padded vocab (memory_cost.h), hidden]; also the head when tied
  std::vector<CudaLayerWeights> layers;
  float* final_norm = nullptr;
  LinearWeight head;  // [padded vocab, hidden]
  uint64_t content_hash = 0;
};

// Checks every tensor's presence, shape and dtype before the first byte of data is read. UNIMPLEMENTED for a hidden
// size that is no multiple of eight.
absl::StatusOr<CudaWeights> LoadCudaWeights(const Device& device, const ModelConfig& config,
                                            const Checkpoint& checkpoint, ThreadPool& pool,
                                            const LoadProgress& progress);

}  // namespace swiftlet::cuda
