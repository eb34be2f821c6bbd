// A walk through a fuzzed grammar over the small vocabulary, steered by bytes of the input, and the judge of what comes
// out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/check.h"
#include "engine/grammar/token_grammar.h"
#include "tests/engine/grammar/random_schemas.h"
#include "tests/engine/grammar/walk.h"

namespace swiftlet::fuzz {

inline const std::shared_ptr<const GrammarVocabulary>& Vocabulary() {
  static const std::shared_ptr<const GrammarVocabulary> vocabulary = tests::SmallVocabulary();
  return vocabulary;
}

// A byte a token, then as soon as may be to the end. What was written; nothing where the end was too far.
inline std::optional<std::string> WalkThrough(const std::shared_ptr<TokenGrammar>& grammar, std::string_view choices) {
  constexpr size_t kMaxChoices = 64;
  constexpr int kMaxTokens = 160;
  choices = choices.substr(0, kMaxChoices);
  const auto text = tests::Walk(grammar, kMaxTokens, [&](const auto& allowed, const auto& closing) {
    if (choices.empty()) return closing.empty() ? allowed.front() : closing.back();
    const auto choice = static_cast<uint8_t>(choices.front());
    choices.remove_prefix(1);
    return allowed[choice % allowed.size()];
  });
  // With every byte a token, whatever a grammar allows goes on to its end.
  CHECK(text.ok() || text.status().code() == absl::StatusCode::kInvalidArgument) << text.status();
  return text.ok() ? *text : std::nullopt;
}

// A document is JSON; it fits its schema where the judge, who reads numbers as doubles, understands all of that.
inline void CheckFits(const std::string& document, const std::string& schema) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(document, error);
  CHECK(!error) << document;
  const boost::json::value rules = boost::json::parse(schema, error);
  CHECK(!error) << schema;
  const std::string text = boost::json::serialize(rules);
  for (const char* keyword : {"\"pattern\"", "\"format\"", "\"exclusiveM"}) {
    if (text.find(keyword) != std::string::npos) return;
  }
  CHECK(tests::Fits(value, rules, rules)) << document << " for " << text;
}

}  // namespace swiftlet::fuzz
