// What a schema object may hold, and the small questions the compiler asks of it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/string_view.hpp>
#include <boost/json/value.hpp>

#include "engine/base/string_view.h"

namespace swiftlet {

// A string or a key of the document. Same bytes, no copy.
inline std::string_view View(boost::json::string_view text) {
  return {text.data(), text.size()};
}

// INVALID_ARGUMENT "path: what".
absl::Status SchemaError(std::string_view path, std::string_view what);

// One step of a JSON pointer, '~' and '/' escaped.
std::string SchemaPath(std::string_view path, std::string_view key);

// Whether it says nothing about which documents fit: titles, descriptions, definitions and the like.
bool IsAnnotation(std::string_view keyword);

// Fails on the first keyword that is neither an annotation nor in `allowed`, saying that it is not supported
// (`beside` another one, where that is given).
absl::Status CheckKeywords(const boost::json::object& schema, const std::string& path,
                           std::initializer_list<std::string_view> allowed, std::string_view beside = {});

// The types of JSON as bits. kNumber without kInteger does not occur.
enum SchemaType : uint32_t {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kNumberType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
  kAllTypes = 127,
};

// What `type` says; without it, the types that the keywords speak of, and all when they speak of none.
absl::StatusOr<uint32_t> TypesOf(const boost::json::object& schema, const std::string& path);
uint32_t TypeOfValue(const boost::json::value& value);

// A whole number of at least 0, at most 2^31 - 1; nullopt when the keyword is not there.
absl::StatusOr<std::optional<uint32_t>> CountOf(const boost::json::object& schema, std::string_view keyword,
                                                const std::string& path);

// A value of `enum` or `const`: compact, strings in canonical form, object members in their order.
std::string CanonicalJson(const boost::json::value& value);

}  // namespace swiftlet
