// From a model directory to a running engine: the one call of the model worker and of the tools that need an engine.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/runtime/engine.h"

namespace swiftlet {

struct LoadEngineOptions {
  std::string model_directory;
  std::string device = "auto";  // auto, cpu, cuda; auto: a GPU if there is one that this build serves
  std::string dtype = "auto";   // auto, bfloat16, float16, float32
  std::string kv_cache_dtype = "auto";
  int64_t kv_cache_bytes = 0;  // size of the KV pool; 0 = 2 GiB on the CPU, what is left on a GPU
  int32_t num_threads = 1;     // of the CPU backend; that read the checkpoint
  EngineConfig config = {};

  // A GPU's.
  double gpu_memory_utilization = 0.9;  // of its memory: what all processes on it may use together
  std::string kernels = "auto";         // auto, generic
  bool deterministic = false;
  bool enforce_eager = false;
  std::string tune_cache;  // folder with tables for further devices
  int32_t tensor_parallel_size = 1;

  // Bytes of the checkpoint read so far, and in all; on the loading thread, at most ten times a second.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = {};
  EngineCallbacks callbacks = {};
};

// What the handshake between processes says of a model.
struct EngineDescription {
  int32_t logits_width = 0;
  int32_t kv_blocks = 0;
  int64_t weight_bytes = 0;          // resident
  std::string weights_hash;          // hexadecimal
  std::string numerics_fingerprint;  // equal fingerprint and weights, equal logits bit for bit
  std::string device;                // "cpu", "NVIDIA H200"
  std::string device_uuid;           // Device::uuid; empty on the CPU
  std::string device_note;           // why it is not the one that might be expected; what it has to say of itself
};

struct LoadedEngine {
  std::unique_ptr<Engine> engine;
  EngineDescription description;
};

// Blocks until the weights are in memory. Errors name the file, tensor, key or flag.
absl::StatusOr<LoadedEngine> LoadEngine(const LoadEngineOptions& options);

}  // namespace swiftlet
