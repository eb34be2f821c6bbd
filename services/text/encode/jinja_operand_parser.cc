// Operands of an expression: literals, names, lists and dicts, and what may follow one: .name, [index], (arguments),
// | filter and is test.
#include <absl/strings/numbers.h>

#include <string>
#include <utility>

#include "engine/base/status_macros.h"
#include "services/text/encode/jinja_expression_parser.h"

namespace swiftlet::jinja {

using Kind = Expression::Kind;

ExpressionParser::Result ExpressionParser::ParsePrimary() {
  const Token& token = tokens_.current();
  ExpressionPointer node = New(Kind::kLiteral);
  switch (token.kind) {
    case Token::Kind::kName:
      if (token.text == "true" || token.text == "True") {
        node->value = Value::Bool(true);
      } else if (token.text == "false" || token.text == "False") {
        node->value = Value::Bool(false);
      } else if (token.text == "none" || token.text == "None") {
        node->value = Value::None();
      } else {
        node->kind = Kind::kName;
        node->symbol = Intern(token.text);
        program_.is_read[static_cast<size_t>(node->symbol)] = true;
        if (!is_assigned_[static_cast<size_t>(node->symbol)])
          program_.is_free[static_cast<size_t>(node->symbol)] = true;
      }
      tokens_.Advance();
      return node;
    case Token::Kind::kString: {
      std::string text;
      for (; tokens_.Is(Token::Kind::kString); tokens_.Advance()) text += tokens_.current().text;
      node->value = Value::String(text);
      return node;
    }
    case Token::Kind::kInteger: {
      std::string digits = token.text;
      int base = 10;
      if (digits.size() > 1 && digits[0] == '0') {
        const char radix = digits[1] | 0x20;
        base = radix == 'x' ? 16 : radix == 'o' ? 8 : radix == 'b' ? 2 : 10;
        if (base != 10) digits = digits.substr(2);
      }
      Integer number = 0;
      for (const char digit : digits) {
        const int value = digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
        if (__builtin_mul_overflow(number, Integer{base}, &number) ||
            __builtin_add_overflow(number, Integer{value}, &number)) {
          return SyntaxError(token.line, "an integer of more than 127 bits");
        }
      }
      node->value = Value::Int(number);
      tokens_.Advance();
      return node;
    }
    case Token::Kind::kFloat: {
      double number = 0;
      if (!absl::SimpleAtod(token.text, &number)) return tokens_.Unexpected("a number");
      node->value = Value::Float(number);
      tokens_.Advance();
      return node;
    }
    case Token::Kind::kOperator:
      break;
    default:
      return tokens_.Unexpected("an expression");
  }
  if (tokens_.SkipOperator("(")) {
    ASSIGN_OR_RETURN(node, ParseTuple(true, true));
    RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
    return node;
  }
  if (tokens_.SkipOperator("[")) {
    node->kind = Kind::kList;
    while (!tokens_.IsOperator("]")) {
      if (!node->children.empty()) {
        RETURN_IF_ERROR(tokens_.ExpectOperator(","));
        if (tokens_.IsOperator("]")) break;
      }
      ASSIGN_OR_RETURN(ExpressionPointer item, ParseExpression());
      node->children.push_back(std::move(item));
    }
    tokens_.Advance();
    return Finish(std::move(node));
  }
  if (tokens_.SkipOperator("{")) return ParseDict();
  return tokens_.Unexpected("an expression");
}

ExpressionParser::Result ExpressionParser::ParseDict() {
  ExpressionPointer node = New(Kind::kDict);
  while (!tokens_.IsOperator("}")) {
    if (!node->children.empty()) {
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      if (tokens_.IsOperator("}")) break;
    }
    ASSIGN_OR_RETURN(ExpressionPointer key, ParseExpression());
    RETURN_IF_ERROR(tokens_.ExpectOperator(":"));
    ASSIGN_OR_RETURN(ExpressionPointer value, ParseExpression());
    node->children.push_back(std::move(key));
    node->children.push_back(std::move(value));
  }
  tokens_.Advance();
  return Finish(std::move(node));
}

ExpressionParser::Result ExpressionParser::ParsePostfix(ExpressionPointer value) {
  while (true) {
    if (tokens_.IsOperator(".") || tokens_.IsOperator("[")) {
      ASSIGN_OR_RETURN(value, ParseSubscript(std::move(value)));
    } else if (tokens_.IsOperator("(")) {
      ASSIGN_OR_RETURN(value, ParseCall(std::move(value)));
    } else {
      return value;
    }
  }
}

ExpressionParser::Result ExpressionParser::ParseFilters(ExpressionPointer value) {
  while (true) {
    if (tokens_.IsOperator("|")) {
      ASSIGN_OR_RETURN(value, ParseFilter(std::move(value)));
    } else if (tokens_.IsName("is")) {
      ASSIGN_OR_RETURN(value, ParseTest(std::move(value)));
    } else if (tokens_.IsOperator("(")) {
      ASSIGN_OR_RETURN(value, ParseCall(std::move(value)));
    } else {
      return value;
    }
  }
}

ExpressionParser::Result ExpressionParser::ParseSubscript(ExpressionPointer object) {
  ExpressionPointer node = New(Kind::kItem);
  node->children.push_back(std::move(object));
  if (tokens_.SkipOperator(".")) {
    if (tokens_.Is(Token::Kind::kName)) {
      node->kind = Kind::kAttribute;
      node->name = tokens_.current().text;
      tokens_.Advance();
    } else if (tokens_.Is(Token::Kind::kInteger)) {
      ASSIGN_OR_RETURN(ExpressionPointer index, ParsePrimary());
      node->children.push_back(std::move(index));
    } else {
      return tokens_.Unexpected("a name or a number");
    }
    return Finish(std::move(node));
  }
  tokens_.Advance();
  std::vector<ExpressionPointer> keys;
  bool slice = false;
  ExpressionPointer bounds[3];
  if (!tokens_.IsOperator(":")) {
    ASSIGN_OR_RETURN(bounds[0], ParseExpression());
  }
  for (int i = 1; i < 3 && tokens_.SkipOperator(":"); ++i) {
    slice = true;
    if (!tokens_.IsOperator("]") && !tokens_.IsOperator(":")) {
      ASSIGN_OR_RETURN(bounds[i], ParseExpression());
    }
  }
  if (slice) {
    node->kind = Kind::kSlice;
    for (ExpressionPointer& bound : bounds) node->children.push_back(std::move(bound));
  } else if (tokens_.IsOperator(",")) {
    ExpressionPointer tuple = New(Kind::kTuple);
    tuple->children.push_back(std::move(bounds[0]));
    while (tokens_.SkipOperator(",")) {
      ASSIGN_OR_RETURN(ExpressionPointer item, ParseExpression());
      tuple->children.push_back(std::move(item));
    }
    ASSIGN_OR_RETURN(tuple, Finish(std::move(tuple)));
    node->children.push_back(std::move(tuple));
  } else {
    node->children.push_back(std::move(bounds[0]));
  }
  RETURN_IF_ERROR(tokens_.ExpectOperator("]"));
  return Finish(std::move(node));
}

ExpressionParser::Result ExpressionParser::ParseCall(ExpressionPointer callee) {
  ExpressionPointer call = New(Kind::kCall);
  call->children.push_back(std::move(callee));
  RETURN_IF_ERROR(ParseCallArguments(*call));
  return Finish(std::move(call));
}

absl::Status ExpressionParser::ParseCallArguments(Expression& call) {
  RETURN_IF_ERROR(tokens_.ExpectOperator("("));
  bool first = true;
  while (!tokens_.IsOperator(")")) {
    if (!first) {
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      if (tokens_.IsOperator(")")) break;
    }
    first = false;
    if (tokens_.IsOperator("*") || tokens_.IsOperator("**")) {
      ExpressionPointer& slot = tokens_.IsOperator("*") ? call.spread : call.keyword_spread;
      if (slot != nullptr) return SyntaxError(tokens_.line(), "invalid syntax for function call expression");
      tokens_.Advance();
      ASSIGN_OR_RETURN(slot, ParseExpression());
    } else if (tokens_.Is(Token::Kind::kName) && tokens_.next().kind == Token::Kind::kOperator &&
               tokens_.next().text == "=") {
      std::string name = tokens_.current().text;
      tokens_.Advance();
      tokens_.Advance();
      ASSIGN_OR_RETURN(ExpressionPointer value, ParseExpression());
      call.keywords.emplace_back(std::move(name), std::move(value));
    } else {
      if (!call.keywords.empty() || call.spread != nullptr || call.keyword_spread != nullptr) {
        return SyntaxError(tokens_.line(), "invalid syntax for function call expression");
      }
      ASSIGN_OR_RETURN(ExpressionPointer value, ParseExpression());
      call.children.push_back(std::move(value));
    }
  }
  tokens_.Advance();
  return absl::OkStatus();
}

absl::StatusOr<std::string> ExpressionParser::ParseDottedName(const char* what) {
  if (!tokens_.Is(Token::Kind::kName)) return tokens_.Unexpected(what);
  std::string name = tokens_.current().text;
  tokens_.Advance();
  while (tokens_.SkipOperator(".")) {
    name += "." + tokens_.current().text;
    RETURN_IF_ERROR(tokens_.Expect(Token::Kind::kName, what));
  }
  return name;
}

ExpressionParser::Result ExpressionParser::ParseFilter(ExpressionPointer value) {
  ExpressionPointer node = New(Kind::kFilter);
  tokens_.Advance();
  ASSIGN_OR_RETURN(node->name, ParseDottedName("a filter's name"));
  node->filter = FindFilter(node->name);
  node->children.push_back(std::move(value));
  if (tokens_.IsOperator("(")) RETURN_IF_ERROR(ParseCallArguments(*node));
  return Finish(std::move(node));
}

ExpressionParser::Result ExpressionParser::ParseTest(ExpressionPointer value) {
  ExpressionPointer node = New(Kind::kTest);
  tokens_.Advance();
  const bool negated = tokens_.SkipName("not");
  ASSIGN_OR_RETURN(node->name, ParseDottedName("a test's name"));
  node->test = FindTest(node->name);
  node->children.push_back(std::move(value));
  const bool begins_value = tokens_.Is(Token::Kind::kName) || tokens_.Is(Token::Kind::kString) ||
                            tokens_.Is(Token::Kind::kInteger) || tokens_.Is(Token::Kind::kFloat) ||
                            tokens_.IsOperator("[") || tokens_.IsOperator("{");
  if (tokens_.IsOperator("(")) {
    RETURN_IF_ERROR(ParseCallArguments(*node));
  } else if (begins_value && !tokens_.IsName("else") && !tokens_.IsName("or") && !tokens_.IsName("and")) {
    if (tokens_.IsName("is")) return SyntaxError(tokens_.line(), "You cannot chain multiple tests with is");
    ASSIGN_OR_RETURN(ExpressionPointer argument, ParsePrimary());
    ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    node->children.push_back(std::move(argument));
  }
  ASSIGN_OR_RETURN(node, Finish(std::move(node)));
  if (!negated) return node;
  ExpressionPointer negation = New(Kind::kNot);
  negation->children.push_back(std::move(node));
  return Finish(std::move(negation));
}

}  // namespace swiftlet::jinja
