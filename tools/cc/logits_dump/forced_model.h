// A model that is fed given ids instead of what it draws, and asked for the logits of every position. Used by
// logits_dump alone, on one thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/kernels/dtype.h"

namespace swiftlet {

// The next ids of one sequence; what came before is in its cache.
struct ForcedShare {
  int32_t sequence = 0;
  int32_t first_position = 0;
  std::span<const int32_t> ids;
};

struct ForcedModelOptions {
  std::string model_directory;
  std::string dtype = "auto";  // of the CPU: auto, bfloat16, float32
  int32_t num_sequences = 1;
  int32_t sequence_tokens = 1;  // of the longest
  int32_t step_tokens = 1;      // most ids of one step
  int32_t num_threads = 1;
  bool reference = false;      // CPU: the float32 oracle instead of the SIMD kernels
  bool generic = false;        // GPU: portable kernels only
  bool deterministic = false;  // GPU: batch-invariant kernels only
};

class ForcedModel {
 public:
  virtual ~ForcedModel() = default;
  virtual int32_t vocab_size() const = 0;
  virtual std::string numerics() const = 0;
  // One step. `decode`: every share has one id, and the decode kernels run where there are any.
  virtual absl::Status Step(std::span<const ForcedShare> shares, bool decode) = 0;
  // What logits are made of: float32, or float16 where the model has no more.
  virtual DType logits_dtype() const = 0;
  // logits [count, vocab_size] of rows [first_row, first_row + count) of the last step, in the order of its ids.
  virtual absl::Status Logits(int32_t first_row, int32_t count, std::byte* logits) = 0;
};

absl::StatusOr<std::unique_ptr<ForcedModel>> MakeCpuForcedModel(const ForcedModelOptions& options);
absl::StatusOr<std::unique_ptr<ForcedModel>> MakeCudaForcedModel(const ForcedModelOptions& options);

}  // namespace swiftlet
