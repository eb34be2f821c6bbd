#include "engine/grammar/compile_grammar.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <utility>

#include <boost/json/serialize.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/strict_json.h"
#include "engine/base/string_view.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/json_rules.h"
#include "engine/grammar/json_schema.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

constexpr size_t kMaxMarkerBytes = 256;

absl::Status ReadText(const json::object& object, const char* key, std::string& text) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_string()) return absl::InvalidArgumentError(absl::StrCat("tools: ", key, " must be a string"));
  text.assign(value->get_string().data(), value->get_string().size());
  if (text.size() > kMaxMarkerBytes) return absl::InvalidArgumentError(absl::StrCat("tools: ", key, " is too long"));
  return absl::OkStatus();
}

absl::Status ReadFlag(const json::object& object, const char* key, bool& flag) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_bool()) return absl::InvalidArgumentError(absl::StrCat("tools: ", key, " must be true or false"));
  flag = value->get_bool();
  return absl::OkStatus();
}

}  // namespace

std::string GrammarSpec::Key() const {
  return absl::StrCat(static_cast<int>(kind), " ", starts_after.size(), " ", starts_after, text);
}

absl::StatusOr<ToolGrammar> ParseToolGrammar(const std::string& text, const GrammarLimits& limits) {
  ASSIGN_OR_RETURN(const json::value root, ParseStrictJson(text, {.max_depth = limits.max_json_depth}));
  const json::object* object = root.if_object();
  const json::value* listed = object == nullptr ? nullptr : object->if_contains("tools");
  if (listed == nullptr || !listed->is_array()) return absl::InvalidArgumentError("tools: must be a list");
  ToolGrammar spec;
  for (const json::value& item : listed->get_array()) {
    const json::object* tool = item.if_object();
    if (tool == nullptr || !tool->contains("name")) return absl::InvalidArgumentError("tools: each has a name");
    Tool& one = spec.tools.emplace_back();
    RETURN_IF_ERROR(ReadText(*tool, "name", one.name));
    if (const json::value* schema = tool->if_contains("schema"); schema != nullptr)
      one.schema = json::serialize(*schema);
  }
  RETURN_IF_ERROR(ReadFlag(*object, "required", spec.is_required));
  RETURN_IF_ERROR(ReadFlag(*object, "several", spec.allows_several));
  RETURN_IF_ERROR(ReadText(*object, "begin", spec.begin));
  RETURN_IF_ERROR(ReadText(*object, "end", spec.end));
  RETURN_IF_ERROR(ReadText(*object, "separator", spec.separator));
  RETURN_IF_ERROR(ReadText(*object, "name_key", spec.name_key));
  RETURN_IF_ERROR(ReadText(*object, "arguments_key", spec.arguments_key));
  return spec;
}

absl::StatusOr<std::shared_ptr<const Grammar>> CompileGrammar(const GrammarSpec& spec, const GrammarLimits& limits) {
  if (spec.text.size() > limits.max_text_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the grammar's text has ", spec.text.size(), " bytes, over ", limits.max_text_bytes));
  }
  if (spec.starts_after.size() > kMaxMarkerBytes) return absl::InvalidArgumentError("the marker is too long");
  GrammarBuilder builder(limits);
  JsonRules rules(builder);
  const GrammarBuilder::Rule root = builder.AddRule("#");
  GrammarBuilder::Node start = Grammar::kDeadNode;
  switch (spec.kind) {
    case GrammarSpec::Kind::kJsonObject:
      start = rules.Object(Grammar::kReturnNode);
      break;
    case GrammarSpec::Kind::kJsonSchema: {
      ASSIGN_OR_RETURN(start, SchemaDocument(spec.text, "#", limits, rules, Grammar::kReturnNode));
      break;
    }
    case GrammarSpec::Kind::kTools: {
      ASSIGN_OR_RETURN(const ToolGrammar tools, ParseToolGrammar(spec.text, limits));
      ASSIGN_OR_RETURN(start, ToolCalls(tools, limits, rules, Grammar::kReturnNode));
      break;
    }
  }
  if (!spec.starts_after.empty()) {
    const GrammarBuilder::Node line = builder.Optional(builder.Byte('\n', start), start);
    start =
        TextUntil(builder, spec.starts_after, builder.Optional(builder.Byte('\n', line), start), Grammar::kDeadNode);
  }
  builder.DefineRule(root, start);
  return std::move(builder).Finish();
}

}  // namespace swiftlet
