// Random schemas of the subset, and a validator that shares nothing with the compiler.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace swiftlet::tests {

namespace json = boost::json;

class Schemas {
 public:
  explicit Schemas(uint32_t seed) : random_(seed) {}

  // A document's schema with definitions d0 and d1, which may refer to each other below an array or an object.
  json::value Root() {
    json::value schema = Schema(0);
    json::object root = schema.is_object() ? schema.get_object() : json::object{{"anyOf", json::array{schema}}};
    root["$defs"] = {{"d0", Container(2)}, {"d1", Leaf()}};
    return root;
  }

  std::mt19937& random() { return random_; }
  uint32_t Below(uint32_t bound) { return random_() % bound; }

 private:
  json::value Schema(int depth) {
    if (depth >= 3) return Leaf();
    switch (Below(8)) {
      case 0:
      case 1:
        return Leaf();
      case 2:
        return {{"anyOf", {Schema(depth + 1), Schema(depth + 1)}}};
      case 3:
        return {{"$ref", Below(2) ? "#/$defs/d0" : "#/$defs/d1"}};
      default:
        return Container(depth);
    }
  }

  json::value Container(int depth) {
    json::object schema;
    if (Below(2)) {
      schema["type"] = "array";
      if (Below(3) == 0) {
        schema["prefixItems"] = {Schema(depth + 1), Leaf()};
        if (Below(2)) schema["items"] = Below(2) ? json::value(false) : Leaf();
      } else {
        schema["items"] = depth < 2 ? Schema(depth + 1) : json::value{{"$ref", "#/$defs/d1"}};
      }
      const uint32_t min = Below(3);
      if (Below(2) && !schema.contains("prefixItems")) schema["minItems"] = min;
      if (Below(2)) schema["maxItems"] = min + Below(3);
      return schema;
    }
    schema["type"] = "object";
    json::object properties;
    json::array required;
    for (const char* name : {"a", "ab", "na\"me", "\xC3\xA9"}) {
      if (Below(2)) continue;
      properties[name] = depth < 2 ? Schema(depth + 1) : Leaf();
      if (Below(2)) required.push_back(name);
    }
    // An object that must contain itself has no document: a reference is never required.
    schema["properties"] = properties;
    if (!required.empty()) schema["required"] = required;
    if (Below(2)) schema["additionalProperties"] = Below(2) ? json::value(Below(2) == 0) : Leaf();
    return schema;
  }

  json::value Leaf() {
    switch (Below(10)) {
      case 0:
        return {{"type", "boolean"}};
      case 1:
        return {{"type", "integer"}};
      case 2:
        return {{"type", "number"}};
      case 3:
        return {{"type", "string"}};
      case 4:
        return {{"type", "integer"}, {"minimum", static_cast<int>(Below(30)) - 20}, {"maximum", 10 + Below(300)}};
      case 5:
        return {{"type", "string"}, {"minLength", Below(3)}, {"maxLength", 2 + Below(5)}};
      case 6:
        return {{"enum", {"a", "abc", 12, nullptr, "\xF0\x9F\x98\x80", 1.5}}};
      case 7:
        return {{"const", {{"a", {1, true}}}}};
      case 8:
        return {{"type", {"null", "integer"}}};
      default:
        return {{"type", "number"}, {"minimum", static_cast<int>(Below(3)) - 2}, {"exclusiveMaximum", 3 + Below(20)}};
    }
  }

  std::mt19937 random_;
};

inline size_t CodePoints(json::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

inline bool HasType(const json::value& value, json::string_view type) {
  if (type == "integer" && value.is_double()) return std::trunc(value.get_double()) == value.get_double();
  if (type == "integer") return value.is_number();
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

// As JSON Schema has it, give or take how numbers are read: 1e2 is 100.
inline bool IsSame(const json::value& one, const json::value& other) {
  if (one.is_number() && other.is_number()) {
    const double a = one.to_number<double>();
    const double b = other.to_number<double>();
    return std::abs(a - b) <= 1e-12 * std::abs(a);
  }
  if (one.kind() != other.kind()) return false;
  if (one.is_array()) {
    return std::equal(one.get_array().begin(), one.get_array().end(), other.get_array().begin(),
                      other.get_array().end(), IsSame);
  }
  if (!one.is_object()) return one == other;
  if (one.get_object().size() != other.get_object().size()) return false;
  return std::all_of(one.get_object().begin(), one.get_object().end(), [&](const auto& member) {
    const json::value* its = other.get_object().if_contains(member.key());
    return its != nullptr && IsSame(member.value(), *its);
  });
}

// What a reference that the compiler takes refers to.
inline const json::value& Referred(std::string_view reference, const json::value& root) {
  for (const char* keyword : {"$defs", "definitions"}) {
    const std::string prefix = std::string("#/") + keyword + "/";
    if (reference.substr(0, prefix.size()) != prefix) continue;
    std::string name(reference.substr(prefix.size()));
    for (const auto& [escape, character] : {std::pair("~1", "/"), std::pair("~0", "~")}) {
      for (size_t at = 0; (at = name.find(escape, at)) != std::string::npos; ++at) name.replace(at, 2, character);
    }
    return root.at(keyword).at(name);
  }
  return root;
}

// What JSON Schema says of these keywords: of all that the compiler takes, but not of `pattern` and `format`.
inline bool Fits(const json::value& value, const json::value& schema, const json::value& root) {
  if (schema.is_bool()) return schema.get_bool();
  const json::object& rules = schema.get_object();
  const auto rule = [&](json::string_view name) { return rules.if_contains(name); };
  const auto count_fitting = [&](const json::array& schemas) {
    return std::count_if(schemas.begin(), schemas.end(),
                         [&](const json::value& one) { return Fits(value, one, root); });
  };
  if (const auto* ref = rule("$ref")) {
    if (!Fits(value, Referred({ref->get_string().data(), ref->get_string().size()}, root), root)) return false;
  }
  if (const auto* type = rule("type")) {
    const json::array types = type->is_array() ? type->get_array() : json::array{*type};
    if (std::none_of(types.begin(), types.end(),
                     [&](const json::value& one) { return HasType(value, one.get_string()); })) {
      return false;
    }
  }
  if (const auto* all = rule("enum")) {
    const json::array& values = all->get_array();
    if (std::none_of(values.begin(), values.end(), [&](const json::value& one) { return IsSame(one, value); })) {
      return false;
    }
  }
  if (const auto* one = rule("const"); one != nullptr && !IsSame(*one, value)) return false;
  if (const auto* any = rule("anyOf"); any != nullptr && count_fitting(any->get_array()) == 0) return false;
  if (const auto* one = rule("oneOf"); one != nullptr && count_fitting(one->get_array()) != 1) return false;
  if (const auto* all = rule("allOf")) {
    if (count_fitting(all->get_array()) != static_cast<ptrdiff_t>(all->get_array().size())) return false;
  }
  if (value.is_number()) {
    const double number = value.to_number<double>();
    if (rule("minimum") && !(number >= rule("minimum")->to_number<double>())) return false;
    if (rule("maximum") && !(number <= rule("maximum")->to_number<double>())) return false;
    if (rule("exclusiveMinimum") && !(number > rule("exclusiveMinimum")->to_number<double>())) return false;
    if (rule("exclusiveMaximum") && !(number < rule("exclusiveMaximum")->to_number<double>())) return false;
  }
  if (value.is_string()) {
    const size_t length = CodePoints(value.get_string());
    if (rule("minLength") && length < rule("minLength")->to_number<size_t>()) return false;
    if (rule("maxLength") && length > rule("maxLength")->to_number<size_t>()) return false;
  }
  if (value.is_array()) {
    const json::array& items = value.get_array();
    if (rule("minItems") && items.size() < rule("minItems")->to_number<size_t>()) return false;
    if (rule("maxItems") && items.size() > rule("maxItems")->to_number<size_t>()) return false;
    const size_t prefix = rule("prefixItems") ? rule("prefixItems")->get_array().size() : 0;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i < prefix) {
        if (!Fits(items[i], rule("prefixItems")->get_array()[i], root)) return false;
      } else if (rule("items") && !Fits(items[i], *rule("items"), root)) {
        return false;
      }
    }
  }
  if (value.is_object()) {
    if (const auto* required = rule("required")) {
      for (const json::value& name : required->get_array()) {
        if (!value.get_object().contains(name.get_string())) return false;
      }
    }
    for (const auto& member : value.get_object()) {
      const json::value* own =
          rule("properties") ? rule("properties")->get_object().if_contains(member.key()) : nullptr;
      if (own == nullptr) own = rule("additionalProperties");
      if (own != nullptr && !Fits(member.value(), *own, root)) return false;
    }
  }
  return true;
}

}  // namespace swiftlet::tests
