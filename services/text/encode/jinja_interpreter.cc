#include "services/text/encode/jinja_interpreter.h"

#include <algorithm>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_globals.h"
#include "services/text/encode/jinja_print.h"

namespace swiftlet::jinja {

// A scope for as long as the guard lives, or until the rendering ends when a macro captured it.
class Interpreter::ScopeGuard {
 public:
  ScopeGuard(Interpreter& interpreter, Scope* parent) : interpreter_(interpreter), outer_(interpreter.scope_) {
    own_ = std::make_unique<Scope>();
    own_->parent = parent;
    interpreter_.scope_ = own_.get();
  }
  ~ScopeGuard() {
    interpreter_.scope_ = outer_;
    if (own_->captured) interpreter_.kept_scopes_.push_back(std::move(own_));
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Interpreter& interpreter_;
  Scope* const outer_;
  std::unique_ptr<Scope> own_;
};

namespace {

class Depth {
 public:
  explicit Depth(int& depth) : depth_(depth) { ++depth_; }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& depth_;
};

}  // namespace

Value Interpreter::Lookup(Symbol symbol) const {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [name, value] : scope->variables) {
      if (name == symbol) return value;
    }
  }
  return Value::UndefinedBecause(Concat("'", program_.names[static_cast<size_t>(symbol)], "' is undefined"));
}

void Interpreter::Define(Symbol symbol, Value value) {
  for (auto& [name, old] : scope_->variables) {
    if (name == symbol) {
      old = std::move(value);
      return;
    }
  }
  scope_->variables.emplace_back(symbol, std::move(value));
}

absl::StatusOr<Text> Interpreter::Run(const std::vector<std::pair<std::string_view, Value>>& variables) {
  ScopeGuard globals(*this, nullptr);
  auto define = [&](const std::vector<std::pair<std::string_view, Value>>& values) {
    for (const auto& [name, value] : values) {
      const auto found = std::find(program_.names.begin(), program_.names.end(), name);
      if (found != program_.names.end()) Define(static_cast<Symbol>(found - program_.names.begin()), value);
    }
  };
  define(Globals());
  define(variables);
  ScopeGuard root(*this, scope_);
  TextBuilder out;
  out_ = &out;
  const absl::Status status = Execute(program_.body);
  if (status.ok()) return out.Build();
  if (IsRaised(status)) return absl::InvalidArgumentError(status.message());
  return absl::Status(status.code(), Concat("chat template, line ", error_line_, ": ", status.message()));
}

absl::Status Interpreter::Execute(const Block& block) {
  for (const auto& statement : block) {
    absl::Status status = ExecuteStatement(*statement);
    if (!status.ok()) {
      if (error_line_ == 0) error_line_ = statement->line;
      return status;
    }
    if (flow_ != Flow::kNext) break;
  }
  return absl::OkStatus();
}

absl::Status Interpreter::ExecuteStatement(const Statement& statement) {
  const Depth depth(depth_);
  if (depth_ > runtime_.limits().call_depth) {
    return LimitError(Concat("the template nested evaluations more than ", runtime_.limits().call_depth, " deep"));
  }
  runtime_.Spend(1);
  RETURN_IF_ERROR(runtime_.CheckBudget());
  switch (statement.kind) {
    case Statement::Kind::kText:
      out_->Append(statement.text.text());
      break;
    case Statement::Kind::kOutput: {
      ASSIGN_OR_RETURN(const Value value, Evaluate(*statement.expression));
      RETURN_IF_ERROR(AppendStr(value, runtime_.limits().string_bytes, *out_));
      break;
    }
    case Statement::Kind::kIf:
      return ExecuteIf(statement);
    case Statement::Kind::kFor:
      return ExecuteFor(statement);
    case Statement::Kind::kSet: {
      ASSIGN_OR_RETURN(Value value, Evaluate(*statement.expression));
      return Assign(statement.target, std::move(value));
    }
    case Statement::Kind::kSetBlock:
    case Statement::Kind::kFilterBlock: {
      Value value;
      {
        ScopeGuard scope(*this, scope_);
        ASSIGN_OR_RETURN(Text text, Capture(statement.branches[0].body));
        Define(program_.hole, runtime_.NewString(std::move(text)));
        ASSIGN_OR_RETURN(value, Evaluate(*statement.expression));
      }
      if (statement.kind == Statement::Kind::kSetBlock) return Assign(statement.target, std::move(value));
      return AppendStr(value, runtime_.limits().string_bytes, *out_);
    }
    case Statement::Kind::kMacro:
      Define(statement.target.symbol, MakeMacro(statement.macro));
      break;
    case Statement::Kind::kCallBlock:
      return ExecuteCallBlock(statement);
    case Statement::Kind::kWith: {
      std::vector<Value> values;
      for (const auto& assignment : statement.assignments) {
        ASSIGN_OR_RETURN(Value value, Evaluate(*assignment.second));
        values.push_back(std::move(value));
      }
      ScopeGuard scope(*this, scope_);
      for (size_t i = 0; i < values.size(); ++i) {
        RETURN_IF_ERROR(Assign(statement.assignments[i].first, std::move(values[i])));
      }
      return Execute(statement.branches[0].body);
    }
    case Statement::Kind::kScope: {
      ScopeGuard scope(*this, scope_);
      return Execute(statement.branches[0].body);
    }
    case Statement::Kind::kBreak:
      flow_ = Flow::kBreak;
      break;
    case Statement::Kind::kContinue:
      flow_ = Flow::kContinue;
      break;
  }
  return runtime_.CheckStringSize(out_->size());
}

absl::Status Interpreter::ExecuteIf(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    if (branch.condition != nullptr) {
      ASSIGN_OR_RETURN(const Value condition, Evaluate(*branch.condition));
      if (!condition.Truth()) continue;
    }
    return Execute(branch.body);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Interpreter::PassesLoopFilter(const Statement& statement, const Value& item) {
  ScopeGuard scope(*this, scope_);
  RETURN_IF_ERROR(Assign(statement.target, item));
  ASSIGN_OR_RETURN(const Value condition, Evaluate(*statement.condition));
  return condition.Truth();
}

absl::Status Interpreter::ExecuteFor(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value iterable, Evaluate(*statement.expression));
  auto loop = std::make_shared<LoopState>();
  ASSIGN_OR_RETURN(loop->items, Iterate(iterable));
  runtime_.Spend(loop->items.size());
  if (statement.condition != nullptr) {
    std::vector<Value> passing;
    for (Value& item : loop->items) {
      ASSIGN_OR_RETURN(const bool passes, PassesLoopFilter(statement, item));
      if (passes) passing.push_back(std::move(item));
    }
    loop->items = std::move(passing);
  }
  bool completed = false;  // an iteration ran to its end: as in Jinja, a break or continue does not count for `else`
  absl::Status status;
  for (loop->index = 0; status.ok() && loop->index < loop->items.size(); ++loop->index) {
    ScopeGuard scope(*this, scope_);
    Define(program_.loop, Value::Of(loop));
    status = Assign(statement.target, loop->items[loop->index]);
    if (status.ok()) status = Execute(statement.branches[0].body);
    const Flow flow = std::exchange(flow_, Flow::kNext);
    completed = completed || flow == Flow::kNext;
    if (flow == Flow::kBreak) break;
  }
  loop->last_changed.clear();  // whoever still holds the loop must not hold itself through it
  if (!status.ok() || completed || statement.branches[1].body.empty()) return status;
  ScopeGuard scope(*this, scope_);
  return Execute(statement.branches[1].body);
}

absl::Status Interpreter::Assign(const Target& target, Value value) {
  if (!target.parts.empty()) {
    ASSIGN_OR_RETURN(std::vector<Value> values, Iterate(value));
    if (values.size() != target.parts.size()) {
      return TemplateError(Concat("cannot unpack ", values.size(), " values into ", target.parts.size()));
    }
    for (size_t i = 0; i < values.size(); ++i) RETURN_IF_ERROR(Assign(target.parts[i], std::move(values[i])));
    return absl::OkStatus();
  }
  if (target.attribute.empty()) {
    Define(target.symbol, std::move(value));
    return absl::OkStatus();
  }
  const Value space = Lookup(target.symbol);
  if (space.kind() != Value::Kind::kNamespace) {
    return TemplateError("cannot assign attribute on non-namespace object");
  }
  runtime_.Spend(space.space()->attributes.size() / 8);
  space.space()->Set(target.attribute, std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<Text> Interpreter::Capture(const Block& block) {
  TextBuilder captured;
  TextBuilder* const outer = std::exchange(out_, &captured);
  const absl::Status status = Execute(block);
  out_ = outer;
  RETURN_IF_ERROR(status);
  return captured.Build();
}

Value Interpreter::MakeMacro(std::shared_ptr<const MacroDefinition> macro) {
  runtime_.Spend(20);  // the scopes it sees stay until the rendering ends
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent) scope->captured = true;
  std::string name = macro->name;
  return Value::Of(std::move(name),
                   [this, macro = std::move(macro), scope = scope_](Runtime&, const CallArguments& arguments) {
                     return CallMacro(*macro, scope, arguments);
                   });
}

absl::Status Interpreter::BindMacroArguments(const MacroDefinition& macro, const CallArguments& arguments) {
  const size_t positional = std::min(arguments.positional.size(), macro.parameters.size());
  std::vector<Value> rest(arguments.positional.begin() + static_cast<ptrdiff_t>(positional),
                          arguments.positional.end());
  if (!rest.empty() && !macro.uses_varargs) {
    return TemplateError(
        Concat("macro '", macro.name, "' takes not more than ", macro.parameters.size(), " argument(s)"));
  }
  std::vector<bool> is_bound(macro.parameters.size(), false);
  for (size_t i = 0; i < positional; ++i) {
    Define(macro.parameters[i].symbol, arguments.positional[i]);
    is_bound[i] = true;
  }
  Dict keywords;
  Value caller = Value::UndefinedBecause("No caller defined");
  for (const auto& [name, value] : arguments.keyword) {
    const auto found = std::find_if(macro.parameters.begin(), macro.parameters.end(),
                                    [&](const Parameter& parameter) { return parameter.name == name; });
    if (found != macro.parameters.end()) {
      const size_t index = static_cast<size_t>(found - macro.parameters.begin());
      if (is_bound[index]) {
        return TemplateError(Concat("macro '", macro.name, "' got two values for '", name, "'"));
      }
      Define(found->symbol, value);
      is_bound[index] = true;
    } else if (name == "caller" && macro.uses_caller) {
      caller = value;
    } else if (macro.uses_kwargs) {
      keywords.Set(Value::String(name), value);
    } else {
      return TemplateError(Concat("macro '", macro.name, "' takes no keyword argument '", name, "'"));
    }
  }
  if (macro.uses_caller) Define(program_.caller, caller);
  if (macro.uses_varargs) Define(program_.varargs, Value::Tuple(std::move(rest)));
  if (macro.uses_kwargs) Define(program_.kwargs, Value::Map(std::move(keywords)));
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    if (is_bound[i]) continue;
    const Parameter& parameter = macro.parameters[i];
    Value value = Value::UndefinedBecause(Concat("parameter '", parameter.name, "' was not provided"));
    if (parameter.default_value != nullptr) {
      ASSIGN_OR_RETURN(value, Evaluate(*parameter.default_value));
    }
    Define(parameter.symbol, std::move(value));
  }
  return absl::OkStatus();
}

Interpreter::Result Interpreter::CallMacro(const MacroDefinition& macro, Scope* scope, const CallArguments& arguments) {
  const Depth depth(depth_);
  ScopeGuard guard(*this, scope);
  RETURN_IF_ERROR(BindMacroArguments(macro, arguments));
  ASSIGN_OR_RETURN(Text text, Capture(macro.body));
  return runtime_.NewString(std::move(text));
}

absl::Status Interpreter::ExecuteCallBlock(const Statement& statement) {
  const Value caller = MakeMacro(statement.macro);
  ASSIGN_OR_RETURN(const Value value, EvaluateCall(*statement.expression, &caller));
  return AppendStr(value, runtime_.limits().string_bytes, *out_);
}

}  // namespace swiftlet::jinja
