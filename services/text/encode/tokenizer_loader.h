// Makes the tokenizer of a model directory.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "services/text/encode/tokenizer.h"

namespace swiftlet {

// From tokenizer.json, else from tokenizer.model (sentencepiece); tokenizer_config.json beside it names bos, eos, pad
// and unk. Errors name the file and the field.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& model_directory);

}  // namespace swiftlet
