// The hashes by which gateways join tokenizers and workers of one model: both read the same directory, both call this.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace swiftlet {

struct ModelFileHashes {
  std::string tokenizer;      // 64 hexadecimal digits; empty when the directory has no tokenizer
  std::string chat_template;  // likewise; empty without a template
};

// tokenizer: SHA-256 over each of tokenizer.json, tokenizer.model and tokenizer_config.json that exists, in this order,
// as name, NUL, length as decimal digits, NUL, content. chat_template: likewise over chat_template.jinja, or where that
// is absent over the `chat_template` member of tokenizer_config.json.
absl::StatusOr<ModelFileHashes> HashModelFiles(const std::string& model_dir);

// SHA-256 in hexadecimal.
std::string Sha256Hex(std::string_view bytes);

}  // namespace swiftlet
