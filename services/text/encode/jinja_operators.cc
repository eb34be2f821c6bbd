#include "services/text/encode/jinja_operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_format.h"
#include "services/text/encode/jinja_methods.h"

namespace swiftlet::jinja {

namespace {

absl::Status Unsupported(std::string_view symbol, const Value& left, const Value& right) {
  if (left.is_undefined()) return UndefinedError(left);
  if (right.is_undefined()) return UndefinedError(right);
  if (left.is_string() && symbol == "+") {
    return TemplateError(Concat("can only concatenate str (not \"", right.type_name(), "\") to str"));
  }
  return TemplateError(
      Concat("unsupported operand type(s) for ", symbol, ": '", left.type_name(), "' and '", right.type_name(), "'"));
}

absl::Status TooLarge() {
  return LimitError("the template computed an integer of more than 127 bits");
}

absl::StatusOr<Value> Power(const Value& left, const Value& right) {
  if (!left.is_integral() || !right.is_integral() || right.integer() < 0) {
    return Value::Float(std::pow(left.number(), right.number()));
  }
  Integer result = 1;
  Integer base = left.integer();
  for (Integer exponent = right.integer(); exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return TooLarge();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return TooLarge();
  }
  return Value::Int(result);
}

Integer FloorDivide(Integer a, Integer b) {
  Integer quotient = a / b;
  if (a % b != 0 && (a < 0) != (b < 0)) --quotient;
  return quotient;
}

absl::StatusOr<Value> Numbers(BinaryOperator op, const Value& left, const Value& right) {
  const bool dividing =
      op == BinaryOperator::kDivide || op == BinaryOperator::kFloorDivide || op == BinaryOperator::kModulo;
  if (dividing && right.number() == 0.0) return TemplateError("division by zero");
  if (op == BinaryOperator::kPower) return Power(left, right);
  if (op == BinaryOperator::kDivide) return Value::Float(left.number() / right.number());
  if (left.is_integral() && right.is_integral()) {
    const Integer a = left.integer();
    const Integer b = right.integer();
    Integer result = 0;
    bool overflow = false;
    switch (op) {
      case BinaryOperator::kAdd:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
      case BinaryOperator::kSubtract:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
      case BinaryOperator::kMultiply:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
      case BinaryOperator::kFloorDivide:
        result = b == -1 ? -a : FloorDivide(a, b);
        break;
      case BinaryOperator::kModulo:
        result = b == -1 ? 0 : a - FloorDivide(a, b) * b;
        break;
      default:
        break;
    }
    if (overflow) return TooLarge();
    return Value::Int(result);
  }
  const double a = left.number();
  const double b = right.number();
  switch (op) {
    case BinaryOperator::kAdd:
      return Value::Float(a + b);
    case BinaryOperator::kSubtract:
      return Value::Float(a - b);
    case BinaryOperator::kMultiply:
      return Value::Float(a * b);
    case BinaryOperator::kFloorDivide:
      return Value::Float(std::floor(a / b));
    default: {
      double remainder = std::fmod(a, b);
      if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
      return Value::Float(remainder);
    }
  }
}

bool IsListLike(const Value& value) {
  return value.is_sequence() &&
         (value.sequence().kind == SequenceKind::kList || value.sequence().kind == SequenceKind::kTuple);
}

bool IsIndexable(const Value& value) {
  return IsListLike(value) || (value.is_sequence() && value.sequence().kind == SequenceKind::kRange);
}

absl::StatusOr<Value> Repeat(Runtime& runtime, const Value& value, Integer count) {
  count = std::max(count, Integer{0});
  if (value.is_string()) {
    const size_t size = value.bytes().size();
    if (size > 0 && count > static_cast<Integer>(runtime.limits().string_bytes / size)) {
      return runtime.CheckStringSize(std::numeric_limits<uint64_t>::max());
    }
    TextBuilder builder;
    for (Integer i = 0; size > 0 && i < count; ++i) builder.Append(value.text());
    return runtime.NewString(builder.Build());
  }
  const std::vector<Value>& items = value.sequence().items;
  if (!items.empty() && count > runtime.limits().range_length / static_cast<Integer>(items.size())) {
    return LimitError(Concat("the template made a list of more than ", runtime.limits().range_length, " items"));
  }
  std::vector<Value> repeated;
  for (Integer i = 0; !items.empty() && i < count; ++i) repeated.insert(repeated.end(), items.begin(), items.end());
  return runtime.NewList(std::move(repeated), value.sequence().kind);
}

// slice.indices(): absent bounds become the ends in the direction of the step, all others are clamped.
absl::StatusOr<int64_t> SliceBound(const Value& bound, int64_t length, bool forward, bool is_begin) {
  const int64_t lowest = forward ? 0 : -1;
  const int64_t highest = forward ? length : length - 1;
  if (bound.is_none()) return is_begin == forward ? lowest : highest;
  if (bound.is_undefined() || !bound.is_integral()) {
    return TemplateError("slice indices must be integers or None or have an __index__ method");
  }
  Integer at = bound.integer();
  if (at < 0) at += length;
  return static_cast<int64_t>(std::clamp<Integer>(at, lowest, highest));
}

}  // namespace

absl::StatusOr<Value> Arithmetic(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
  static constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
  if (left.is_number() && right.is_number()) return Numbers(op, left, right);
  if (op == BinaryOperator::kAdd) {
    if (left.is_string() && right.is_string()) {
      RETURN_IF_ERROR(runtime.CheckStringSize(left.bytes().size() + right.bytes().size()));
      TextBuilder builder;
      builder.Append(left.text());
      builder.Append(right.text());
      return runtime.NewString(builder.Build());
    }
    if (IsListLike(left) && IsListLike(right) && left.sequence().kind == right.sequence().kind) {
      std::vector<Value> items = left.sequence().items;
      items.insert(items.end(), right.sequence().items.begin(), right.sequence().items.end());
      return runtime.NewList(std::move(items), left.sequence().kind);
    }
  }
  if (op == BinaryOperator::kMultiply) {
    if ((left.is_string() || IsListLike(left)) && right.is_integral()) return Repeat(runtime, left, right.integer());
    if ((right.is_string() || IsListLike(right)) && left.is_integral()) return Repeat(runtime, right, left.integer());
  }
  if (op == BinaryOperator::kModulo && left.is_string()) return PercentFormat(runtime, left.text(), right);
  return Unsupported(kSymbols[static_cast<size_t>(op)], left, right);
}

absl::StatusOr<Value> Negate(const Value& value) {
  if (value.is_undefined()) return UndefinedError(value);
  if (value.is_integral()) return Value::Int(-value.integer());
  if (value.is_float()) return Value::Float(-value.number());
  return TemplateError(Concat("bad operand type for unary -: '", value.type_name(), "'"));
}

absl::StatusOr<Value> GetAttribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is_undefined()) return UndefinedError(object);
  Value attribute = PythonAttribute(runtime, object, name);
  if (!attribute.is_undefined() || IsPythonAttribute(object, name)) return attribute;
  if (object.is_dict()) {
    if (const Value* item = object.dict().Find(name)) return *item;
  }
  return Value::UndefinedBecause(
      Concat("'", object.is_dict() ? "dict object" : object.type_name(), "' has no attribute '", name, "'"));
}

absl::StatusOr<Value> GetItem(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_undefined()) return UndefinedError(object);
  if (object.is_dict()) {
    if (const Value* item = object.dict().Find(key)) return *item;
  } else if (key.is_integral()) {
    if (object.is_string()) {
      const std::string& bytes = object.bytes();
      const int64_t length = CodePointCount(bytes);
      runtime.Spend(bytes.size() / 64);
      const Integer index = key.integer() < 0 ? key.integer() + length : key.integer();
      if (index >= 0 && index < length) {
        const size_t begin = CodePointOffset(bytes, static_cast<int64_t>(index));
        size_t end = begin;
        DecodeCodePoint(bytes, end);
        return runtime.NewString(Substring(object.text(), begin, end));
      }
    } else if (IsIndexable(object)) {
      const std::vector<Value>& items = object.sequence().items;
      const Integer size = static_cast<Integer>(items.size());
      const Integer index = key.integer() < 0 ? key.integer() + size : key.integer();
      if (index >= 0 && index < size) return items[static_cast<size_t>(index)];
    }
  }
  if (key.is_string()) {
    Value attribute = PythonAttribute(runtime, object, key.bytes());
    if (!attribute.is_undefined()) return attribute;
    return Value::UndefinedBecause(Concat("'", object.is_dict() ? "dict object" : object.type_name(),
                                          "' has no attribute '", key.bytes().substr(0, 200), "'"));
  }
  return Value::UndefinedBecause(Concat("'", object.type_name(), "' has no such element"));
}

absl::StatusOr<Value> GetSlice(Runtime& runtime, const Value& object, const Value& begin, const Value& end,
                               const Value& step) {
  if (object.is_undefined()) return UndefinedError(object);
  if (!object.is_string() && !IsIndexable(object)) {
    return TemplateError(Concat("'", object.type_name(), "' object cannot be sliced"));
  }
  Integer stride = 1;
  if (!step.is_none()) {
    if (!step.is_integral()) return TemplateError("slice indices must be integers or None");
    stride = step.integer();
    if (stride == 0) return TemplateError("slice step cannot be zero");
  }
  ASSIGN_OR_RETURN(const int64_t length, Length(object));
  ASSIGN_OR_RETURN(const int64_t first, SliceBound(begin, length, stride > 0, true));
  ASSIGN_OR_RETURN(const int64_t last, SliceBound(end, length, stride > 0, false));
  std::vector<int64_t> indices;
  if (object.is_string() && stride == 1) {
    const size_t from = CodePointOffset(object.bytes(), first);
    const size_t to = std::max(from, CodePointOffset(object.bytes(), last));
    runtime.Spend(object.bytes().size() / 64);
    return runtime.NewString(Substring(object.text(), from, to));
  }
  for (Integer at = first; stride > 0 ? at < last : at > last; at += stride) {
    indices.push_back(static_cast<int64_t>(at));
  }
  if (object.is_string()) {
    ASSIGN_OR_RETURN(const std::vector<Value> characters, Iterate(object));
    runtime.Spend(characters.size());
    TextBuilder builder;
    for (int64_t index : indices) builder.Append(characters[static_cast<size_t>(index)].text());
    return runtime.NewString(builder.Build());
  }
  std::vector<Value> items;
  items.reserve(indices.size());
  for (int64_t index : indices) items.push_back(object.sequence().items[static_cast<size_t>(index)]);
  return runtime.NewList(std::move(items), object.sequence().kind);
}

absl::StatusOr<int64_t> Length(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      return 0;
    case Value::Kind::kString:
      return CodePointCount(value.bytes());
    case Value::Kind::kDict:
      return static_cast<int64_t>(value.dict().size());
    case Value::Kind::kSequence:
      if (value.sequence().kind != SequenceKind::kIterator) return static_cast<int64_t>(value.sequence().items.size());
      break;
    case Value::Kind::kLoop:
      return static_cast<int64_t>(value.loop()->items.size());
    default:
      break;
  }
  return TemplateError(Concat("object of type '", value.type_name(), "' has no len()"));
}

}  // namespace swiftlet::jinja
