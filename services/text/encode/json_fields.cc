#include "services/text/encode/json_fields.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"

namespace swiftlet {
namespace {

namespace json = boost::json;

absl::Status WrongKind(std::string_view path, std::string_view expected, const json::value& found) {
  return absl::InvalidArgumentError(
      absl::StrCat(ToAbsl(path), ": expected ", ToAbsl(expected), ", found ", ToAbsl(JsonKind(found))));
}

std::string_view View(const json::string& text) {
  return {text.data(), text.size()};
}

}  // namespace

std::string_view JsonKind(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
    default:
      return "a number";
  }
}

absl::StatusOr<JsonFields> JsonFields::Of(const json::value& value, std::string path) {
  if (!value.is_object()) return WrongKind(path.empty() ? "the document" : path, "an object", value);
  return JsonFields(&value.get_object(), std::move(path));
}

std::string JsonFields::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : absl::StrCat(path_, ".", ToAbsl(key));
}

const json::value* JsonFields::Find(std::string_view key) const {
  const json::value* value = object_->if_contains({key.data(), key.size()});
  return value == nullptr || value->is_null() ? nullptr : value;
}

absl::StatusOr<const json::value*> JsonFields::Require(std::string_view key, std::string_view expected) const {
  const json::value* value = object_->if_contains({key.data(), key.size()});
  if (value == nullptr)
    return absl::InvalidArgumentError(absl::StrCat(PathOf(key), ": missing, expected ", ToAbsl(expected)));
  return value;
}

absl::StatusOr<bool> JsonFields::Bool(std::string_view key, bool fallback) const {
  const json::value* value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) return WrongKind(PathOf(key), "a boolean", *value);
  return value->get_bool();
}

absl::StatusOr<std::string_view> JsonFields::String(std::string_view key) const {
  ASSIGN_OR_RETURN(const json::value* value, Require(key, "a string"));
  if (!value->is_string()) return WrongKind(PathOf(key), "a string", *value);
  return View(value->get_string());
}

absl::StatusOr<std::string_view> JsonFields::String(std::string_view key, std::string_view fallback) const {
  return Find(key) == nullptr ? fallback : String(key);
}

absl::StatusOr<int64_t> JsonFields::Integer(std::string_view key, int64_t lowest, int64_t highest) const {
  ASSIGN_OR_RETURN(const json::value* value, Require(key, "an integer"));
  if (!value->is_int64()) return WrongKind(PathOf(key), "an integer", *value);
  const int64_t number = value->get_int64();
  if (number < lowest || number > highest) {
    return absl::InvalidArgumentError(
        absl::StrCat(PathOf(key), ": ", number, " is not in [", lowest, ", ", highest, "]"));
  }
  return number;
}

absl::StatusOr<const json::array*> JsonFields::Array(std::string_view key) const {
  ASSIGN_OR_RETURN(const json::value* value, Require(key, "an array"));
  if (!value->is_array()) return WrongKind(PathOf(key), "an array", *value);
  return &value->get_array();
}

absl::StatusOr<JsonFields> JsonFields::Object(std::string_view key) const {
  ASSIGN_OR_RETURN(const json::value* value, Require(key, "an object"));
  return Of(*value, PathOf(key));
}

}  // namespace swiftlet
