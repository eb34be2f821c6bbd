#include "engine/grammar/compile_grammar.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/json_rules.h"
#include "engine/grammar/json_schema.h"
#include "engine/grammar/grammar_vocabulary.h"

namespace swiftlet {
namespace {

using Node = GrammarBuilder::Node;

constexpr size_t kMaxTagBytes = 256;

// A tag around reasoning: its text, or the special token that spells it (kSpecialTag).
Node Tag(GrammarBuilder& builder, const std::string& tag, Node next) {
  const Node literal = builder.Literal(tag, next);
  return builder.Split({literal, builder.Byte(GrammarVocabulary::kSpecialTag, literal)});
}

}  // namespace

std::string GrammarSpec::Key() const {
  std::string key = absl::StrCat(static_cast<int>(kind), " ", tools.is_required, tools.allows_several);
  const auto add = [&key](const std::string& part) { absl::StrAppend(&key, " ", part.size(), " ", part); };
  for (const std::string* part : {&text, &starts_after, &opened_by, &tools.begin, &tools.end, &tools.separator,
                                  &tools.name_key, &tools.arguments_key}) {
    add(*part);
  }
  for (const Tool& tool : tools.tools) {
    add(tool.name);
    add(tool.schema);
  }
  return key;
}

absl::StatusOr<std::shared_ptr<const Grammar>> CompileGrammar(const GrammarSpec& spec, const GrammarLimits& limits) {
  size_t bytes = spec.text.size();
  for (const Tool& tool : spec.tools.tools) bytes += tool.name.size() + tool.schema.size();
  if (bytes > limits.max_text_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the grammar's text has ", bytes, " bytes, over ", limits.max_text_bytes));
  }
  const ToolGrammar& tools = spec.tools;
  for (const std::string* tag : {&spec.starts_after, &spec.opened_by, &tools.begin, &tools.end, &tools.separator,
                                 &tools.name_key, &tools.arguments_key}) {
    if (tag->size() > kMaxTagBytes)
      return absl::InvalidArgumentError(absl::StrCat("a tag has ", tag->size(), " bytes"));
  }
  GrammarBuilder builder(limits);
  JsonRules rules(builder);
  const GrammarBuilder::Rule root = builder.AddRule("#");
  Node start = Grammar::kDeadNode;
  switch (spec.kind) {
    case GrammarSpec::Kind::kJsonObject:
      start = rules.Object(Grammar::kReturnNode);
      break;
    case GrammarSpec::Kind::kJsonSchema: {
      ASSIGN_OR_RETURN(start, SchemaDocument(spec.text, "#", limits, rules, Grammar::kReturnNode));
      break;
    }
    case GrammarSpec::Kind::kTools: {
      ASSIGN_OR_RETURN(start, ToolCalls(spec.tools, limits, rules, Grammar::kReturnNode));
      break;
    }
  }
  if (!spec.starts_after.empty()) {
    const Node line = builder.Optional(builder.Byte('\n', start), start);
    const Node answer = builder.Optional(builder.Byte('\n', line), start);
    const Node reasoning =
        TextUntil(builder, spec.starts_after, answer, Grammar::kDeadNode, builder.Literal(spec.starts_after, answer));
    start = spec.opened_by.empty() ? reasoning : builder.Split({Tag(builder, spec.opened_by, reasoning), start});
  }
  builder.DefineRule(root, start);
  return std::move(builder).Finish();
}

}  // namespace swiftlet
