// Tools as a JSON text, for tests of their grammar.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "engine/base/strict_json.h"
#include "engine/grammar/compile_grammar.h"

namespace swiftlet::tests {

// {"tools": [{"name", "schema"}], "required", "several", "begin", "end", "separator", "name_key",
// "arguments_key"}; only "tools" and its names have to be there. Nothing where it is something else.
inline std::optional<GrammarSpec> ToolSpec(const std::string& text, const std::string& starts_after = "") {
  const auto root = ParseStrictJson(text, {.max_depth = GrammarLimits().max_json_depth});
  const boost::json::object* object = root.ok() ? root->if_object() : nullptr;
  const boost::json::value* listed = object == nullptr ? nullptr : object->if_contains("tools");
  if (listed == nullptr || !listed->is_array()) return std::nullopt;
  GrammarSpec spec{.kind = GrammarSpec::Kind::kTools, .text = "", .starts_after = starts_after};
  const auto read_text = [](const boost::json::object& from, const char* key, std::string& to) {
    const boost::json::value* value = from.if_contains(key);
    if (value != nullptr && value->is_string())
      to = std::string(value->get_string().data(), value->get_string().size());
    return value == nullptr || value->is_string();
  };
  for (const boost::json::value& item : listed->get_array()) {
    Tool& tool = spec.tools.tools.emplace_back();
    if (!item.is_object() || !read_text(item.get_object(), "name", tool.name)) return std::nullopt;
    const boost::json::value* schema = item.get_object().if_contains("schema");
    if (schema != nullptr) tool.schema = boost::json::serialize(*schema);
  }
  for (const auto& [key, flag] :
       {std::pair("required", &spec.tools.is_required), std::pair("several", &spec.tools.allows_several)}) {
    const boost::json::value* value = object->if_contains(key);
    if (value != nullptr && value->is_bool()) *flag = value->get_bool();
  }
  for (const auto& [key, part] :
       {std::pair("begin", &spec.tools.begin), std::pair("end", &spec.tools.end),
        std::pair("separator", &spec.tools.separator), std::pair("name_key", &spec.tools.name_key),
        std::pair("arguments_key", &spec.tools.arguments_key)}) {
    if (!read_text(*object, key, *part)) return std::nullopt;
  }
  return spec;
}

}  // namespace swiftlet::tests
