// Typed, range-checked reads of a config.json object: every number has limits, and errors name key, found and allowed.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

namespace swiftlet {

class ConfigReader {
 public:
  // `object` outlives the reader; `where` goes before keys in errors, such as "rope_scaling.".
  explicit ConfigReader(const boost::json::object& object, std::string where = "")
      : object_(object), where_(std::move(where)) {}

  // Null for an absent key and for JSON null alike: Hugging Face writes both for "not set".
  const boost::json::value* Find(std::string_view key) const;
  // No such key at all, not even null.
  bool Absent(std::string_view key) const { return object_.if_contains(key) == nullptr; }

  // Without `fallback` the key must be there.
  absl::StatusOr<int64_t> Integer(std::string_view key, int64_t low, int64_t high,
                                  std::optional<int64_t> fallback = std::nullopt) const;
  absl::StatusOr<double> Number(std::string_view key, double low, double high,
                                std::optional<double> fallback = std::nullopt) const;
  absl::StatusOr<bool> Boolean(std::string_view key, bool fallback) const;
  absl::StatusOr<std::string> String(std::string_view key, std::optional<std::string> fallback = std::nullopt) const;
  absl::StatusOr<std::optional<ConfigReader>> Object(std::string_view key) const;

  std::string Name(std::string_view key) const { return where_ + std::string(key); }

 private:
  absl::Status Wrong(std::string_view key, const boost::json::value& found, const std::string& expected) const;
  absl::Status Missing(std::string_view key) const;

  const boost::json::object& object_;
  std::string where_;
};

}  // namespace swiftlet
