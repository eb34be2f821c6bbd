// What a model directory says of sampling and of the end of a sequence: generation_config.json and config.json.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

struct GenerationConfig {
  v1::GenerationDefaults defaults;
  std::vector<int32_t> eos_token_ids;  // as the files list them, without doubles; empty where they are silent
};

// A missing file is silent; INVALID_ARGUMENT names file and field where a value has the wrong type or range.
absl::StatusOr<GenerationConfig> ReadGenerationConfig(const std::string& model_directory);

}  // namespace swiftlet
