#include "engine/model/config_reader.h"

#include <absl/strings/str_cat.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace swiftlet {

namespace json = boost::json;

const json::value* ConfigReader::Find(std::string_view key) const {
  const json::value* value = object_.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

absl::Status ConfigReader::Wrong(std::string_view key, const json::value& found, const std::string& expected) const {
  constexpr size_t kMaxShown = 100;
  std::string shown = json::serialize(found);
  if (shown.size() > kMaxShown) shown.replace(kMaxShown, std::string::npos, "...");
  return absl::InvalidArgumentError(absl::StrCat("\"", Name(key), "\" is ", shown, "; expected ", expected));
}

absl::Status ConfigReader::Missing(std::string_view key) const {
  return absl::InvalidArgumentError(absl::StrCat("\"", Name(key), "\" is missing"));
}

absl::StatusOr<int64_t> ConfigReader::Integer(std::string_view key, int64_t low, int64_t high,
                                              std::optional<int64_t> fallback) const {
  const json::value* value = Find(key);
  if (value == nullptr) {
    if (fallback.has_value()) return *fallback;
    return Missing(key);
  }
  const std::string expected = absl::StrCat("an integer from ", low, " to ", high);
  if (!value->is_int64()) return Wrong(key, *value, expected);
  const int64_t number = value->get_int64();
  if (number < low || number > high) return Wrong(key, *value, expected);
  return number;
}

absl::StatusOr<double> ConfigReader::Number(std::string_view key, double low, double high,
                                            std::optional<double> fallback) const {
  const json::value* value = Find(key);
  if (value == nullptr) {
    if (fallback.has_value()) return *fallback;
    return Missing(key);
  }
  const std::string expected = absl::StrCat("a number from ", low, " to ", high);
  double number = 0;
  if (value->is_double()) {
    number = value->get_double();
  } else if (value->is_int64()) {
    number = static_cast<double>(value->get_int64());
  } else {
    return Wrong(key, *value, expected);
  }
  if (!(number >= low && number <= high)) return Wrong(key, *value, expected);
  return number;
}

absl::StatusOr<bool> ConfigReader::Boolean(std::string_view key, bool fallback) const {
  const json::value* value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) return Wrong(key, *value, "true or false");
  return value->get_bool();
}

absl::StatusOr<std::string> ConfigReader::String(std::string_view key, std::optional<std::string> fallback) const {
  const json::value* value = Find(key);
  if (value == nullptr) {
    if (fallback.has_value()) return *fallback;
    return Missing(key);
  }
  if (!value->is_string()) return Wrong(key, *value, "a string");
  return std::string(value->get_string().data(), value->get_string().size());
}

absl::StatusOr<std::optional<ConfigReader>> ConfigReader::Object(std::string_view key) const {
  const json::value* value = Find(key);
  if (value == nullptr) return std::optional<ConfigReader>();
  if (!value->is_object()) return Wrong(key, *value, "an object");
  return std::optional<ConfigReader>(ConfigReader(value->get_object(), absl::StrCat(Name(key), ".")));
}

}  // namespace swiftlet
