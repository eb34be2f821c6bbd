// Renders a Program: walks its statements with scopes, a budget and a bounded depth. One object a rendering, one
// thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/text/encode/jinja_ast.h"
#include "services/text/encode/jinja_runtime.h"

namespace swiftlet::jinja {

class Interpreter {
 public:
  // Both outlive this object. `runtime` is used by this object alone.
  Interpreter(const Program& program, Runtime& runtime) : program_(program), runtime_(runtime) {}
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // INVALID_ARGUMENT with the template's own words where it called raise_exception, with the line otherwise;
  // RESOURCE_EXHAUSTED where it met a limit. Call once.
  absl::StatusOr<Text> Run(const std::vector<std::pair<std::string_view, Value>>& variables);

 private:
  struct Scope {
    Scope* parent = nullptr;
    std::vector<std::pair<Symbol, Value>> variables;
    bool captured = false;  // a macro refers to it: it lives until the rendering ends
  };
  class ScopeGuard;
  enum class Flow { kNext, kBreak, kContinue };
  using Result = absl::StatusOr<Value>;

  // --- statements ---
  absl::Status Execute(const Block& block);
  absl::Status ExecuteStatement(const Statement& statement);
  absl::Status ExecuteIf(const Statement& statement);
  absl::Status ExecuteFor(const Statement& statement);
  absl::Status ExecuteCallBlock(const Statement& statement);
  absl::StatusOr<Text> Capture(const Block& block);
  absl::Status Assign(const Target& target, Value value);
  absl::StatusOr<bool> PassesLoopFilter(const Statement& statement, const Value& item);
  Value MakeMacro(std::shared_ptr<const MacroDefinition> macro);
  Result CallMacro(const MacroDefinition& macro, Scope* scope, const CallArguments& arguments);
  absl::Status BindMacroArguments(const MacroDefinition& macro, const CallArguments& arguments);

  // --- expressions ---
  Result Evaluate(const Expression& expression);
  Result EvaluateInner(const Expression& expression);
  Result EvaluateCompare(const Expression& expression);
  Result EvaluateCall(const Expression& expression, const Value* caller);
  Result EvaluateSlice(const Expression& expression);
  Result EvaluateCollection(const Expression& expression);
  absl::StatusOr<CallArguments> EvaluateArguments(const Expression& call);

  Value Lookup(Symbol symbol) const;
  void Define(Symbol symbol, Value value);

  const Program& program_;
  Runtime& runtime_;
  Scope* scope_ = nullptr;
  std::vector<std::unique_ptr<Scope>> kept_scopes_;
  TextBuilder* out_ = nullptr;
  Flow flow_ = Flow::kNext;
  int depth_ = 0;
  int error_line_ = 0;
};

}  // namespace swiftlet::jinja
