#include "services/model_worker/grammar_parser.h"

#include <absl/strings/str_cat.h>

#include <string>
#include <utility>

#include "engine/base/status_macros.h"
#include "services/common/errors.h"
#include "services/common/limits.h"

namespace swiftlet {
namespace {

absl::Status CheckBytes(const std::string& field, const std::string& text, size_t most) {
  if (text.size() <= most) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(field, " has ", text.size(), " bytes; at most ", most, " are allowed"));
}

template <typename Ids>
absl::Status CheckTag(const std::string& field, const std::string& tag, const Ids& ids, int32_t logits_width) {
  RETURN_IF_ERROR(CheckBytes(absl::StrCat("reasoning.", field, "_tag"), tag, limits::kMaxTagBytes));
  const std::string ids_field = absl::StrCat("reasoning.", field, "_ids");
  if (static_cast<size_t>(ids.size()) > limits::kMaxTagIds) {
    return InvalidField(ids_field, absl::StrCat(ids_field, " has ", ids.size(), " entries; at most ",
                                                limits::kMaxTagIds, " are allowed"));
  }
  for (const int32_t id : ids) {
    if (id >= 0 && id < logits_width) continue;
    return InvalidField(ids_field,
                        absl::StrCat(ids_field, " names token ", id, "; token ids are 0 to ", logits_width - 1));
  }
  return absl::OkStatus();
}

absl::StatusOr<ToolGrammar> ParseTools(const v1::ToolCallGrammar& from) {
  if (from.tools().empty() || static_cast<size_t>(from.tools_size()) > limits::kMaxTools) {
    return InvalidField(
        "tools", absl::StrCat("there are ", from.tools_size(), " tools; 1 to ", limits::kMaxTools, " are allowed"));
  }
  ToolGrammar tools;
  size_t bytes = 0;
  for (const v1::ToolCallGrammar::Tool& tool : from.tools()) {
    const std::string field = absl::StrCat("tools[", tools.tools.size(), "]");
    if (tool.name().empty()) return InvalidField(field, absl::StrCat(field, " has no name"));
    RETURN_IF_ERROR(CheckBytes(absl::StrCat(field, ".name"), tool.name(), limits::kMaxNameBytes));
    bytes += tool.schema().size();
    tools.tools.push_back({tool.name(), tool.schema()});
  }
  if (bytes > limits::kMaxGrammarBytes) {
    return InvalidField("tools", absl::StrCat("the tools' schemas have ", bytes, " bytes; at most ",
                                              limits::kMaxGrammarBytes, " are allowed"));
  }
  tools.is_required = from.required();
  tools.allows_several = from.several();
  tools.begin = from.begin();
  tools.end = from.end();
  tools.separator = from.separator();
  if (!from.name_key().empty()) tools.name_key = from.name_key();
  if (!from.arguments_key().empty()) tools.arguments_key = from.arguments_key();
  for (const std::string* text : {&tools.begin, &tools.end, &tools.separator, &tools.name_key, &tools.arguments_key}) {
    RETURN_IF_ERROR(CheckBytes("grammar.tool_calls", *text, limits::kMaxTagBytes));
  }
  return tools;
}

}  // namespace

absl::StatusOr<std::optional<GrammarSpec>> ParseGrammar(const v1::Submit& submit) {
  if (!submit.has_grammar()) return std::nullopt;
  const v1::OutputGrammar& from = submit.grammar();
  GrammarSpec spec;
  switch (from.form_case()) {
    case v1::OutputGrammar::kJsonObject:
      if (!from.json_object()) return InvalidField("grammar", "grammar.json_object is false");
      spec.kind = GrammarSpec::Kind::kJsonObject;
      break;
    case v1::OutputGrammar::kJsonSchema:
      RETURN_IF_ERROR(CheckBytes("grammar.json_schema", from.json_schema(), limits::kMaxGrammarBytes));
      spec.kind = GrammarSpec::Kind::kJsonSchema;
      spec.text = from.json_schema();
      break;
    case v1::OutputGrammar::kToolCalls: {
      ASSIGN_OR_RETURN(spec.tools, ParseTools(from.tool_calls()));
      spec.kind = GrammarSpec::Kind::kTools;
      break;
    }
    case v1::OutputGrammar::FORM_NOT_SET:
      return InvalidField("grammar", "grammar says no form that this worker knows");
  }
  if (!from.after_reasoning()) return spec;
  if (submit.reasoning().close_tag().empty()) {
    return InvalidField("reasoning.close_tag", "grammar.after_reasoning is set and reasoning.close_tag is empty");
  }
  spec.starts_after = submit.reasoning().close_tag();
  spec.opened_by = submit.reasoning().open_tag();
  return spec;
}

absl::StatusOr<std::optional<ReasoningBudget>> ParseReasoning(const v1::Submit& submit, int32_t logits_width) {
  if (!submit.has_reasoning()) return std::nullopt;
  const v1::Reasoning& from = submit.reasoning();
  RETURN_IF_ERROR(CheckTag("close", from.close_tag(), from.close_ids(), logits_width));
  RETURN_IF_ERROR(CheckTag("open", from.open_tag(), from.open_ids(), logits_width));
  if (!from.has_budget_tokens()) return std::nullopt;
  if (from.budget_tokens() < 0) {
    return InvalidField("reasoning.budget_tokens",
                        absl::StrCat("reasoning.budget_tokens is ", from.budget_tokens(), "; 0 or more is allowed"));
  }
  if (from.close_ids().empty()) {
    return InvalidField("reasoning.close_ids", "reasoning.budget_tokens is set and reasoning.close_ids is empty");
  }
  return ReasoningBudget{.tokens = from.budget_tokens(),
                         .close_ids = {from.close_ids().begin(), from.close_ids().end()},
                         .open_ids = {from.open_ids().begin(), from.open_ids().end()}};
}

}  // namespace swiftlet
