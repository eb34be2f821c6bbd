// Walks through a grammar over the small vocabulary.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/grammar/matcher.h"
#include "engine/grammar/token_grammar.h"
#include "tests/engine/grammar/small_vocabulary.h"

namespace swiftlet::tests {

inline bool IsAllowed(const std::vector<uint64_t>& mask, int32_t id) {
  return mask[id / 64] >> (id % 64) & 1;
}

// Takes `text` byte by byte, then the end.
inline bool AcceptsBytes(const std::shared_ptr<TokenGrammar>& grammar, std::string_view text) {
  Matcher matcher(grammar);
  for (const char c : text) {
    if (!matcher.Accept(static_cast<uint8_t>(c))) return false;
  }
  return matcher.CanEnd() && matcher.Accept(kEnd);
}

// Takes one allowed token after the other until the end. `choose` is given those that are allowed, and those of them
// that end a value or the text. Nothing where `max_tokens` were not enough; an error where there was no mask.
template <typename Choose>
absl::StatusOr<std::optional<std::string>> Walk(const std::shared_ptr<TokenGrammar>& grammar, int max_tokens,
                                                const Choose& choose) {
  const GrammarVocabulary& vocabulary = grammar->vocabulary();
  Matcher matcher(grammar);
  std::string text;
  for (int i = 0; i < max_tokens; ++i) {
    ASSIGN_OR_RETURN(const TokenGrammar::Mask mask, matcher.FindMask());
    std::vector<int32_t> allowed, closing;
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.width()); ++id) {
      if (!IsAllowed(*mask, id)) continue;
      allowed.push_back(id);
      const std::string_view token = vocabulary.token(id);
      if (id == kEnd || (!token.empty() && std::string_view("\"}]").find(token.back()) != std::string_view::npos)) {
        closing.push_back(id);
      }
    }
    CHECK(!allowed.empty()) << "no token may follow " << text;
    const int32_t id = choose(allowed, closing);
    CHECK(matcher.Accept(id)) << text << " then " << vocabulary.token(id);
    if (id == kEnd) return text;
    text += vocabulary.token(id);
  }
  return std::nullopt;
}

}  // namespace swiftlet::tests
