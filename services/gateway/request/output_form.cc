#include "services/gateway/request/output_form.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"
#include "services/common/limits.h"

namespace swiftlet {
namespace {

namespace json = boost::json;
using members::Find;

absl::Status Expected(const std::string& field, std::string_view what) {
  return InvalidField(field, absl::StrCat("`", field, "` must be ", ToAbsl(what)));
}

absl::StatusOr<std::string> StringMember(const json::object& object, std::string_view name, const std::string& field) {
  const json::value* value = Find(object, name);
  const std::string member = absl::StrCat(field, ".", ToAbsl(name));
  if (value == nullptr) return InvalidField(member, absl::StrCat("`", member, "` is missing"));
  if (!value->is_string()) return Expected(member, "a string");
  return std::string(value->get_string().data(), value->get_string().size());
}

absl::StatusOr<const json::object*> ObjectMember(const json::object& object, std::string_view name,
                                                 const std::string& field) {
  const json::value* value = Find(object, name);
  const std::string member = absl::StrCat(field, ".", ToAbsl(name));
  if (value == nullptr) return InvalidField(member, absl::StrCat("`", member, "` is missing"));
  if (!value->is_object()) return Expected(member, "an object");
  return &value->get_object();
}

absl::Status CheckMembers(const json::object& object, std::initializer_list<std::string_view> known,
                          const std::string& field, const UnknownName& on_unknown) {
  for (const auto& member : object) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    RETURN_IF_ERROR(on_unknown(absl::StrCat(field, ".", ToAbsl(name))));
  }
  return absl::OkStatus();
}

// `description` and `strict`: every schema is held to, so that the latter changes nothing.
absl::Status CheckRemarks(const json::object& object, const std::string& field) {
  if (const json::value* text = Find(object, "description"); text != nullptr && !text->is_string()) {
    return Expected(field + ".description", "a string");
  }
  if (const json::value* strict = Find(object, "strict"); strict != nullptr && !strict->is_bool()) {
    return Expected(field + ".strict", "true or false");
  }
  return absl::OkStatus();
}

// As OpenAI's names of functions and schemas, and with dots, which other software puts between parts.
bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= limits::kMaxNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

absl::StatusOr<std::string> NameMember(const json::object& object, const std::string& field) {
  ASSIGN_OR_RETURN(std::string name, StringMember(object, "name", field));
  if (IsName(name)) return name;
  return Expected(field + ".name", "1 to 64 letters, digits, `_`, `-` or `.`");
}

absl::StatusOr<OutputForm::Tool> ParseTool(const json::value& value, const std::string& field,
                                           const UnknownName& on_unknown) {
  if (!value.is_object()) return Expected(field, "an object");
  const json::object& tool = value.get_object();
  RETURN_IF_ERROR(CheckMembers(tool, {"type", "function"}, field, on_unknown));
  ASSIGN_OR_RETURN(const std::string type, StringMember(tool, "type", field));
  if (type != "function") return Expected(field + ".type", "\"function\": this server calls no other kind of tool");
  ASSIGN_OR_RETURN(const json::object* function, ObjectMember(tool, "function", field));
  const std::string in = field + ".function";
  RETURN_IF_ERROR(CheckMembers(*function, {"name", "description", "parameters", "strict"}, in, on_unknown));
  RETURN_IF_ERROR(CheckRemarks(*function, in));
  OutputForm::Tool parsed;
  ASSIGN_OR_RETURN(parsed.name, NameMember(*function, in));
  const json::value* parameters = Find(*function, "parameters");
  if (parameters == nullptr) return parsed;
  if (!parameters->is_object()) return Expected(in + ".parameters", "an object: a JSON Schema");
  const json::value* kind = Find(parameters->get_object(), "type");
  if (kind != nullptr && *kind != "object") return Expected(in + ".parameters.type", "\"object\"");
  if (!parameters->get_object().empty()) parsed.schema = json::serialize(*parameters);  // keeps the order of keys
  return parsed;
}

absl::Status ReadChoice(const json::value& value, const UnknownName& on_unknown, ToolUse& use) {
  using enum ToolUse::Choice;
  if (value.is_string()) {
    const json::string& choice = value.get_string();
    if (choice == "none") {
      use.choice = kNone;
    } else if (choice == "auto") {
      use.choice = kAuto;
    } else if (choice == "required") {
      use.choice = kRequired;
    } else {
      return Expected("tool_choice", "\"none\", \"auto\", \"required\" or an object that names a function");
    }
    return absl::OkStatus();
  }
  const json::object& named = value.get_object();
  RETURN_IF_ERROR(CheckMembers(named, {"type", "function"}, "tool_choice", on_unknown));
  ASSIGN_OR_RETURN(const std::string type, StringMember(named, "type", "tool_choice"));
  if (type != "function") return Expected("tool_choice.type", "\"function\"");
  ASSIGN_OR_RETURN(const json::object* function, ObjectMember(named, "function", "tool_choice"));
  RETURN_IF_ERROR(CheckMembers(*function, {"name"}, "tool_choice.function", on_unknown));
  use.choice = kNamed;
  ASSIGN_OR_RETURN(use.name, StringMember(*function, "name", "tool_choice.function"));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ToolUse> ParseTools(const json::value& list, const UnknownName& on_unknown) {
  if (!list.is_array()) return Expected("tools", "a list");
  const json::array& tools = list.get_array();
  if (tools.size() > limits::kMaxTools) {
    return InvalidField("tools", absl::StrCat("more than ", limits::kMaxTools, " tools"));
  }
  ToolUse use;
  size_t num_bytes = 0;
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string field = absl::StrCat("tools[", i, "]");
    ASSIGN_OR_RETURN(OutputForm::Tool tool, ParseTool(tools[i], field, on_unknown));
    const bool again =
        std::any_of(use.tools.begin(), use.tools.end(), [&](const auto& other) { return other.name == tool.name; });
    if (again) {
      return InvalidField(field + ".function.name", absl::StrCat("two tools have the name `", tool.name, "`"));
    }
    num_bytes += tool.name.size() + tool.schema.size();
    use.tools.push_back(std::move(tool));
  }
  if (num_bytes > limits::kMaxGrammarBytes) {
    return InvalidField("tools", absl::StrCat("the tools are longer than ", limits::kMaxGrammarBytes, " bytes"));
  }
  if (!tools.empty()) use.prompt = json::serialize(list);
  return use;
}

absl::Status UseTools(ToolUse use, ChatInput& chat, OutputForm& form) {
  using enum ToolUse::Choice;
  if (use.tools.empty()) {
    if (use.choice != kRequired && use.choice != kNamed) return absl::OkStatus();
    return InvalidField("tool_choice", "`tool_choice` asks for a call, and there are no `tools`");
  }
  if (use.choice == kNone) return absl::OkStatus();
  if (use.choice == kNamed) {
    const auto named =
        std::find_if(use.tools.begin(), use.tools.end(), [&](const auto& t) { return t.name == use.name; });
    if (named == use.tools.end()) return InvalidField(use.name_field, "no tool has this name");
    use.tools = {OutputForm::Tool(*named)};
  }
  if (form.kind != OutputForm::kAny) {
    return InvalidField("response_format", "`response_format` does not go with tools that may be called");
  }
  chat.tools = std::move(use.prompt);
  form.kind = OutputForm::kToolCalls;
  form.tools = std::move(use.tools);
  form.calls_required = use.choice == kRequired || use.choice == kNamed;
  form.several_calls = use.several && use.choice != kNamed;
  form.field = "tools";
  return absl::OkStatus();
}

absl::StatusOr<OutputForm> JsonSchemaForm(const json::value& schema, std::string_view field) {
  const std::string name(field);
  if (!schema.is_object()) return Expected(name, "an object: a JSON Schema");
  OutputForm form;
  form.kind = OutputForm::kJsonSchema;
  form.json_schema = json::serialize(schema);  // keeps the order of keys: members are written in it
  form.field = field;
  if (form.json_schema.size() > limits::kMaxGrammarBytes) {
    return InvalidField(name, absl::StrCat("the schema is longer than ", limits::kMaxGrammarBytes, " bytes"));
  }
  return form;
}

absl::StatusOr<OutputForm> ParseResponseFormat(const json::object& format, const UnknownName& on_unknown) {
  RETURN_IF_ERROR(CheckMembers(format, {"type", "json_schema"}, "response_format", on_unknown));
  ASSIGN_OR_RETURN(const std::string type, StringMember(format, "type", "response_format"));
  OutputForm form;
  form.field = "response_format";
  if (type == "json_schema") {
    const std::string field = "response_format.json_schema";
    ASSIGN_OR_RETURN(const json::object* described, ObjectMember(format, "json_schema", "response_format"));
    RETURN_IF_ERROR(CheckMembers(*described, {"name", "description", "schema", "strict"}, field, on_unknown));
    RETURN_IF_ERROR(CheckRemarks(*described, field));
    RETURN_IF_ERROR(NameMember(*described, field).status());
    const json::value* schema = Find(*described, "schema");
    if (schema == nullptr) return InvalidField(field + ".schema", absl::StrCat("`", field, ".schema` is missing"));
    return JsonSchemaForm(*schema, "response_format.json_schema.schema");
  }
  if (Find(format, "json_schema") != nullptr) {
    return InvalidField("response_format.json_schema", "`response_format.json_schema` needs the type \"json_schema\"");
  }
  if (type == "json_object") {
    form.kind = OutputForm::kJsonObject;
  } else if (type != "text") {
    return Expected("response_format.type", "\"text\", \"json_object\" or \"json_schema\"");
  }
  return form;
}

absl::Status ReadToolUse(const json::object& body, const UnknownName& on_unknown, ChatInput& chat, OutputForm& form) {
  ToolUse use;
  if (const json::value* tools = Find(body, "tools")) {
    ASSIGN_OR_RETURN(use, ParseTools(*tools, on_unknown));
  }
  if (const json::value* choice = Find(body, "tool_choice")) RETURN_IF_ERROR(ReadChoice(*choice, on_unknown, use));
  if (const json::value* several = Find(body, "parallel_tool_calls")) use.several = several->get_bool();
  return UseTools(std::move(use), chat, form);
}

}  // namespace swiftlet
