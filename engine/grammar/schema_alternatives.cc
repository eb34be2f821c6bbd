#include "engine/grammar/schema_alternatives.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>

#include "engine/grammar/schema_keywords.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

// All types where nothing says less: a schema of references and alternatives is not looked into.
uint32_t KnownTypes(const json::object& schema) {
  if (schema.contains("type")) return TypesOf(schema, "").value_or(kAllTypes);
  for (const char* keyword : {"$ref", "anyOf", "oneOf", "allOf"}) {
    if (schema.contains(keyword)) return kAllTypes;
  }
  if (!schema.contains("const") && !schema.contains("enum")) return TypesOf(schema, "").value_or(kAllTypes);
  const auto values = ListedValues(schema, "");
  if (!values.ok()) return kAllTypes;
  uint32_t types = 0;
  for (const json::value* value : *values) types |= TypeOfValue(*value);
  return types;
}

bool Requires(const json::object& schema, json::string_view name) {
  const json::value* required = schema.if_contains("required");
  const json::value* properties = schema.if_contains("properties");
  if (required == nullptr || !required->is_array() || properties == nullptr || !properties->is_object()) return false;
  const json::array& names = required->get_array();
  return properties->get_object().contains(name) &&
         std::find(names.begin(), names.end(), json::value(name)) != names.end();
}

}  // namespace

absl::StatusOr<std::vector<const json::value*>> ListedValues(const json::object& schema, const std::string& path) {
  if (const json::value* value = schema.if_contains("const"); value != nullptr) return std::vector{value};
  const json::array* list = schema.at("enum").if_array();
  if (list == nullptr || list->empty()) {
    return SchemaError(SchemaPath(path, "enum"), "must be a list of values, not an empty one");
  }
  std::vector<const json::value*> values;
  for (const json::value& value : *list) values.push_back(&value);
  return values;
}

bool HaveDisjointValues(const json::object& one, const json::object& other) {
  if ((KnownTypes(one) & KnownTypes(other)) == 0) return true;
  const auto lists = [](const json::object& schema) { return schema.contains("const") || schema.contains("enum"); };
  if (!lists(one) || !lists(other)) return false;
  const auto left = ListedValues(one, "");
  const auto right = ListedValues(other, "");
  if (!left.ok() || !right.ok()) return false;
  absl::flat_hash_set<std::string> texts;
  for (const json::value* value : *left) {
    if (!value->is_string()) return false;  // equal numbers can be written in several ways
    texts.insert(CanonicalJson(*value));
  }
  return std::none_of(right->begin(), right->end(), [&](const json::value* value) {
    return !value->is_string() || texts.contains(CanonicalJson(*value));
  });
}

absl::StatusOr<std::vector<std::string>> CommonRequired(const json::object& one, const json::object& other) {
  if (KnownTypes(one) != kObjectType || KnownTypes(other) != kObjectType) {
    return absl::InvalidArgumentError("not of objects alone");
  }
  std::vector<std::string> names;
  if (const json::value* properties = one.if_contains("properties"); properties != nullptr && properties->is_object()) {
    for (const auto& member : properties->get_object()) {
      if (Requires(one, member.key()) && Requires(other, member.key())) names.emplace_back(member.key());
    }
  }
  return names;
}

}  // namespace swiftlet
