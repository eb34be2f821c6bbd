#include "services/gateway/openapi/schema.h"

#include <absl/strings/str_cat.h>

#include <cmath>
#include <utility>

#include "engine/base/string_view.h"

namespace swiftlet::schema {

namespace json = boost::json;

json::object Reference(std::string_view name) {
  return {{"$ref", absl::StrCat("#/components/schemas/", ToAbsl(name))}};
}

json::object OrNull(json::object schema) {
  if (json::value* type = schema.if_contains("type")) {
    if (type->is_string()) *type = json::array{*type};
    type->as_array().emplace_back("null");
    if (json::value* values = schema.if_contains("enum")) values->as_array().emplace_back(nullptr);
    return schema;
  }
  if (json::value* any = schema.if_contains("anyOf")) {
    any->as_array().emplace_back(json::object{{"type", "null"}});
    return schema;
  }
  if (schema.empty()) return schema;  // anything
  return {{"anyOf", json::array{std::move(schema), json::object{{"type", "null"}}}}};
}

json::value Number(double value) {
  constexpr double kExact = 9007199254740992;  // 2^53
  if (std::trunc(value) == value && std::abs(value) <= kExact) return static_cast<int64_t>(value);
  return value;
}

void AddRange(const Range& range, json::object& schema) {
  schema[range.above_lowest ? "exclusiveMinimum" : "minimum"] = Number(range.lowest);
  schema["maximum"] = Number(range.highest);
}

void AddText(const FieldBounds& bounds, json::object& schema) {
  if (bounds.min_bytes > 0) schema["minLength"] = bounds.min_bytes;
  if (bounds.max_bytes > 0) {
    // JSON Schema counts characters: what is longer in them is longer in bytes.
    schema["maxLength"] = bounds.max_bytes;
    schema["description"] = absl::StrCat("at most ", bounds.max_bytes, " bytes of UTF-8");
  }
  if (bounds.label) schema["pattern"] = R"(^[^\u0000-\u001f]*$)";
}

void AddEntries(const FieldBounds& bounds, json::object& schema) {
  const bool is_list = schema.at("type") == "array";
  if (bounds.min_entries > 0) schema[is_list ? "minItems" : "minProperties"] = bounds.min_entries;
  if (bounds.max_entries > 0) schema[is_list ? "maxItems" : "maxProperties"] = bounds.max_entries;
}

}  // namespace swiftlet::schema
