// A sentencepiece .model put to work, with the added tokens of tokenizer_config.json.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "services/text/encode/added_tokens.h"
#include "services/text/encode/sentencepiece_model.h"
#include "services/text/encode/tokenizer.h"
#include "services/text/encode/tokenizer_config.h"

namespace swiftlet {

// INVALID_ARGUMENT when `serialized` is no model.
absl::StatusOr<std::unique_ptr<Tokenizer>> ParseSentencePieceModel(std::string_view serialized,
                                                                   const TokenizerConfig& config);

class SentencePieceTokenizer : public Tokenizer {
 public:
  struct Parts {
    std::unique_ptr<const SentencePieceModel> model;
    // As `model`, but with the user-defined pieces that are markup turned off: for text of users, where the library
    // would make them. Null when there are none.
    std::unique_ptr<const SentencePieceModel> plain_model;
    AddedTokenMatcher control_matcher;       // control pieces and added tokens: the library never makes them
    AddedTokenMatcher user_defined_matcher;  // markup that the library itself finds
    std::optional<int32_t> id_before;        // with add_special_tokens
    std::optional<int32_t> id_after;
  };

  SentencePieceTokenizer(TokenizerFacts facts, Parts parts);

  absl::StatusOr<std::vector<int32_t>> Encode(absl::Span<const TextSegment> segments,
                                              const EncodeOptions& options) const override;

 private:
  absl::Status EncodeStretch(std::string_view text, absl::Span<const Authorship> authors,
                             std::vector<int32_t>& ids) const;

  const Parts parts_;
};

}  // namespace swiftlet
