// Expressions: the other half of jinja_interpreter.h.
#include <algorithm>
#include <optional>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_interpreter.h"
#include "services/text/encode/jinja_methods.h"
#include "services/text/encode/jinja_print.h"

namespace swiftlet::jinja {

namespace {

absl::StatusOr<bool> Compare(CompareOperator op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOperator::kEqual:
      return Equal(left, right);
    case CompareOperator::kNotEqual:
      return !Equal(left, right);
    case CompareOperator::kIn:
      return Contains(right, left);
    case CompareOperator::kNotIn: {
      ASSIGN_OR_RETURN(const bool contains, Contains(right, left));
      return !contains;
    }
    default:
      break;
  }
  ASSIGN_OR_RETURN(const int order, Order(left, right));
  switch (op) {
    case CompareOperator::kLess:
      return order < 0;
    case CompareOperator::kLessOrEqual:
      return order <= 0;
    case CompareOperator::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

// What comparing or searching a value may cost, in steps.
uint64_t Extent(const Value& value) {
  if (value.is_string()) return value.bytes().size() / 64;
  if (value.is_sequence()) return value.sequence().items.size();
  return value.is_dict() ? value.dict().size() / 8 : 0;
}

}  // namespace

Interpreter::Result Interpreter::Evaluate(const Expression& expression) {
  if (expression.kind == Expression::Kind::kLiteral) return expression.value;
  if (depth_ >= runtime_.limits().call_depth) {
    return LimitError(Concat("the template nested evaluations more than ", runtime_.limits().call_depth, " deep"));
  }
  ++depth_;
  runtime_.Spend(1);
  Result result = EvaluateInner(expression);
  --depth_;
  if (result.ok()) RETURN_IF_ERROR(runtime_.CheckBudget());
  return result;
}

Interpreter::Result Interpreter::EvaluateInner(const Expression& expression) {
  const auto child = [&](size_t i) { return Evaluate(*expression.children[i]); };
  switch (expression.kind) {
    case Expression::Kind::kLiteral:
      return expression.value;
    case Expression::Kind::kName:
      return Lookup(expression.symbol);
    case Expression::Kind::kList:
    case Expression::Kind::kTuple:
    case Expression::Kind::kDict:
      return EvaluateCollection(expression);
    case Expression::Kind::kConditional: {
      ASSIGN_OR_RETURN(const Value condition, child(1));
      if (condition.Truth()) return child(0);
      if (expression.children.size() > 2) return child(2);
      return Value::UndefinedBecause("the inline if-expression evaluated to false and no else section was defined.");
    }
    case Expression::Kind::kAnd:
    case Expression::Kind::kOr: {
      ASSIGN_OR_RETURN(Value left, child(0));
      if (left.Truth() == (expression.kind == Expression::Kind::kOr)) return left;
      return child(1);
    }
    case Expression::Kind::kNot: {
      ASSIGN_OR_RETURN(const Value operand, child(0));
      return Value::Bool(!operand.Truth());
    }
    case Expression::Kind::kNegate: {
      ASSIGN_OR_RETURN(const Value operand, child(0));
      return Negate(operand);
    }
    case Expression::Kind::kPositive: {
      ASSIGN_OR_RETURN(const Value operand, child(0));
      RETURN_IF_ERROR(Negate(operand).status());
      return operand.is_bool() ? Value::Int(operand.integer()) : operand;
    }
    case Expression::Kind::kBinary: {
      ASSIGN_OR_RETURN(const Value left, child(0));
      ASSIGN_OR_RETURN(const Value right, child(1));
      return Arithmetic(runtime_, expression.op, left, right);
    }
    case Expression::Kind::kConcat: {
      TextBuilder builder;
      for (size_t i = 0; i < expression.children.size(); ++i) {
        ASSIGN_OR_RETURN(const Value operand, child(i));
        RETURN_IF_ERROR(AppendStr(operand, runtime_.limits().string_bytes, builder));
      }
      return runtime_.NewString(builder.Build());
    }
    case Expression::Kind::kCompare:
      return EvaluateCompare(expression);
    case Expression::Kind::kAttribute: {
      ASSIGN_OR_RETURN(const Value object, child(0));
      return GetAttribute(runtime_, object, expression.name);
    }
    case Expression::Kind::kItem: {
      ASSIGN_OR_RETURN(const Value object, child(0));
      ASSIGN_OR_RETURN(const Value key, child(1));
      return GetItem(runtime_, object, key);
    }
    case Expression::Kind::kSlice:
      return EvaluateSlice(expression);
    case Expression::Kind::kCall:
      return EvaluateCall(expression, nullptr);
    case Expression::Kind::kFilter: {
      if (expression.filter == nullptr) return TemplateError(Concat("No filter named '", expression.name, "'."));
      ASSIGN_OR_RETURN(const Value value, child(0));
      ASSIGN_OR_RETURN(const CallArguments arguments, EvaluateArguments(expression));
      return expression.filter(runtime_, value, arguments);
    }
    case Expression::Kind::kTest: {
      if (expression.test == nullptr) return TemplateError(Concat("No test named '", expression.name, "'."));
      ASSIGN_OR_RETURN(const Value value, child(0));
      ASSIGN_OR_RETURN(const CallArguments arguments, EvaluateArguments(expression));
      ASSIGN_OR_RETURN(const bool answer, expression.test(runtime_, value, arguments));
      return Value::Bool(answer);
    }
  }
  return Value();
}

Interpreter::Result Interpreter::EvaluateCollection(const Expression& expression) {
  if (expression.kind == Expression::Kind::kDict) {
    Dict dict;
    for (size_t i = 0; i + 1 < expression.children.size(); i += 2) {
      ASSIGN_OR_RETURN(Value key, Evaluate(*expression.children[i]));
      ASSIGN_OR_RETURN(Value value, Evaluate(*expression.children[i + 1]));
      if (key.is_dict() || (key.is_sequence() && key.sequence().kind == SequenceKind::kList)) {
        return TemplateError(Concat("unhashable type: '", key.type_name(), "'"));
      }
      dict.Set(std::move(key), std::move(value));
    }
    if (dict.depth() > runtime_.limits().value_depth) return LimitError("the template nested values too deep");
    return Value::Map(std::move(dict));
  }
  std::vector<Value> items;
  items.reserve(expression.children.size());
  for (const ExpressionPointer& item : expression.children) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*item));
    items.push_back(std::move(value));
  }
  return runtime_.NewList(std::move(items),
                          expression.kind == Expression::Kind::kList ? SequenceKind::kList : SequenceKind::kTuple);
}

Interpreter::Result Interpreter::EvaluateCompare(const Expression& expression) {
  ASSIGN_OR_RETURN(Value left, Evaluate(*expression.children[0]));
  for (size_t i = 0; i < expression.compare.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Evaluate(*expression.children[i + 1]));
    runtime_.Spend(std::min(Extent(left), Extent(right)) +
                   (expression.compare[i] >= CompareOperator::kIn ? Extent(right) : 0));
    ASSIGN_OR_RETURN(const bool holds, Compare(expression.compare[i], left, right));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Interpreter::Result Interpreter::EvaluateSlice(const Expression& expression) {
  ASSIGN_OR_RETURN(const Value object, Evaluate(*expression.children[0]));
  Value bounds[3] = {Value::None(), Value::None(), Value::None()};
  for (size_t i = 0; i < 3; ++i) {
    if (expression.children[i + 1] == nullptr) continue;
    ASSIGN_OR_RETURN(bounds[i], Evaluate(*expression.children[i + 1]));
  }
  return GetSlice(runtime_, object, bounds[0], bounds[1], bounds[2]);
}

absl::StatusOr<CallArguments> Interpreter::EvaluateArguments(const Expression& call) {
  CallArguments arguments;
  for (size_t i = 1; i < call.children.size(); ++i) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*call.children[i]));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, expression] : call.keywords) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*expression));
    arguments.keyword.emplace_back(name, std::move(value));
  }
  if (call.spread != nullptr) {
    ASSIGN_OR_RETURN(const Value values, Evaluate(*call.spread));
    ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(values));
    runtime_.Spend(items.size());
    arguments.positional.insert(arguments.positional.end(), items.begin(), items.end());
  }
  if (call.keyword_spread != nullptr) {
    ASSIGN_OR_RETURN(const Value values, Evaluate(*call.keyword_spread));
    if (!values.is_dict()) return TemplateError("argument after ** must be a mapping");
    for (const auto& [key, value] : values.dict().entries()) {
      if (!key.is_string()) return TemplateError("keywords must be strings");
      arguments.keyword.emplace_back(key.bytes(), value);
    }
  }
  return arguments;
}

Interpreter::Result Interpreter::EvaluateCall(const Expression& expression, const Value* caller) {
  const Expression& callee = *expression.children[0];
  Value function;
  if (callee.kind == Expression::Kind::kAttribute) {
    ASSIGN_OR_RETURN(const Value object, Evaluate(*callee.children[0]));
    if (const Method* method = FindMethod(object, callee.name); method != nullptr && caller == nullptr) {
      ASSIGN_OR_RETURN(const CallArguments arguments, EvaluateArguments(expression));
      return (*method)(runtime_, object, arguments);
    }
    ASSIGN_OR_RETURN(function, GetAttribute(runtime_, object, callee.name));
  } else {
    ASSIGN_OR_RETURN(function, Evaluate(callee));
  }
  ASSIGN_OR_RETURN(CallArguments arguments, EvaluateArguments(expression));
  if (caller != nullptr) arguments.keyword.emplace_back("caller", *caller);
  if (function.is_undefined()) return UndefinedError(function);
  if (!function.is_function()) return TemplateError(Concat("'", function.type_name(), "' object is not callable"));
  return function.function().call(runtime_, arguments);
}

}  // namespace swiftlet::jinja
