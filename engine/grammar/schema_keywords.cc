#include "engine/grammar/schema_keywords.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <boost/json/serialize.hpp>

#include "engine/grammar/code_point_set.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

uint32_t TypeNamed(std::string_view name) {
  if (name == "null") return kNullType;
  if (name == "boolean") return kBooleanType;
  if (name == "integer") return kIntegerType;
  if (name == "number") return kNumberType | kIntegerType;
  if (name == "string") return kStringType;
  if (name == "array") return kArrayType;
  if (name == "object") return kObjectType;
  return 0;
}

}  // namespace

absl::Status SchemaError(std::string_view path, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(ToAbsl(path), ": ", ToAbsl(what)));
}

std::string SchemaPath(std::string_view path, std::string_view key) {
  std::string result(path);
  result += '/';
  for (const char c : key) {
    if (c == '~') {
      result += "~0";
    } else if (c == '/') {
      result += "~1";
    } else {
      result += c;
    }
  }
  return result;
}

bool IsAnnotation(std::string_view keyword) {
  for (const std::string_view known :
       {"title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "$comment",
        "$schema", "$defs", "definitions", "discriminator"}) {
    if (keyword == known) return true;
  }
  return false;
}

absl::Status CheckKeywords(const json::object& schema, const std::string& path,
                           std::initializer_list<std::string_view> allowed, std::string_view beside) {
  for (const auto& member : schema) {
    const std::string_view keyword = View(member.key());
    if (IsAnnotation(keyword) || std::find(allowed.begin(), allowed.end(), keyword) != allowed.end()) continue;
    std::string what = absl::StrCat(ToAbsl(keyword), " is not supported");
    if (!beside.empty()) absl::StrAppend(&what, " beside ", ToAbsl(beside));
    return SchemaError(SchemaPath(path, keyword), what);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> TypesOf(const json::object& schema, const std::string& path) {
  const json::value* type = schema.if_contains("type");
  if (type == nullptr) {
    uint32_t types = 0;
    const auto speaks = [&](uint32_t of, std::initializer_list<const char*> keywords) {
      for (const char* keyword : keywords) {
        if (schema.contains(keyword)) types |= of;
      }
    };
    speaks(kObjectType, {"properties", "required", "additionalProperties"});
    speaks(kArrayType, {"items", "prefixItems", "minItems", "maxItems"});
    speaks(kStringType, {"minLength", "maxLength", "pattern", "format"});
    speaks(kNumberType | kIntegerType, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"});
    return types == 0 ? kAllTypes : types;
  }
  const std::string where = SchemaPath(path, "type");
  uint32_t types = 0;
  const auto add = [&](const json::value& name) {
    const uint32_t one = name.is_string() ? TypeNamed(View(name.get_string())) : 0;
    types |= one;
    return one != 0;
  };
  bool is_known = !type->is_array() ? add(*type) : !type->get_array().empty();
  if (type->is_array()) {
    for (const json::value& name : type->get_array()) is_known = is_known && add(name);
  }
  if (!is_known) return SchemaError(where, "type must be a type's name or a list of them");
  return types;
}

uint32_t TypeOfValue(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return kNullType;
    case json::kind::bool_:
      return kBooleanType;
    case json::kind::int64:
    case json::kind::uint64:
      return kIntegerType;
    case json::kind::double_:
      return std::trunc(value.get_double()) == value.get_double() ? kIntegerType : kNumberType;
    case json::kind::string:
      return kStringType;
    case json::kind::array:
      return kArrayType;
    case json::kind::object:
      return kObjectType;
  }
  return 0;
}

absl::StatusOr<std::optional<uint32_t>> CountOf(const json::object& schema, std::string_view keyword,
                                                const std::string& path) {
  const json::value* value = schema.if_contains(json::string_view(keyword.data(), keyword.size()));
  if (value == nullptr) return std::nullopt;
  if (!value->is_int64() || value->get_int64() < 0 || value->get_int64() > INT32_MAX) {
    return SchemaError(SchemaPath(path, keyword), "must be a whole number from 0 to 2147483647");
  }
  return static_cast<uint32_t>(value->get_int64());
}

std::string CanonicalJson(const json::value& value) {
  switch (value.kind()) {
    case json::kind::string:
      return CanonicalString(View(value.get_string()));
    case json::kind::double_: {
      char digits[32];
      const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), value.get_double());
      return std::string(digits, end.ptr);
    }
    case json::kind::array: {
      std::string text = "[";
      for (const json::value& item : value.get_array()) {
        if (text.size() > 1) text += ',';
        text += CanonicalJson(item);
      }
      return text + ']';
    }
    case json::kind::object: {
      std::string text = "{";
      for (const auto& member : value.get_object()) {
        if (text.size() > 1) text += ',';
        text += CanonicalString(View(member.key())) + ':' + CanonicalJson(member.value());
      }
      return text + '}';
    }
    default:
      return json::serialize(value);
  }
}

}  // namespace swiftlet
