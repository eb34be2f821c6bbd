#include "services/tokenizer/json_of_struct.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <cmath>
#include <map>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "engine/base/status_macros.h"
#include "services/common/limits.h"

namespace swiftlet {

namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;
using Json = absl::StatusOr<boost::json::value>;

constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

Json Convert(const Value& value, size_t depth);

absl::Status CheckDepth(size_t depth) {
  if (depth <= limits::kMaxJsonDepth) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("values nest deeper than ", limits::kMaxJsonDepth));
}

Json Convert(const ListValue& list, size_t depth) {
  RETURN_IF_ERROR(CheckDepth(depth));
  boost::json::array array;
  for (const Value& item : list.values()) {
    ASSIGN_OR_RETURN(boost::json::value json, Convert(item, depth + 1));
    array.push_back(std::move(json));
  }
  return boost::json::value(std::move(array));
}

Json Convert(const Struct& object, size_t depth) {
  RETURN_IF_ERROR(CheckDepth(depth));
  std::map<std::string_view, const Value*> sorted;
  for (const auto& [key, value] : object.fields()) sorted.emplace(key, &value);
  boost::json::object json;
  for (const auto& [key, value] : sorted) {
    ASSIGN_OR_RETURN(json[key], Convert(*value, depth + 1));
  }
  return boost::json::value(std::move(json));
}

Json Convert(const Value& value, size_t depth) {
  switch (value.kind_case()) {
    case Value::kBoolValue:
      return boost::json::value(value.bool_value());
    case Value::kStringValue:
      return boost::json::value(std::string_view(value.string_value()));
    case Value::kListValue:
      return Convert(value.list_value(), depth);
    case Value::kStructValue:
      return Convert(value.struct_value(), depth);
    case Value::kNumberValue: {
      const double number = value.number_value();
      if (!std::isfinite(number)) return absl::InvalidArgumentError("a number is not finite");
      if (std::fabs(number) <= kExactIntegers && number == std::trunc(number)) {
        return boost::json::value(static_cast<int64_t>(number));
      }
      return boost::json::value(number);
    }
    default:
      return boost::json::value(nullptr);
  }
}

}  // namespace

Json JsonOf(const Value& value) {
  return Convert(value, 1);
}
Json JsonOf(const ListValue& list) {
  return Convert(list, 1);
}
Json JsonOf(const Struct& object) {
  return Convert(object, 1);
}

}  // namespace swiftlet
