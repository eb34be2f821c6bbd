#include "services/gateway/openapi/parameter_schemas.h"

#include <limits>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>

#include "engine/base/check.h"
#include "engine/base/strict_json.h"
#include "services/common/limits.h"
#include "services/gateway/openapi/schema.h"
#include "services/gateway/request/field_bounds.h"
#include "services/gateway/request/reasoning_effort.h"
#include "services/gateway/request/validator.h"

namespace swiftlet {
namespace {

namespace json = boost::json;
using schema::AddEntries;
using schema::AddRange;
using schema::AddText;
using schema::OrNull;

json::object TokenIdList() {
  json::object id = {{"type", "integer"}};
  AddRange(ranges::kTokenId, id);
  return {{"type", "array"}, {"items", std::move(id)}, {"minItems", 1}};
}

// A text, a list of texts, a list of token ids, or a list of those.
json::object PromptSchema(const FieldBounds& bounds) {
  json::object text = {{"type", "string"}};
  AddText(bounds, text);
  const auto some = [](const json::object& one) {
    return json::object{{"type", "array"}, {"items", one}, {"minItems", 1}, {"maxItems", limits::kMaxChoices}};
  };
  return {{"anyOf", json::array{text, some(text), TokenIdList(), some(TokenIdList())}}};
}

json::object StreamOptionsSchema(bool strict) {
  const json::object flag = OrNull({{"type", "boolean"}});
  json::object made = {{"type", "object"},
                       {"properties", json::object{{"include_usage", flag},
                                                   {"continuous_usage_stats", flag},
                                                   {"include_obfuscation", json::object{}}}}};
  if (strict) made["additionalProperties"] = false;
  return made;
}

// An object with these members, of which `required` must be there.
json::object ObjectSchema(json::object properties, json::array required, bool strict) {
  json::object made = {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
  if (strict) made["additionalProperties"] = false;
  return made;
}

json::object EnumSchema(json::array values) {
  return {{"type", "string"}, {"enum", std::move(values)}};
}

// Of functions and schemas: output_form.cc reads them.
json::object NameSchema() {
  return {{"type", "string"}, {"minLength", 1}, {"maxLength", limits::kMaxNameBytes}, {"pattern", "^[A-Za-z0-9_.-]+$"}};
}

json::object ResponseFormatSchema(bool strict) {
  const json::object described = ObjectSchema({{"name", NameSchema()},
                                               {"description", OrNull({{"type", "string"}})},
                                               {"schema", json::object{{"type", "object"}}},
                                               {"strict", OrNull({{"type", "boolean"}})}},
                                              {"name", "schema"}, strict);
  return ObjectSchema(
      {{"type", EnumSchema({"text", "json_object", "json_schema"})}, {"json_schema", OrNull(described)}}, {"type"},
      strict);
}

json::object ToolsSchema(bool strict) {
  const json::object parameters = {{"type", "object"}, {"description", "a JSON Schema of an object"}};
  const json::object function = ObjectSchema({{"name", NameSchema()},
                                              {"description", OrNull({{"type", "string"}})},
                                              {"parameters", OrNull(parameters)},
                                              {"strict", OrNull({{"type", "boolean"}})}},
                                             {"name"}, strict);
  return {{"type", "array"},
          {"maxItems", limits::kMaxTools},
          {"items",
           ObjectSchema({{"type", EnumSchema({"function"})}, {"function", function}}, {"type", "function"}, strict)}};
}

json::object ToolChoiceSchema(bool strict) {
  const json::object function = ObjectSchema({{"name", json::object{{"type", "string"}}}}, {"name"}, strict);
  return {{"anyOf", json::array{EnumSchema({"none", "auto", "required"}),
                                ObjectSchema({{"type", EnumSchema({"function"})}, {"function", function}},
                                             {"type", "function"}, strict)}}};
}

json::object EffortSchema() {
  json::array names;
  for (const ReasoningEffort& effort : kReasoningEfforts) names.emplace_back(effort.name);
  return EnumSchema(std::move(names));
}

json::object SeedSchema() {
  return {{"type", "integer"},
          {"minimum", std::numeric_limits<int64_t>::min()},
          {"maximum", std::numeric_limits<uint64_t>::max()}};
}

json::object LogitBiasSchema(const FieldBounds& bounds) {
  json::object bias = {{"type", "number"}};
  AddRange(*bounds.range, bias);
  json::object made = {{"type", "object"},
                       {"additionalProperties", std::move(bias)},
                       {"propertyNames", json::object{{"pattern", "^(0|[1-9][0-9]*)$"}}}};
  AddEntries(bounds, made);
  return made;
}

// By kind and bounds alone.
json::object PlainSchema(const Parameter& parameter, const FieldBounds* bounds) {
  json::array any;
  const auto scalar = [&](std::string_view type) {
    json::object made = {{"type", type}};
    if (bounds != nullptr && type == "string") AddText(*bounds, made);
    if (bounds != nullptr && bounds->range.has_value() && (type == "integer" || type == "number")) {
      AddRange(*bounds->range, made);
    }
    return made;
  };
  if (parameter.kinds & kString) any.push_back(scalar("string"));
  if (parameter.kinds & kNumber) {
    any.push_back(scalar("number"));
  } else if (parameter.kinds & kInteger) {
    any.push_back(scalar("integer"));
  }
  if (parameter.kinds & kBoolean) any.push_back(scalar("boolean"));
  if (parameter.kinds & kArray) {
    json::object list = {{"type", "array"}};
    if (bounds != nullptr) {
      list["items"] = scalar(bounds->range.has_value() ? "integer" : "string");
      AddEntries(*bounds, list);
    }
    any.push_back(std::move(list));
  }
  if (parameter.kinds & kObject) any.push_back(json::object{{"type", "object"}});
  if (any.size() == 1) return std::move(any.front().get_object());
  return {{"anyOf", std::move(any)}};
}

json::object ServedSchema(const Parameter& parameter, bool strict) {
  const FieldBounds* bounds = BoundsOfParameter(parameter.name);
  if (parameter.name == "prompt") return PromptSchema(*bounds);
  if (parameter.name == "seed") return SeedSchema();
  if (parameter.name == "logit_bias") return LogitBiasSchema(*bounds);
  if (parameter.name == "reasoning_effort") return EffortSchema();
  if (parameter.name == "response_format") return ResponseFormatSchema(strict);
  if (parameter.name == "tools") return ToolsSchema(strict);
  if (parameter.name == "tool_choice") return ToolChoiceSchema(strict);
  if (parameter.name == "stream_options") return StreamOptionsSchema(strict);
  if (parameter.name == "messages") {
    json::object made = {{"type", "array"}, {"items", schema::Reference("ChatMessage")}};
    AddEntries(*bounds, made);
    return made;
  }
  return PlainSchema(parameter, bounds);
}

json::object SchemaOf(const Parameter& parameter, bool strict) {
  switch (parameter.handling) {
    case ParameterHandling::kNoEffect:
      return {{"description", "accepted; has no effect"}};
    case ParameterHandling::kNeutralOnly: {
      const auto neutral = ParseStrictJson(parameter.neutral);
      CHECK(neutral.ok()) << parameter.name;
      json::array values = {nullptr};
      for (const json::value& one : neutral->get_array()) values.push_back(one);
      return {{"description", "not served: accepted where it asks for nothing"}, {"enum", std::move(values)}};
    }
    case ParameterHandling::kServed:
      break;
  }
  json::object made = ServedSchema(parameter, strict);
  return parameter.required ? made : OrNull(std::move(made));
}

}  // namespace

json::object BodySchema(ParameterRoute route, bool strict) {
  json::object properties;
  json::array required;
  for (const Parameter& parameter : Parameters()) {
    if ((parameter.routes & route) == 0) continue;
    properties[parameter.name] = SchemaOf(parameter, strict);
    if (parameter.required) required.emplace_back(parameter.name);
  }
  json::object made = {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
  if (strict) made["additionalProperties"] = false;
  return made;
}

json::object TokenizeBodySchema(bool strict) {
  json::array any;
  for (const ParameterRoute route : {kChatRoute, kCompletionsRoute}) {
    json::object body = BodySchema(route, strict);
    body["properties"].as_object()["return_token_strs"] = OrNull({{"type", "boolean"}});
    any.push_back(std::move(body));
  }
  return {{"anyOf", std::move(any)}};
}

json::object DetokenizeBodySchema(bool strict) {
  json::object tokens = TokenIdList();
  tokens.erase("minItems");
  json::object model = {{"type", "string"}};
  AddText(*BoundsOfParameter("model"), model);
  return ObjectSchema({{"model", std::move(model)}, {"tokens", std::move(tokens)}}, {"model", "tokens"}, strict);
}

json::object ChatMessageSchema(bool strict) {
  json::array roles;
  for (const std::string_view role : MessageRoles()) roles.emplace_back(role);
  const json::object text = {{"type", "string"}};
  const json::object part = {{"type", "object"},
                             {"properties", json::object{{"type", json::object{{"const", "text"}}}, {"text", text}}},
                             {"required", json::array{"type", "text"}}};
  const json::object parts = {{"type", "array"}, {"items", part}};
  json::object name = text;
  AddText(*BoundsOfField("ChatMessage.name"), name);
  const json::object calls = {{"type", "array"}, {"items", json::object{{"type", "object"}}}};
  const json::object sent_back = {{"description", "of an earlier answer; has no effect"}};
  json::object made = {
      {"type", "object"},
      {"properties", json::object{{"role", json::object{{"type", "string"}, {"enum", std::move(roles)}}},
                                  {"content", OrNull({{"anyOf", json::array{text, parts}}})},
                                  {"reasoning_content", OrNull(text)},
                                  {"reasoning", OrNull(text)},
                                  {"name", OrNull(name)},
                                  {"tool_call_id", OrNull(text)},
                                  {"tool_calls", OrNull(calls)},
                                  {"function_call", json::object{{"type", "null"}}},
                                  {"audio", json::object{{"type", "null"}}},
                                  {"refusal", sent_back},
                                  {"annotations", sent_back}}},
      {"required", json::array{"role"}}};
  if (strict) made["additionalProperties"] = false;
  return made;
}

}  // namespace swiftlet
