// Small model directories with random weights, for tests that need no other implementation's word.
#pragma once

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>

#include "engine/kernels/dtype.h"
#include "engine/model/architectures.h"
#include "engine/model/model_config.h"
#include "tests/engine/weights/safetensors_file.h"

namespace swiftlet {

// An odd one: GQA of 3, a head_dim that is no power of two, odd intermediate size and vocabulary.
inline constexpr char kOddQwen3[] = R"({"architectures":["Qwen3ForCausalLM"],"vocab_size":331,"hidden_size":96,
  "intermediate_size":151,"num_hidden_layers":2,"num_attention_heads":6,"num_key_value_heads":2,"head_dim":48,
  "max_position_embeddings":1024,"tie_word_embeddings":true})";

// Writes config.json and model.safetensors; `bfloat16` or float32.
inline void WriteRandomModel(const TemporaryDirectory& directory, const std::string& config_json, bool bfloat16,
                             uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::string entries;
  std::string data;
  for (const PlannedTensor& tensor : TensorsOf(*ParseModelConfig(config_json))) {
    const size_t begin = data.size();
    int64_t elements = 1;
    for (const int64_t extent : tensor.shape) elements *= extent;
    const bool matrix = tensor.shape.size() == 2;
    const float scale = matrix ? 2.0f / std::sqrt(static_cast<float>(tensor.shape[1])) : 0.1f;
    for (int64_t i = 0; i < elements; ++i) {
      const float value = (matrix ? 0.0f : 1.0f) + scale * normal(random);
      const uint16_t half = BFloat16FromFloat(value);
      data.append(bfloat16 ? reinterpret_cast<const char*>(&half) : reinterpret_cast<const char*>(&value),
                  bfloat16 ? 2 : 4);
    }
    absl::StrAppend(&entries, entries.empty() ? "{" : ",", "\"", tensor.name, R"(":{"dtype":")",
                    bfloat16 ? "BF16" : "F32", R"(","shape":[)", absl::StrJoin(tensor.shape, ","),
                    R"(],"data_offsets":[)", begin, ",", data.size(), "]}");
  }
  directory.Write("config.json", config_json);
  directory.Write("model.safetensors", SafetensorsBytes(entries + "}", data));
}

}  // namespace swiftlet
