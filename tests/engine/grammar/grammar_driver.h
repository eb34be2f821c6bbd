// What the tests of the grammar do with it, over a small vocabulary.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/grammar/compile_grammar.h"
#include "engine/grammar/matcher.h"
#include "engine/grammar/token_grammar.h"
#include "tests/engine/grammar/small_vocabulary.h"
#include "tests/engine/grammar/tool_spec.h"
#include "tests/engine/grammar/walk.h"

namespace swiftlet::tests {

inline std::shared_ptr<TokenGrammar> Compile(const GrammarSpec& spec,
                                             std::shared_ptr<const GrammarVocabulary> vocabulary,
                                             const GrammarLimits& limits = {}) {
  absl::StatusOr<std::shared_ptr<const Grammar>> grammar = CompileGrammar(spec, limits);
  EXPECT_TRUE(grammar.ok()) << grammar.status() << " " << spec.text;
  return grammar.ok() ? std::make_shared<TokenGrammar>(*grammar, std::move(vocabulary), limits) : nullptr;
}

// Takes `text` cut into tokens at random; every token must also be allowed by the mask of its place.
inline bool AcceptsCut(const std::shared_ptr<TokenGrammar>& grammar, std::string_view text, std::mt19937& random) {
  const GrammarVocabulary& vocabulary = grammar->vocabulary();
  Matcher matcher(grammar);
  std::vector<uint64_t> mask(vocabulary.mask_words());
  while (!text.empty()) {
    std::vector<int32_t> fitting;
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.width()); ++id) {
      const std::string_view token = vocabulary.token(id);
      if (!token.empty() && text.substr(0, token.size()) == token) fitting.push_back(id);
    }
    const int32_t id = fitting[random() % fitting.size()];
    if (!matcher.FillMask(mask) || !IsAllowed(mask, id) || !matcher.Accept(id)) return false;
    text.remove_prefix(vocabulary.token(id).size());
  }
  return matcher.FillMask(mask) && IsAllowed(mask, kEnd) && matcher.Accept(kEnd);
}

// Chooses among the allowed tokens until the end; nullopt when `max_tokens` were not enough.
inline std::optional<std::string> RandomDocument(const std::shared_ptr<TokenGrammar>& grammar, std::mt19937& random,
                                                 int max_tokens) {
  int eagerness = 20;  // to close, in percent
  const auto document = Walk(grammar, max_tokens, [&](const auto& allowed, const auto& closing) {
    const bool closes = !closing.empty() && static_cast<int>(random() % 100) < eagerness;
    ++eagerness;
    return closes ? closing[random() % closing.size()] : allowed[random() % allowed.size()];
  });
  EXPECT_TRUE(document.ok()) << document.status();
  return document.ok() ? *document : std::nullopt;
}

}  // namespace swiftlet::tests
