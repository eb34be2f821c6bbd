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
  std::string dtype = "auto";                 // auto, bfloat16, float32
  int64_t kv_cache_bytes = int64_t{2} << 30;  // size of the KV pool
  int32_t num_threads = 1;                    // of the CPU backend
  EngineConfig config = {};
  // Bytes of the checkpoint read so far, and in all; on the loading thread, at most ten times a second.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = {};
  std::function<void(const StepTiming&)> on_step = {};  // on the step thread, after every step
};

// What the handshake between processes says of a model.
struct EngineDescription {
  int32_t logits_width = 0;
  int32_t kv_blocks = 0;
  int64_t weight_bytes = 0;          // resident
  std::string weights_hash;          // hexadecimal
  std::string numerics_fingerprint;  // equal fingerprint and weights, equal logits bit for bit
};

struct LoadedEngine {
  std::unique_ptr<Engine> engine;
  EngineDescription description;
};

// Blocks until the weights are in memory. Errors name the file, tensor, key or flag.
absl::StatusOr<LoadedEngine> LoadEngine(const LoadEngineOptions& options);

}  // namespace swiftlet
