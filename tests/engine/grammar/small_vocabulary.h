// A small vocabulary for grammars: every byte as a token, and tokens of several bytes that cross the borders of a
// grammar: quotes with commas, halves of characters, digits in a row.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/grammar/grammar_vocabulary.h"

namespace swiftlet::tests {

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

}  // namespace swiftlet::tests
