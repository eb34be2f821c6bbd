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
#include <utility>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "engine/base/strict_json.h"
#include "engine/grammar/compile_grammar.h"
#include "engine/grammar/matcher.h"
#include "engine/grammar/token_grammar.h"
#include "engine/grammar/grammar_vocabulary.h"

namespace swiftlet::testing {

inline constexpr int32_t kEnd = 256;  // the end of sequence; byte b is token b

inline std::shared_ptr<const GrammarVocabulary> SmallVocabulary() {
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
  return *GrammarVocabulary::Create(std::move(tokens), width, {kEnd});
}

inline std::shared_ptr<TokenGrammar> Compile(const GrammarSpec& spec, std::shared_ptr<const GrammarVocabulary> vocabulary,
                                             const GrammarLimits& limits = {}) {
  absl::StatusOr<std::shared_ptr<const Grammar>> grammar = CompileGrammar(spec, limits);
  EXPECT_TRUE(grammar.ok()) << grammar.status() << " " << spec.text;
  return grammar.ok() ? std::make_shared<TokenGrammar>(*grammar, std::move(vocabulary), limits) : nullptr;
}

// Tools as text: {"tools": [{"name", "schema"}], "required", "several", "begin", "end", "separator", "name_key",
// "arguments_key"}; only "tools" and its names have to be there. Nothing where it is something else.
inline std::optional<GrammarSpec> ToolSpec(const std::string& text, const std::string& starts_after = "") {
  const auto root = ParseStrictJson(text, {.max_depth = GrammarLimits().max_json_depth});
  const boost::json::object* object = root.ok() ? root->if_object() : nullptr;
  const boost::json::value* listed = object == nullptr ? nullptr : object->if_contains("tools");
  if (listed == nullptr || !listed->is_array()) return std::nullopt;
  GrammarSpec spec{.kind = GrammarSpec::Kind::kTools, .text = "", .starts_after = starts_after};
  const auto read_text = [](const boost::json::object& from, const char* key, std::string& to) {
    const boost::json::value* value = from.if_contains(key);
    if (value != nullptr && value->is_string())
      to = std::string(value->get_string().data(), value->get_string().size());
    return value == nullptr || value->is_string();
  };
  for (const boost::json::value& item : listed->get_array()) {
    Tool& tool = spec.tools.tools.emplace_back();
    if (!item.is_object() || !read_text(item.get_object(), "name", tool.name)) return std::nullopt;
    const boost::json::value* schema = item.get_object().if_contains("schema");
    if (schema != nullptr) tool.schema = boost::json::serialize(*schema);
  }
  for (const auto& [key, flag] :
       {std::pair("required", &spec.tools.is_required), std::pair("several", &spec.tools.allows_several)}) {
    const boost::json::value* value = object->if_contains(key);
    if (value != nullptr && value->is_bool()) *flag = value->get_bool();
  }
  for (const auto& [key, part] :
       {std::pair("begin", &spec.tools.begin), std::pair("end", &spec.tools.end),
        std::pair("separator", &spec.tools.separator), std::pair("name_key", &spec.tools.name_key),
        std::pair("arguments_key", &spec.tools.arguments_key)}) {
    if (!read_text(*object, key, *part)) return std::nullopt;
  }
  return spec;
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
  const GrammarVocabulary& vocabulary = grammar->vocabulary();
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
