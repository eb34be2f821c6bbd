#include "services/gateway/request/json_members.h"

#include <absl/strings/str_cat.h>

#include <cmath>
#include <limits>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/errors.h"

namespace swiftlet::members {

namespace json = boost::json;

namespace {

absl::Status OutOfRange(std::string_view field) {
  return InvalidField(field, absl::StrCat("`", ToAbsl(field), "` is out of range"));
}

absl::StatusOr<int32_t> ToInt32(const json::value& value, std::string_view field) {
  ASSIGN_OR_RETURN(const int64_t number, ToInteger(value, field));
  if (number < std::numeric_limits<int32_t>::min() || number > std::numeric_limits<int32_t>::max()) {
    return OutOfRange(field);
  }
  return static_cast<int32_t>(number);
}

}  // namespace

const json::value* Find(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

absl::StatusOr<std::optional<int32_t>> Int32(const json::object& object, std::string_view name) {
  const json::value* value = Find(object, name);
  if (value == nullptr) return std::nullopt;
  ASSIGN_OR_RETURN(const int32_t number, ToInt32(*value, name));
  return number;
}

std::optional<float> Float(const json::object& object, std::string_view name) {
  const json::value* value = Find(object, name);
  if (value == nullptr) return std::nullopt;
  return static_cast<float>(value->to_number<double>());
}

bool Boolean(const json::object& object, std::string_view name, bool absent) {
  const json::value* value = Find(object, name);
  return value == nullptr ? absent : value->get_bool();
}

std::string String(const json::object& object, std::string_view name) {
  const json::value* value = Find(object, name);
  return value == nullptr ? "" : std::string(value->get_string());
}

absl::StatusOr<int64_t> ToInteger(const json::value& value, std::string_view field) {
  constexpr double kExact = 9007199254740992;  // 2^53
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64()) return OutOfRange(field);
  if (value.is_double()) {
    const double number = value.get_double();
    if (std::trunc(number) == number) {
      if (!(std::abs(number) <= kExact)) return OutOfRange(field);
      return static_cast<int64_t>(number);
    }
  }
  return InvalidField(field, absl::StrCat("`", ToAbsl(field), "` must be an integer"));
}

absl::StatusOr<std::vector<int32_t>> TokenIds(const json::array& list, std::string_view field) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const json::value& one : list) {
    if (!one.is_number()) return InvalidField(field, absl::StrCat("`", ToAbsl(field), "` must hold token ids only"));
    ASSIGN_OR_RETURN(const int32_t id, ToInt32(one, field));
    ids.push_back(id);
  }
  return ids;
}

}  // namespace swiftlet::members
