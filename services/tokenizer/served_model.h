// A model directory as the tokenizer serves it: tokenizer, chat template, and the facts of GetInfo. Read once at start,
// then const and shared by all threads.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "services/text/encode/chat_template.h"
#include "services/text/encode/tokenizer.h"
#include "swiftlet/v1/tokenizer.pb.h"

namespace swiftlet {

struct ServedModel {
  std::unique_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<const ChatTemplate> chat_template;  // null: the model takes plain prompts only
  v1::TokenizedModel info;
  std::vector<v1::GetVocabularyResponse> vocabulary;  // the answer of GetVocabulary, ready to send
};

// Where to find a model and what callers call it.
struct ModelSpec {
  std::string name;
  std::string directory;
};

// "DIR" or "NAME=DIR" for each model; `served_names` (--served-model-name), where given, names all of them in order.
// A model without a name is called by its directory's last component. INVALID_ARGUMENT names the flag.
absl::StatusOr<std::vector<ModelSpec>> ParseModelSpecs(const std::vector<std::string>& models,
                                                       const std::vector<std::string>& served_names);

// Errors name the file and what was expected in it.
absl::StatusOr<ServedModel> LoadServedModel(const ModelSpec& spec);

// By name.
using ServedModels = std::map<std::string, ServedModel, std::less<>>;

}  // namespace swiftlet
