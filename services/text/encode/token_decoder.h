// The "decoder" of a tokenizer.json: what one token adds to the text, and the rules that join tokens.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/fwd.hpp>

#include "services/text/encode/token_vocabulary.h"

namespace swiftlet {

class TokenDecoder {
 public:
  // `description`: the value of "decoder"; null joins tokens as they are. UNIMPLEMENTED names an unknown type.
  static absl::StatusOr<TokenDecoder> Create(const boost::json::value& description);

  const JoinRules& rules() const { return rules_; }

  // Sets `bytes` to what `token` (valid UTF-8) adds to the text; true when it is one byte by fallback.
  bool BytesOf(std::string_view token, std::string& bytes) const;

 private:
  absl::Status Append(const boost::json::value& description, const std::string& path);

  JoinRules rules_{JoinRules::Kind::kMetaspace, JoinRules::LeadingSpace::kKeep};
  std::vector<std::pair<std::string, std::string>> replacements_;  // in order
  bool has_byte_fallback_ = false;
  bool is_fused_ = false;  // what comes next works on the whole text
};

// The byte that a token <0xNN> stands for; -1 for any other token.
int ByteOfFallbackToken(std::string_view token);

}  // namespace swiftlet
