// Builds a Tokenizer from the text of a tokenizer.json with a BPE model.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string_view>

#include "services/text/encode/tokenizer.h"
#include "services/text/encode/tokenizer_config.h"

namespace swiftlet {

// Errors name the field; UNIMPLEMENTED for what a valid file may hold and this does not serve.
absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizerJson(std::string_view text, const TokenizerConfig& config);

}  // namespace swiftlet
