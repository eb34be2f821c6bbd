// The logits after a prompt as the GPU's executor computes them. In a build without CUDA: FAILED_PRECONDITION.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include "engine/runtime/load_engine.h"

namespace swiftlet {

// Each prompt alone, in chunks of options.config.max_num_batched_tokens.
absl::StatusOr<std::vector<std::vector<float>>> LogitsOnGpu(const LoadEngineOptions& options,
                                                            const std::vector<std::vector<int32_t>>& prompts);

}  // namespace swiftlet
