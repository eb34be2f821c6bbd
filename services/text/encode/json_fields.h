// Typed reads of a parsed JSON document, with errors that name the field: "model.vocab: expected an object, found a
// string". For loaders; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace swiftlet {

// What `value` is, with its article: "an object", "null".
std::string_view JsonKind(const boost::json::value& value);

// One object of a document and where it stands ("" for the top).
class JsonFields {
 public:
  static absl::StatusOr<JsonFields> Of(const boost::json::value& value, std::string path);

  const std::string& path() const { return path_; }
  // "path.key".
  std::string PathOf(std::string_view key) const;
  // Null when the field is absent or null.
  const boost::json::value* Find(std::string_view key) const;

  // Errors when the field is absent or of another type; the ones with a fallback only for another type.
  absl::StatusOr<bool> Bool(std::string_view key, bool fallback) const;
  absl::StatusOr<std::string_view> String(std::string_view key) const;
  absl::StatusOr<std::string_view> String(std::string_view key, std::string_view fallback) const;
  absl::StatusOr<int64_t> Integer(std::string_view key, int64_t lowest, int64_t highest) const;
  absl::StatusOr<const boost::json::array*> Array(std::string_view key) const;
  absl::StatusOr<JsonFields> Object(std::string_view key) const;

 private:
  JsonFields(const boost::json::object* object, std::string path) : object_(object), path_(std::move(path)) {}
  absl::StatusOr<const boost::json::value*> Require(std::string_view key, std::string_view expected) const;

  const boost::json::object* object_;
  std::string path_;
};

}  // namespace swiftlet
