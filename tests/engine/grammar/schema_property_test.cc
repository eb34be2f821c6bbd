// Random schemas of the subset. Whatever a walk over the masks writes is parsed by Boost.JSON and fits the schema, as a
// validator says that shares nothing with the compiler; whatever is written for a schema is taken under any cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "tests/engine/grammar/grammar_driver.h"

namespace swiftlet {
namespace {

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

size_t CodePoints(json::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

bool HasType(const json::value& value, json::string_view type) {
  if (type == "integer") return value.is_int64() || value.is_uint64();
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

// What JSON Schema says of these keywords.
bool Fits(const json::value& value, const json::value& schema, const json::value& root) {
  if (schema.is_bool()) return schema.get_bool();
  const json::object& rules = schema.get_object();
  const auto rule = [&](json::string_view name) { return rules.if_contains(name); };
  if (const auto* ref = rule("$ref")) {
    const std::string name(ref->get_string().data() + 8, ref->get_string().size() - 8);
    if (!Fits(value, root.at("$defs").at(name), root)) return false;
  }
  if (const auto* type = rule("type")) {
    const json::array types = type->is_array() ? type->get_array() : json::array{*type};
    if (std::none_of(types.begin(), types.end(),
                     [&](const json::value& one) { return HasType(value, one.get_string()); })) {
      return false;
    }
  }
  if (const auto* all = rule("enum")) {
    if (std::find(all->get_array().begin(), all->get_array().end(), value) == all->get_array().end()) return false;
  }
  if (const auto* one = rule("const"); one != nullptr && *one != value) return false;
  if (const auto* any = rule("anyOf")) {
    const json::array& list = any->get_array();
    if (std::none_of(list.begin(), list.end(), [&](const json::value& one) { return Fits(value, one, root); }))
      return false;
  }
  if (value.is_number()) {
    const double number = value.to_number<double>();
    if (rule("minimum") && !(number >= rule("minimum")->to_number<double>())) return false;
    if (rule("maximum") && !(number <= rule("maximum")->to_number<double>())) return false;
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

// Writes a document for the schema, members in its order, compact; nullopt where it takes too long to end.
class Writer {
 public:
  Writer(Schemas& schemas, const json::value& root) : schemas_(schemas), root_(root) {}

  std::optional<std::string> Write(const json::value& schema, int depth) {
    if (depth > 8 || schema == json::value(false)) return std::nullopt;
    if (schema == json::value(true)) return "{\"any\":[1,\"x\"]}";
    const json::object& rules = schema.get_object();
    const auto rule = [&](json::string_view name) { return rules.if_contains(name); };
    if (const auto* ref = rule("$ref")) {
      return Write(root_.at("$defs").at(json::string_view(*ref->if_string()).substr(8)), depth + 1);
    }
    if (const auto* any = rule("anyOf")) return Write(Pick(any->get_array()), depth + 1);
    if (const auto* all = rule("enum")) return Plain(Pick(all->get_array()));
    if (const auto* one = rule("const")) return Plain(*one);
    const json::value& said = *rule("type");
    const json::value type = said.is_array() ? Pick(said.get_array()) : said;
    if (type == "null") return "null";
    if (type == "boolean") return schemas_.Below(2) ? "true" : "false";
    if (type == "integer" || type == "number") return Number(rules, type == "number");
    if (type == "string") return Text(rules);
    return type == "array" ? Array(rules, depth) : Object(rules, depth);
  }

 private:
  const json::value& Pick(const json::array& list) { return list[schemas_.Below(static_cast<uint32_t>(list.size()))]; }
  static std::string Plain(const json::value& value) {
    return value == json::value(1.5) ? "1.5" : json::serialize(value);
  }

  std::string Number(const json::object& rules, bool may_be_fraction) {
    const auto* min = rules.if_contains("minimum");
    const int low = min == nullptr ? -1000 : static_cast<int>(min->to_number<int>());
    const auto* max =
        rules.if_contains("maximum") ? rules.if_contains("maximum") : rules.if_contains("exclusiveMaximum");
    const int high = max == nullptr ? 1000 : max->to_number<int>() - (rules.contains("exclusiveMaximum") ? 1 : 0);
    const int number = low + static_cast<int>(schemas_.Below(static_cast<uint32_t>(high - low + 1)));
    if (!may_be_fraction || number < 0 || schemas_.Below(2)) return std::to_string(number);
    return std::to_string(number) + ".25";
  }

  std::string Text(const json::object& rules) {
    const auto* min = rules.if_contains("minLength");
    const auto* max = rules.if_contains("maxLength");
    const size_t low = min == nullptr ? 0 : min->to_number<size_t>();
    const size_t high = max == nullptr ? 12 : max->to_number<size_t>();
    std::string text = "\"";
    const char* characters[] = {"a", "b",   "\\n", "\xC3\xA9", "\xF0\x9F\x98\x80", "\\u20ac", "\\ud83d\\ude00",
                                " ", "\\\""};
    for (size_t i = low + schemas_.Below(static_cast<uint32_t>(high - low + 1)); i > 0; --i) {
      text += characters[schemas_.Below(std::size(characters))];
    }
    return text + '"';
  }

  std::optional<std::string> Array(const json::object& rules, int depth) {
    const auto* min = rules.if_contains("minItems");
    const auto* max = rules.if_contains("maxItems");
    const json::array* prefix = rules.contains("prefixItems") ? &rules.at("prefixItems").get_array() : nullptr;
    const json::value* items = rules.if_contains("items");
    size_t count = (min == nullptr ? 0 : min->to_number<size_t>()) + schemas_.Below(3);
    if (max != nullptr) count = std::min(count, max->to_number<size_t>());
    if (prefix != nullptr && (items == nullptr || items->is_bool())) count = std::min(count, prefix->size());
    std::string text = "[";
    for (size_t i = 0; i < count; ++i) {
      const auto item = Write(prefix != nullptr && i < prefix->size() ? (*prefix)[i] : *items, depth + 1);
      if (!item.has_value()) return std::nullopt;
      text += (i > 0 ? "," : "") + *item;
    }
    return text + "]";
  }

  std::optional<std::string> Object(const json::object& rules, int depth) {
    std::string text = "{";
    const auto add = [&](json::string_view name, const json::value& schema) {
      const auto value = Write(schema, depth + 1);
      if (value.has_value()) text += (text.size() > 1 ? "," : "") + json::serialize(json::value(name)) + ": " + *value;
      return value.has_value();
    };
    const json::array* required = rules.contains("required") ? &rules.at("required").get_array() : nullptr;
    for (const auto& member : rules.at("properties").get_object()) {
      const bool must = required != nullptr &&
                        std::find(required->begin(), required->end(), json::value(member.key())) != required->end();
      if ((must || schemas_.Below(2)) && !add(member.key(), member.value()) && must) return std::nullopt;
    }
    const json::value* additional = rules.if_contains("additionalProperties");
    if (additional != nullptr && schemas_.Below(2)) {
      for (const char* name : {"b", "abc", "n\n", "\xC3\xA9t"}) add(name, *additional);
    }
    return text + "}";
  }

  Schemas& schemas_;
  const json::value& root_;
};

TEST(SchemaProperty, WalksFitAndWhatFitsIsTaken) {
  const auto vocabulary = testing::SmallVocabulary();
  int walked = 0;
  int written = 0;
  for (uint32_t seed = 0; seed < 120; ++seed) {
    Schemas schemas(seed);
    const json::value root = schemas.Root();
    const std::string text = json::serialize(root);
    SCOPED_TRACE(text);
    const auto compiled = CompileGrammar({GrammarSpec::Kind::kJsonSchema, text, ""});
    if (!compiled.ok()) {  // a recursion that cannot end
      ASSERT_TRUE(compiled.status().message().find("no document") != absl::string_view::npos ||
                  compiled.status().message().find("itself") != absl::string_view::npos)
          << compiled.status();
      continue;
    }
    const auto grammar = std::make_shared<TokenGrammar>(*compiled, vocabulary, GrammarLimits{});
    for (int i = 0; i < 4; ++i) {
      const auto document = testing::RandomDocument(grammar, schemas.random(), 250);
      if (!document.has_value()) continue;
      ++walked;
      boost::system::error_code error;
      json::parse_options options;
      options.max_depth = 128;
      const json::value value = json::parse(*document, error, {}, options);
      ASSERT_FALSE(error) << error.message() << ": " << *document;
      ASSERT_TRUE(Fits(value, root, root)) << *document;
    }
    for (int i = 0; i < 4; ++i) {
      const auto document = Writer(schemas, root).Write(root, 0);
      if (!document.has_value()) continue;
      ++written;
      ASSERT_TRUE(Fits(json::parse(*document), root, root)) << *document;
      ASSERT_TRUE(testing::AcceptsBytes(grammar, *document)) << *document;
      for (int cut = 0; cut < 2; ++cut)
        ASSERT_TRUE(testing::AcceptsCut(grammar, *document, schemas.random())) << *document;
    }
  }
  EXPECT_GT(walked, 200);
  EXPECT_GT(written, 200);
}

}  // namespace
}  // namespace swiftlet
