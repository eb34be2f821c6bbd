// A small vocabulary and what the tests of the grammar do with it. The vocabulary has every byte as a token, and tokens
// of several bytes that cross the borders of a grammar: quotes with commas, halves of characters, digits in a row.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar/compile_grammar.h"
#include "engine/grammar/matcher.h"
#include "engine/grammar/token_grammar.h"
#include "engine/grammar/vocabulary.h"

namespace swiftlet::testing {

inline constexpr int32_t kEnd = 256;  // the end of sequence; byte b is token b

inline std::shared_ptr<const Vocabulary> SmallVocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  tokens.push_back("<end>");
  tokens.push_back("");  // a control token
  for (const char* token : {"{\"",
                            "\":",
                            "\": ",
                            "\": \"",
                            "\",",
                            "\", \"",
                            "\"}",
                            "\"]",
                            "},",
                            "},{",
                            "}]",
                            "]}",
                            "[[",
                            "[]",
                            "{}",
                            "[{\"",
                            "true",
                            "false",
                            "null",
                            "tr",
                            "ue",
                            "12",
                            "00",
                            "123456",
                            "0.",
                            ".5",
                            "1e",
                            "-1",
                            "e-",
                            "\n  ",
                            "\n    ",
                            "  ",
                            ", ",
                            ": ",
                            "name",
                            "na",
                            "a\"",
                            "ab",
                            "abc",
                            "aa",
                            "aaaa",
                            "\\u",
                            "\\n",
                            "\\\"",
                            "\\ud83d",
                            "\xC3\xA9",
                            "\xF0\x9F",
                            "\x98\x80",
                            "\xF0\x9F\x98\x80",
                            "\xE2\x82",
                            "\xAC\"",
                            "\"a\":",
                            "\"b\":",
                            "<tool",
                            "_call>",
                            "<tool_call>\n",
                            "\n</tool_call>",
                            "aa",
                            "\",\"",
                            "1,",
                            "2,3",
                            "],["}) {
    tokens.push_back(token);
  }
  const size_t width = tokens.size() + 7;
  return *Vocabulary::Create(std::move(tokens), width, {kEnd});
}

inline std::shared_ptr<TokenGrammar> Compile(const GrammarSpec& spec, std::shared_ptr<const Vocabulary> vocabulary,
                                             const GrammarLimits& limits = {}) {
  absl::StatusOr<std::shared_ptr<const Grammar>> grammar = CompileGrammar(spec, limits);
  EXPECT_TRUE(grammar.ok()) << grammar.status() << " " << spec.text;
  return grammar.ok() ? std::make_shared<TokenGrammar>(*grammar, std::move(vocabulary), limits) : nullptr;
}

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

// Takes `text` cut into tokens at random; every token must also be allowed by the mask of its place.
inline bool AcceptsCut(const std::shared_ptr<TokenGrammar>& grammar, std::string_view text, std::mt19937& random) {
  const Vocabulary& vocabulary = grammar->vocabulary();
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
  const Vocabulary& vocabulary = grammar->vocabulary();
  Matcher matcher(grammar);
  std::vector<uint64_t> mask(vocabulary.mask_words());
  std::string text;
  for (int i = 0; i < max_tokens; ++i) {
    EXPECT_TRUE(matcher.FillMask(mask)) << "no token may follow " << text;
    std::vector<int32_t> allowed, closing;
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.width()); ++id) {
      if (!IsAllowed(mask, id)) continue;
      allowed.push_back(id);
      const std::string_view token = vocabulary.token(id);
      if (id == kEnd || (!token.empty() && (token.back() == '"' || token.back() == '}' || token.back() == ']'))) {
        closing.push_back(id);
      }
    }
    if (allowed.empty()) return std::nullopt;
    const bool closes = !closing.empty() && static_cast<int>(random() % 100) < 20 + i;
    const std::vector<int32_t>& choice = closes ? closing : allowed;
    const int32_t id = choice[random() % choice.size()];
    EXPECT_TRUE(matcher.Accept(id)) << text << " then " << vocabulary.token(id);
    if (id == kEnd) return text;
    text += vocabulary.token(id);
  }
  return std::nullopt;
}

}  // namespace swiftlet::testing
