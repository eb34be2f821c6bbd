// A parsed template. Written by the parser, then immutable: many renderings read it at once.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "services/text/encode/jinja_filters.h"
#include "services/text/encode/jinja_methods.h"
#include "services/text/encode/jinja_operators.h"
#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

using Symbol = int;  // index into Program::names

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

enum class CompareOperator { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kIn, kNotIn };

struct Expression {
  enum class Kind {
    kLiteral,      // value
    kName,         // symbol
    kList,         // children
    kTuple,        // children
    kDict,         // children: key, value, key, value ...
    kConditional,  // children: value, condition, other value (absent: undefined)
    kAnd,          // children: two
    kOr,
    kNot,
    kNegate,
    kPositive,
    kBinary,     // op, children: two
    kConcat,     // children: all operands of a ~ b ~ c
    kCompare,    // children: operands, compare: the operators between them
    kAttribute,  // children: object; name
    kItem,       // children: object, key
    kSlice,      // children: object, begin, end, step (absent: null)
    kCall,       // children: callee, positional arguments; keywords
    kFilter,     // children: value, positional arguments; name, filter
    kTest,       // children: value, positional arguments; name, test
  };

  Kind kind = Kind::kLiteral;
  int line = 0;
  int height = 1;  // of this tree: bounds the recursion of evaluation and destruction
  BinaryOperator op = BinaryOperator::kAdd;
  Symbol symbol = 0;
  Filter filter = nullptr;  // null: no such filter, an error when it is reached
  Test test = nullptr;
  Value value;
  std::string name;
  std::vector<CompareOperator> compare;
  std::vector<ExpressionPointer> children;
  std::vector<std::pair<std::string, ExpressionPointer>> keywords;
  ExpressionPointer spread;          // *arguments
  ExpressionPointer keyword_spread;  // **arguments
};

// What an assignment writes: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  Symbol symbol = -1;         // the name, or the namespace's name
  std::string attribute;      // not empty: symbol.attribute
  std::vector<Target> parts;  // not empty: a tuple
};

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

struct Parameter {
  Symbol symbol = 0;
  std::string name;
  ExpressionPointer default_value;  // null: none
};

// A macro, or the body of {% call %}.
struct MacroDefinition {
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};

struct Statement {
  enum class Kind {
    kText,         // text
    kOutput,       // expression
    kIf,           // branches: condition (null: else) and body
    kFor,          // target, expression, condition, branches[0]: body, branches[1]: else
    kSet,          // target, expression
    kSetBlock,     // target, branches[0], filters
    kMacro,        // macro, target: its name
    kCallBlock,    // expression (a call), macro: the caller
    kFilterBlock,  // branches[0], expression: the filters over a hole
    kWith,         // assignments, branches[0]
    kScope,        // branches[0]: {% generation %}
    kBreak,
    kContinue,
  };
  struct Branch {
    ExpressionPointer condition;
    Block body;
  };

  Kind kind = Kind::kText;
  int line = 0;
  Value text;
  ExpressionPointer expression;
  ExpressionPointer condition;
  Target target;
  std::vector<Branch> branches;
  std::vector<std::pair<Target, ExpressionPointer>> assignments;
  std::shared_ptr<const MacroDefinition> macro;
};

struct Program {
  std::vector<std::string> names;  // of all variables, by Symbol
  std::vector<bool> is_read;       // whether the template reads the variable anywhere
  std::vector<bool> is_free;       // whether it does so before any statement above sets it
  Symbol loop = 0;
  Symbol caller = 0;
  Symbol varargs = 0;
  Symbol kwargs = 0;
  Symbol hole = 0;  // the text a filter block filters; no template can spell its name
  Block body;
};

}  // namespace swiftlet::jinja
