#include "services/text/encode/chat_values.h"

#include <absl/status/status.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"

namespace swiftlet {

namespace {

using jinja::Dict;
using jinja::Value;

constexpr int kMaxDepth = 64;  // the edge accepts 32; templates wrap a few more around

// Templates build special tokens from roles ('<|' + role + '|>'), so the marking must let these through.
constexpr std::string_view kTrustedRoles[] = {"system",  "developer", "user",         "assistant",   "tool",
                                              "ipython", "function",  "tool_results", "observation", "model"};

absl::StatusOr<Value> Convert(const boost::json::value& json, int depth) {
  if (depth > kMaxDepth) return absl::InvalidArgumentError(Concat("JSON nested more than ", kMaxDepth, " deep"));
  switch (json.kind()) {
    case boost::json::kind::null:
      return Value::None();
    case boost::json::kind::bool_:
      return Value::Bool(json.get_bool());
    case boost::json::kind::int64:
      return Value::Int(json.get_int64());
    case boost::json::kind::uint64:
      return Value::Int(json.get_uint64());
    case boost::json::kind::double_:
      return Value::Float(json.get_double());
    case boost::json::kind::string:
      return Value::String(std::string_view(json.get_string()), true);
    case boost::json::kind::array: {
      std::vector<Value> items;
      items.reserve(json.get_array().size());
      for (const boost::json::value& item : json.get_array()) {
        ASSIGN_OR_RETURN(Value value, Convert(item, depth + 1));
        items.push_back(std::move(value));
      }
      return Value::List(std::move(items));
    }
    case boost::json::kind::object: {
      Dict dict;
      for (const auto& entry : json.get_object()) {
        ASSIGN_OR_RETURN(Value value, Convert(entry.value(), depth + 1));
        dict.Set(Value::String(std::string_view(entry.key()), true), std::move(value));
      }
      return Value::Map(std::move(dict));
    }
  }
  return Value::None();
}

}  // namespace

absl::StatusOr<Value> UserValue(const boost::json::value& json) {
  return Convert(json, 0);
}

absl::StatusOr<Value> MessagesValue(const boost::json::value& messages) {
  if (!messages.is_array()) return absl::InvalidArgumentError("messages: an array is required");
  std::vector<Value> converted;
  for (size_t i = 0; i < messages.get_array().size(); ++i) {
    const boost::json::value& message = messages.get_array()[i];
    if (!message.is_object()) return absl::InvalidArgumentError(Concat("messages[", i, "]: an object is required"));
    Dict dict;
    for (const auto& entry : message.get_object()) {
      const std::string_view key = entry.key();
      Value value;
      if (key == "role" && entry.value().is_string()) {
        const std::string_view role = entry.value().get_string();
        const bool trusted =
            std::find(std::begin(kTrustedRoles), std::end(kTrustedRoles), role) != std::end(kTrustedRoles);
        value = Value::String(role, !trusted);
      } else {
        ASSIGN_OR_RETURN(value, Convert(entry.value(), 2));
      }
      dict.Set(Value::String(key, true), std::move(value));
    }
    converted.push_back(Value::Map(std::move(dict)));
  }
  return Value::List(std::move(converted));
}

}  // namespace swiftlet
