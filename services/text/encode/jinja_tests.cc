// The tests of the template language (`x is defined`). See jinja_filters.h.
#include <absl/strings/str_cat.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "services/text/encode/jinja_filters.h"
#include "services/text/encode/jinja_methods.h"
#include "services/text/encode/jinja_operators.h"

namespace swiftlet::jinja {

namespace {

using Answer = absl::StatusOr<bool>;
using Kind = Value::Kind;

bool IsSized(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_dict() ||
         (value.is_sequence() && value.sequence().kind != SequenceKind::kIterator);
}

template <bool (*kPredicate)(const Value&)>
Answer Plain(Runtime&, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("test", arguments, {}).status());
  return kPredicate(value);
}

bool Defined(const Value& value) {
  return !value.is_undefined();
}
bool NotDefined(const Value& value) {
  return value.is_undefined();
}
bool None(const Value& value) {
  return value.is_none();
}
bool Boolean(const Value& value) {
  return value.is_bool();
}
bool True(const Value& value) {
  return value.is_bool() && value.boolean();
}
bool False(const Value& value) {
  return value.is_bool() && !value.boolean();
}
bool IntegerNumber(const Value& value) {
  return value.is_integer();
}
bool FloatNumber(const Value& value) {
  return value.is_float();
}
bool Number(const Value& value) {
  return value.is_number();
}
bool IsText(const Value& value) {
  return value.is_string();
}
bool Mapping(const Value& value) {
  return value.is_dict();
}
bool SequenceLike(const Value& value) {
  return IsSized(value) && !value.is_view();
}
bool Iterable(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_dict() || value.is_sequence() ||
         value.kind() == Kind::kLoop;
}
bool Callable(const Value& value) {
  return value.is_function() || value.is_undefined();
}
bool Escaped(const Value&) {
  return false;
}

template <bool kUpper>
Answer Cased(Runtime& runtime, const Value& value, const CallArguments&) {
  const CallArguments none;
  ASSIGN_OR_RETURN(const Value text, FindFilter("string")(runtime, value, none));
  ASSIGN_OR_RETURN(const Value answer, (*FindStringMethod(kUpper ? "isupper" : "islower"))(runtime, text, none));
  return answer.Truth();
}

template <int kRemainder>
Answer Parity(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("test", arguments, {}).status());
  ASSIGN_OR_RETURN(const Value rest, Arithmetic(runtime, BinaryOperator::kModulo, value, Value::Int(2)));
  return Equal(rest, Value::Int(kRemainder));
}

Answer DivisibleBy(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("divisibleby", arguments, {"num"}, 1));
  ASSIGN_OR_RETURN(const Value rest, Arithmetic(runtime, BinaryOperator::kModulo, value, *bound[0]));
  return Equal(rest, Value::Int(0));
}

Answer SameAs(Runtime&, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("sameas", arguments, {"other"}, 1));
  return value.IsSameObject(*bound[0]);
}

Answer In(Runtime&, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("in", arguments, {"seq"}, 1));
  return Contains(*bound[0], value);
}

template <bool kExpected>
Answer Equals(Runtime&, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("eq", arguments, {"other"}, 1));
  return Equal(value, *bound[0]) == kExpected;
}

enum class Relation { kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

template <Relation kRelation>
Answer Compare(Runtime&, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("comparison", arguments, {"other"}, 1));
  ASSIGN_OR_RETURN(const int order, Order(value, *bound[0]));
  switch (kRelation) {
    case Relation::kLess:
      return order < 0;
    case Relation::kLessOrEqual:
      return order <= 0;
    case Relation::kGreater:
      return order > 0;
    case Relation::kGreaterOrEqual:
      return order >= 0;
  }
  return false;
}

Answer IsFilter(Runtime&, const Value& value, const CallArguments&) {
  return value.is_string() && FindFilter(value.bytes()) != nullptr;
}
Answer IsTest(Runtime&, const Value& value, const CallArguments&) {
  return value.is_string() && FindTest(value.bytes()) != nullptr;
}

struct NamedTest {
  std::string_view name;
  Test test;
};

constexpr NamedTest kTests[] = {
    {"defined", Plain<Defined>},
    {"undefined", Plain<NotDefined>},
    {"none", Plain<None>},
    {"string", Plain<IsText>},
    {"mapping", Plain<Mapping>},
    {"iterable", Plain<Iterable>},
    {"sequence", Plain<SequenceLike>},
    {"number", Plain<Number>},
    {"integer", Plain<IntegerNumber>},
    {"float", Plain<FloatNumber>},
    {"boolean", Plain<Boolean>},
    {"true", Plain<True>},
    {"false", Plain<False>},
    {"callable", Plain<Callable>},
    {"escaped", Plain<Escaped>},
    {"odd", Parity<1>},
    {"even", Parity<0>},
    {"divisibleby", DivisibleBy},
    {"lower", Cased<false>},
    {"upper", Cased<true>},
    {"sameas", SameAs},
    {"in", In},
    {"==", Equals<true>},
    {"eq", Equals<true>},
    {"equalto", Equals<true>},
    {"!=", Equals<false>},
    {"ne", Equals<false>},
    {"<", Compare<Relation::kLess>},
    {"lt", Compare<Relation::kLess>},
    {"lessthan", Compare<Relation::kLess>},
    {"<=", Compare<Relation::kLessOrEqual>},
    {"le", Compare<Relation::kLessOrEqual>},
    {">", Compare<Relation::kGreater>},
    {"gt", Compare<Relation::kGreater>},
    {"greaterthan", Compare<Relation::kGreater>},
    {">=", Compare<Relation::kGreaterOrEqual>},
    {"ge", Compare<Relation::kGreaterOrEqual>},
    {"filter", IsFilter},
    {"test", IsTest},
};

}  // namespace

Test FindTest(std::string_view name) {
  for (const NamedTest& entry : kTests) {
    if (entry.name == name) return entry.test;
  }
  return nullptr;
}

}  // namespace swiftlet::jinja
