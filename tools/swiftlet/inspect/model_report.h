// What a model directory holds, as those who serve it read it: the engine's loaders and the tokenizer's. Weights are
// not read, their headers are.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/kernels/dtype.h"
#include "engine/model/memory_cost.h"
#include "engine/model/model_config.h"

namespace swiftlet {

struct StoredWeights {
  struct Kind {
    int64_t tensors = 0;
    int64_t bytes = 0;
  };
  std::map<std::string, Kind> kinds;  // by the files' name of the type, "BF16"
  std::vector<std::string> files;
  int64_t tensors = 0;
  int64_t bytes = 0;
  int64_t unused_tensors = 0;  // that no part of the model reads
  DType cpu_dtype = DType::kFloat32;
};

struct TextFacts {
  std::string tokenizer_file;
  std::string kind;  // "byte-level BPE"
  int32_t vocabulary = 0;
  std::vector<int32_t> eos_token_ids;
  bool has_template = false;
  bool takes_system = false;   // the template renders a system message
  std::string reasoning_open;  // empty: no reasoning
  std::string reasoning_close;
  std::string tools;  // "hermes", "llama3" or empty
  std::vector<std::string> variables;
  std::map<std::string, double> defaults;  // "temperature" ...
};

struct BackendCost {
  std::string backend;  // "cpu", "cuda"
  DType dtype = DType::kFloat16;
  bool automatic = false;  // what it takes unless told otherwise
  MemoryCost memory;
};

struct ModelReport {
  std::string directory;
  std::vector<std::string> problems;  // each keeps it from being served; names the file
  std::vector<std::string> notes;     // do not
  std::optional<ModelConfig> config;
  int64_t parameters = 0;
  std::optional<StoredWeights> weights;
  std::optional<TextFacts> text;
  std::vector<BackendCost> costs;  // without a config there are none
};

// `directory` exists.
ModelReport InspectModel(const std::string& directory);

}  // namespace swiftlet
