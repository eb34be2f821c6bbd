#include "services/text/encode/jinja_parser.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_expression_parser.h"
#include "services/text/encode/jinja_lexer.h"
#include "services/text/encode/jinja_token_stream.h"

namespace swiftlet::jinja {

namespace {

using Kind = Statement::Kind;
using StatementPointer = std::unique_ptr<Statement>;
using EndTags = std::initializer_list<std::string_view>;

class Parser {
 public:
  Parser(std::vector<Token> tokens, const Limits& limits)
      : tokens_(std::move(tokens)), expressions_(tokens_, program_, limits) {
    program_.loop = expressions_.Intern("loop");
    program_.caller = expressions_.Intern("caller");
    program_.varargs = expressions_.Intern("varargs");
    program_.kwargs = expressions_.Intern("kwargs");
    program_.hole = expressions_.Intern("|");
  }

  absl::StatusOr<Program> Run() {
    ASSIGN_OR_RETURN(program_.body, ParseBlock({}));
    return std::move(program_);
  }

 private:
  // Statements up to a tag of `ends`, which is left with its name as the current token.
  absl::StatusOr<Block> ParseBlock(EndTags ends) {
    ExpressionParser::Level level(expressions_.depth());
    RETURN_IF_ERROR(expressions_.CheckDepth());
    Block block;
    while (true) {
      const Token& token = tokens_.current();
      switch (token.kind) {
        case Token::Kind::kEnd:
          if (ends.size() == 0) return block;
          return tokens_.Unexpected(Concat("the tag '", *(ends.end() - 1), "'"));
        case Token::Kind::kText: {
          StatementPointer text = New(Kind::kText);
          text->text = Value::String(token.text);
          tokens_.Advance();
          block.push_back(std::move(text));
          break;
        }
        case Token::Kind::kBeginOutput: {
          tokens_.Advance();
          StatementPointer output = New(Kind::kOutput);
          ASSIGN_OR_RETURN(output->expression, expressions_.ParseTuple());
          RETURN_IF_ERROR(tokens_.Expect(Token::Kind::kEndOutput, "'}}'"));
          block.push_back(std::move(output));
          break;
        }
        default: {
          tokens_.Advance();
          if (!tokens_.Is(Token::Kind::kName)) return tokens_.Unexpected("a tag's name");
          if (std::find(ends.begin(), ends.end(), tokens_.current().text) != ends.end()) return block;
          ASSIGN_OR_RETURN(StatementPointer statement, ParseStatement());
          RETURN_IF_ERROR(EndTag());
          block.push_back(std::move(statement));
        }
      }
    }
  }

  StatementPointer New(Kind kind) const {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = tokens_.line();
    return statement;
  }

  absl::Status EndTag() { return tokens_.Expect(Token::Kind::kEndBlock, "'%}'"); }

  // The body of a tag that ends with `end`; the tag's own closing mark is still to come. Leaves `end`'s mark to come.
  absl::StatusOr<Block> ParseBody(std::string_view end) {
    RETURN_IF_ERROR(EndTag());
    ASSIGN_OR_RETURN(Block body, ParseBlock({end}));
    tokens_.Advance();
    return body;
  }

  absl::StatusOr<StatementPointer> ParseStatement() {
    const std::string name = tokens_.current().text;
    const int line = tokens_.line();
    if (name == "if") return ParseIf();
    if (name == "for") return ParseFor();
    if (name == "set") return ParseSet();
    if (name == "macro") return ParseMacro();
    if (name == "call") return ParseCall();
    if (name == "filter") return ParseFilterBlock();
    if (name == "with") return ParseWith();
    tokens_.Advance();
    if (name == "generation") {
      StatementPointer scope = New(Kind::kScope);
      ASSIGN_OR_RETURN(Block body, ParseBody("endgeneration"));
      scope->branches.push_back({nullptr, std::move(body)});
      return scope;
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) return SyntaxError(line, Concat("'", name, "' outside of a loop"));
      return New(name == "break" ? Kind::kBreak : Kind::kContinue);
    }
    return SyntaxError(line, Concat("unknown tag '", name.substr(0, 40), "'"));
  }

  absl::StatusOr<StatementPointer> ParseIf() {
    StatementPointer statement = New(Kind::kIf);
    while (true) {
      Statement::Branch branch;
      const bool is_else = tokens_.IsName("else");
      tokens_.Advance();
      if (!is_else) {
        ASSIGN_OR_RETURN(branch.condition, expressions_.ParseTuple(false));
      }
      RETURN_IF_ERROR(EndTag());
      if (is_else) {
        ASSIGN_OR_RETURN(branch.body, ParseBlock({"endif"}));
      } else {
        ASSIGN_OR_RETURN(branch.body, ParseBlock({"elif", "else", "endif"}));
      }
      statement->branches.push_back(std::move(branch));
      if (tokens_.SkipName("endif")) return statement;
    }
  }

  absl::StatusOr<StatementPointer> ParseFor() {
    StatementPointer statement = New(Kind::kFor);
    tokens_.Advance();
    ASSIGN_OR_RETURN(statement->target, ParseTarget(false));
    RETURN_IF_ERROR(tokens_.ExpectName("in"));
    ASSIGN_OR_RETURN(statement->expression, expressions_.ParseTuple(false));
    MarkAssigned(statement->target);
    if (tokens_.SkipName("if")) {
      ASSIGN_OR_RETURN(statement->condition, expressions_.ParseExpression());
    }
    if (tokens_.IsName("recursive")) return SyntaxError(tokens_.line(), "recursive loops are not supported");
    RETURN_IF_ERROR(EndTag());
    ++loops_;
    ASSIGN_OR_RETURN(Block body, ParseBlock({"else", "endfor"}));
    --loops_;
    statement->branches.push_back({nullptr, std::move(body)});
    statement->branches.emplace_back();
    if (tokens_.SkipName("else")) {
      RETURN_IF_ERROR(EndTag());
      ASSIGN_OR_RETURN(statement->branches[1].body, ParseBlock({"endfor"}));
    }
    tokens_.Advance();
    return statement;
  }

  // name, a.b (where `with_attribute`), or several with commas, perhaps in parentheses.
  absl::StatusOr<Target> ParseTarget(bool with_attribute) {
    ExpressionParser::Level level(expressions_.depth());
    RETURN_IF_ERROR(expressions_.CheckDepth());
    std::vector<Target> parts;
    bool comma = false;
    while (true) {
      Target part;
      if (tokens_.SkipOperator("(")) {
        ASSIGN_OR_RETURN(part, ParseTarget(with_attribute));
        RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
      } else {
        ASSIGN_OR_RETURN(const std::string name, ParseVariableName());
        part.symbol = expressions_.Intern(name);
        if (with_attribute && tokens_.SkipOperator(".")) {
          part.attribute = tokens_.current().text;
          RETURN_IF_ERROR(tokens_.Expect(Token::Kind::kName, "an attribute's name"));
        }
      }
      parts.push_back(std::move(part));
      if (!tokens_.SkipOperator(",")) break;
      comma = true;
      if (!tokens_.Is(Token::Kind::kName) && !tokens_.IsOperator("(")) break;
      if (tokens_.IsName("in")) break;
    }
    if (!comma) return std::move(parts[0]);
    Target tuple;
    tuple.parts = std::move(parts);
    return tuple;
  }

  void MarkAssigned(const Target& target) {
    if (target.parts.empty() && target.attribute.empty()) expressions_.MarkAssigned(target.symbol);
    for (const Target& part : target.parts) MarkAssigned(part);
  }

  absl::StatusOr<std::string> ParseVariableName() {
    static constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None",
                                                     "and",  "or",    "not",  "if",   "in",    "is"};
    const std::string name = tokens_.current().text;
    if (!tokens_.Is(Token::Kind::kName) ||
        std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
      return tokens_.Unexpected("a variable's name");
    }
    tokens_.Advance();
    return name;
  }

  // What a filter or set block does with its text: the filters, over the hole.
  absl::StatusOr<ExpressionPointer> FiltersOverHole() {
    auto hole = std::make_unique<Expression>();
    hole->kind = Expression::Kind::kName;
    hole->line = tokens_.line();
    hole->symbol = program_.hole;
    return expressions_.ParseFilters(std::move(hole));
  }

  absl::StatusOr<StatementPointer> ParseSet() {
    StatementPointer statement = New(Kind::kSet);
    tokens_.Advance();
    ASSIGN_OR_RETURN(statement->target, ParseTarget(true));
    if (tokens_.SkipOperator("=")) {
      ASSIGN_OR_RETURN(statement->expression, expressions_.ParseTuple());
      MarkAssigned(statement->target);
      return statement;
    }
    statement->kind = Kind::kSetBlock;
    ASSIGN_OR_RETURN(statement->expression, FiltersOverHole());
    ASSIGN_OR_RETURN(Block body, ParseBody("endset"));
    MarkAssigned(statement->target);
    statement->branches.push_back({nullptr, std::move(body)});
    return statement;
  }

  absl::StatusOr<StatementPointer> ParseFilterBlock() {
    StatementPointer statement = New(Kind::kFilterBlock);
    // The tag's name stands where "|" would: "filter upper" reads as "| upper".
    tokens_.ReplaceCurrent({Token::Kind::kOperator, "|", tokens_.line()});
    ASSIGN_OR_RETURN(statement->expression, FiltersOverHole());
    ASSIGN_OR_RETURN(Block body, ParseBody("endfilter"));
    statement->branches.push_back({nullptr, std::move(body)});
    return statement;
  }

  absl::Status ParseParameters(MacroDefinition& macro) {
    RETURN_IF_ERROR(tokens_.ExpectOperator("("));
    while (!tokens_.IsOperator(")")) {
      if (!macro.parameters.empty()) RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      Parameter parameter;
      ASSIGN_OR_RETURN(parameter.name, ParseVariableName());
      parameter.symbol = expressions_.Intern(parameter.name);
      if (tokens_.SkipOperator("=")) {
        ASSIGN_OR_RETURN(parameter.default_value, expressions_.ParseExpression());
      } else if (!macro.parameters.empty() && macro.parameters.back().default_value != nullptr) {
        return SyntaxError(tokens_.line(), "non-default argument follows default argument");
      }
      expressions_.MarkAssigned(parameter.symbol);
      macro.parameters.push_back(std::move(parameter));
    }
    tokens_.Advance();
    return absl::OkStatus();
  }

  absl::Status ParseMacroBody(MacroDefinition& macro, std::string_view end) {
    const Symbol special[] = {program_.varargs, program_.kwargs, program_.caller};
    bool* const uses[] = {&macro.uses_varargs, &macro.uses_kwargs, &macro.uses_caller};
    bool outer[3];
    for (size_t i = 0; i < 3; ++i) {
      outer[i] = program_.is_read[static_cast<size_t>(special[i])];
      program_.is_read[static_cast<size_t>(special[i])] = false;
    }
    const int loops = std::exchange(loops_, 0);
    ASSIGN_OR_RETURN(macro.body, ParseBody(end));
    loops_ = loops;
    for (size_t i = 0; i < 3; ++i) {
      *uses[i] = program_.is_read[static_cast<size_t>(special[i])];
      program_.is_read[static_cast<size_t>(special[i])] = *uses[i] || outer[i];
    }
    return absl::OkStatus();
  }

  absl::StatusOr<StatementPointer> ParseMacro() {
    StatementPointer statement = New(Kind::kMacro);
    tokens_.Advance();
    auto macro = std::make_shared<MacroDefinition>();
    ASSIGN_OR_RETURN(macro->name, ParseVariableName());
    statement->target.symbol = expressions_.Intern(macro->name);
    MarkAssigned(statement->target);
    RETURN_IF_ERROR(ParseParameters(*macro));
    RETURN_IF_ERROR(ParseMacroBody(*macro, "endmacro"));
    statement->macro = std::move(macro);
    return statement;
  }

  absl::StatusOr<StatementPointer> ParseCall() {
    StatementPointer statement = New(Kind::kCallBlock);
    tokens_.Advance();
    auto macro = std::make_shared<MacroDefinition>();
    macro->name = "caller";
    if (tokens_.IsOperator("(")) RETURN_IF_ERROR(ParseParameters(*macro));
    ASSIGN_OR_RETURN(statement->expression, expressions_.ParseExpression());
    if (statement->expression->kind != Expression::Kind::kCall) return tokens_.Unexpected("a call");
    RETURN_IF_ERROR(ParseMacroBody(*macro, "endcall"));
    statement->macro = std::move(macro);
    return statement;
  }

  absl::StatusOr<StatementPointer> ParseWith() {
    StatementPointer statement = New(Kind::kWith);
    tokens_.Advance();
    while (!tokens_.Is(Token::Kind::kEndBlock)) {
      if (!statement->assignments.empty()) RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      ASSIGN_OR_RETURN(const std::string name, ParseVariableName());
      Target target;
      target.symbol = expressions_.Intern(name);
      RETURN_IF_ERROR(tokens_.ExpectOperator("="));
      ASSIGN_OR_RETURN(ExpressionPointer value, expressions_.ParseExpression());
      MarkAssigned(target);
      statement->assignments.emplace_back(std::move(target), std::move(value));
    }
    ASSIGN_OR_RETURN(Block body, ParseBody("endwith"));
    statement->branches.push_back({nullptr, std::move(body)});
    return statement;
  }

  Program program_;
  TokenStream tokens_;
  ExpressionParser expressions_;
  int loops_ = 0;  // around the current statement, within its macro
};

}  // namespace

absl::StatusOr<Program> Parse(std::string_view source, const Limits& limits) {
  if (source.size() > limits.source_bytes) {
    return TemplateError(Concat("the template is longer than ", limits.source_bytes, " bytes"));
  }
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return Parser(std::move(tokens), limits).Run();
}

}  // namespace swiftlet::jinja
