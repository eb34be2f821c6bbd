// Python's operators, attribute and item access on values, as Jinja's immutable sandbox allows them.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string_view>

#include "services/text/encode/jinja_runtime.h"
#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

enum class BinaryOperator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };

absl::StatusOr<Value> Arithmetic(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right);
absl::StatusOr<Value> Negate(const Value& value);

// object.name: a Python attribute first, then an item. object[key]: an item first, then an attribute.
absl::StatusOr<Value> GetAttribute(Runtime& runtime, const Value& object, std::string_view name);
absl::StatusOr<Value> GetItem(Runtime& runtime, const Value& object, const Value& key);
// object[begin:end:step]; None or nothing for an absent bound.
absl::StatusOr<Value> GetSlice(Runtime& runtime, const Value& object, const Value& begin, const Value& end,
                               const Value& step);
absl::StatusOr<int64_t> Length(const Value& value);  // len(value)

}  // namespace swiftlet::jinja
