// Expressions of the template language, by recursive descent with a bounded depth. Used by the template parser alone.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "services/text/encode/jinja_ast.h"
#include "services/text/encode/jinja_runtime.h"
#include "services/text/encode/jinja_token_stream.h"

namespace swiftlet::jinja {

class ExpressionParser {
 public:
  using Result = absl::StatusOr<ExpressionPointer>;

  ExpressionParser(TokenStream& tokens, Program& program, const Limits& limits)
      : tokens_(tokens), program_(program), limits_(limits) {}

  Symbol Intern(std::string_view name);
  // The template sets the variable from here on.
  void MarkAssigned(Symbol symbol) { is_assigned_[static_cast<size_t>(symbol)] = true; }
  // One expression; `with_condition`: whether `a if b else c` may stand there.
  Result ParseExpression(bool with_condition = true);
  // One expression, or several with commas between them: a tuple.
  Result ParseTuple(bool with_condition = true, bool in_parentheses = false);
  // The filters and tests after `value`: | a(b) is c ...; all of them.
  Result ParseFilters(ExpressionPointer value);
  absl::Status ParseCallArguments(Expression& call);
  Result ParsePrimary();
  Result ParsePostfix(ExpressionPointer value);

  // Counts one more level of nesting for as long as it lives.
  class Level {
   public:
    explicit Level(int& depth) : depth_(depth) { ++depth_; }
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int& depth_;
  };
  absl::Status CheckDepth() const;
  int& depth() { return depth_; }

 private:
  Result ParseOr();
  Result ParseAnd();
  Result ParseNot();
  Result ParseCompare();
  Result ParseSum();
  Result ParseConcat();
  Result ParseProduct();
  Result ParsePower();
  Result ParseUnary(bool with_filters = true);
  Result ParseSubscript(ExpressionPointer object);
  Result ParseFilter(ExpressionPointer value);
  Result ParseTest(ExpressionPointer value);
  Result ParseDict();
  Result ParseCall(ExpressionPointer callee);
  // a.b.c, as filters and tests may be named; `what` for the error.
  absl::StatusOr<std::string> ParseDottedName(const char* what);
  Result Binary(Expression::Kind kind, ExpressionPointer left, ExpressionPointer right, BinaryOperator op);
  ExpressionPointer New(Expression::Kind kind) const;
  // Sets the height of a finished node; an error when the tree has become too high.
  Result Finish(ExpressionPointer node) const;

  TokenStream& tokens_;
  Program& program_;
  const Limits& limits_;
  std::unordered_map<std::string, Symbol> symbols_;
  std::vector<bool> is_assigned_;
  int depth_ = 0;
};

}  // namespace swiftlet::jinja
