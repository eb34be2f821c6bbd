// What a tokenizer needs of tokenizer_config.json, the file beside tokenizer.json or tokenizer.model.
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/text/encode/added_tokens.h"
#include "services/text/encode/json_fields.h"
#include "services/text/encode/tokenizer.h"

namespace swiftlet {

struct TokenizerConfig {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> pad_token;
  std::optional<std::string> unk_token;
  bool add_bos_token = true;   // sentencepiece only: a tokenizer.json says it in its post_processor
  bool add_eos_token = false;  // likewise
  std::vector<AddedToken> added_tokens;
};

// An absent file gives the defaults.
absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(const std::string& path);

// The ids of the tokens that `config` names; those that `find_id` does not know stay unset.
SpecialIds FindSpecialIds(const TokenizerConfig& config,
                          absl::FunctionRef<std::optional<int32_t>(std::string_view text)> find_id);

// {"content": ..., "single_word": ..., "lstrip": ..., "rstrip": ..., "normalized": ..., "special": ...}; the id is not
// read.
absl::StatusOr<AddedToken> ParseAddedToken(const JsonFields& fields);

}  // namespace swiftlet
