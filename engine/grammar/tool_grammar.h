// Text with calls of tools in it.
//
//   Hermes, Qwen: begin "<tool_call>\n", end "\n</tool_call>", separator "\n", arguments key "arguments"
//   Llama 3:      begin "", end "", one call, arguments key "parameters"
//
// A call is {"name": "...", "arguments": ...}, in that order, with the white space of all JSON here.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/json_rules.h"

namespace swiftlet {

struct Tool {
  std::string name;
  std::string schema;  // of its arguments; empty: any object
};

struct ToolGrammar {
  std::vector<Tool> tools;  // those that may be called: for a named choice that one
  // Not required (tool_choice auto): text, then calls or none. The text ends where the tag of
  // `begin` (white space at its end left off) stands in it, and a call follows; where begin is
  // empty, a text that opens with a brace (behind white space or not) is a call and any other is none. Required: one
  // call or more, and no text.
  bool is_required = false;
  bool allows_several = true;
  std::string begin, end, separator;  // around a call, between two
  std::string name_key = "name";
  std::string arguments_key = "arguments";
};

absl::StatusOr<GrammarBuilder::Node> ToolCalls(const ToolGrammar& spec, const GrammarLimits& limits, JsonRules& rules,
                                               GrammarBuilder::Node next);

// Any bytes up to and with the first place where `marker` stands, then `found`; the text may also stop before, at
// `stopped`. `marker` is not empty. `special`: where GrammarVocabulary::kSpecialTag leads; without it that is any byte.
GrammarBuilder::Node TextUntil(GrammarBuilder& builder, const std::string& marker, GrammarBuilder::Node found,
                               GrammarBuilder::Node stopped,
                               std::optional<GrammarBuilder::Node> special = std::nullopt);

}  // namespace swiftlet
