// Members of a request's JSON object whose kinds the parameter table has checked; absent and null are one. Numbers are
// taken by value: 10.0 is an integer. Errors are INVALID_ARGUMENT and name the member. Pure; any thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace swiftlet {

// Told each name we do not know ("messages[0].foo"); an error refuses the request.
using UnknownName = std::function<absl::Status(const std::string& field)>;

namespace members {

// Null when absent.
const boost::json::value* Find(const boost::json::object& object, std::string_view name);

absl::StatusOr<std::optional<int32_t>> Int32(const boost::json::object& object, std::string_view name);
std::optional<float> Float(const boost::json::object& object, std::string_view name);
bool Boolean(const boost::json::object& object, std::string_view name, bool absent = false);
std::string String(const boost::json::object& object, std::string_view name);  // "" when absent

// Of a value of whatever kind; `field` is what errors name.
absl::StatusOr<int64_t> ToInteger(const boost::json::value& value, std::string_view field);
absl::StatusOr<std::vector<int32_t>> TokenIds(const boost::json::array& list, std::string_view field);

}  // namespace members
}  // namespace swiftlet
