// Whatever a walk over the masks of a random schema writes is parsed by Boost.JSON and fits the schema; whatever is
// written for a schema is taken under any cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "tests/engine/grammar/grammar_driver.h"
#include "tests/engine/grammar/random_schemas.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

using tests::Fits;
using tests::Schemas;

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
  const auto vocabulary = tests::SmallVocabulary();
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
      const auto document = tests::RandomDocument(grammar, schemas.random(), 250);
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
      ASSERT_TRUE(tests::AcceptsBytes(grammar, *document)) << *document;
      for (int cut = 0; cut < 2; ++cut)
        ASSERT_TRUE(tests::AcceptsCut(grammar, *document, schemas.random())) << *document;
    }
  }
  EXPECT_GT(walked, 200);
  EXPECT_GT(written, 200);
}

}  // namespace
}  // namespace swiftlet
