#include "services/text/encode/jinja_expression_parser.h"

#include <absl/strings/numbers.h>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"

namespace swiftlet::jinja {

using Kind = Expression::Kind;

Symbol ExpressionParser::Intern(std::string_view name) {
  const auto [entry, is_new] = symbols_.emplace(std::string(name), static_cast<Symbol>(program_.names.size()));
  if (is_new) {
    program_.names.emplace_back(name);
    program_.is_read.push_back(false);
    program_.is_free.push_back(false);
    is_assigned_.push_back(false);
  }
  return entry->second;
}

absl::Status ExpressionParser::CheckDepth() const {
  if (depth_ <= limits_.syntax_nesting) return absl::OkStatus();
  return SyntaxError(tokens_.line(), Concat("nested more than ", limits_.syntax_nesting, " deep"));
}

ExpressionPointer ExpressionParser::New(Kind kind) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = tokens_.line();
  return node;
}

ExpressionParser::Result ExpressionParser::Finish(ExpressionPointer node) const {
  auto raise = [&](const ExpressionPointer& child) {
    if (child != nullptr) node->height = std::max(node->height, child->height + 1);
  };
  for (const ExpressionPointer& child : node->children) raise(child);
  for (const auto& [name, child] : node->keywords) raise(child);
  raise(node->spread);
  raise(node->keyword_spread);
  if (node->height > limits_.expression_height) {
    return SyntaxError(node->line, Concat("an expression of more than ", limits_.expression_height, " levels"));
  }
  return node;
}

ExpressionParser::Result ExpressionParser::Binary(Kind kind, ExpressionPointer left, ExpressionPointer right,
                                                  BinaryOperator op) {
  ExpressionPointer node = New(kind);
  node->op = op;
  node->children.push_back(std::move(left));
  node->children.push_back(std::move(right));
  return Finish(std::move(node));
}

ExpressionParser::Result ExpressionParser::ParseTuple(bool with_condition, bool in_parentheses) {
  ExpressionPointer tuple = New(Kind::kTuple);
  bool comma = false;
  while (true) {
    const bool at_end = tokens_.Is(Token::Kind::kEndOutput) || tokens_.Is(Token::Kind::kEndBlock) ||
                        tokens_.IsOperator(")") || tokens_.IsName("in");
    if (at_end) break;
    ASSIGN_OR_RETURN(ExpressionPointer item, ParseExpression(with_condition));
    tuple->children.push_back(std::move(item));
    if (!tokens_.SkipOperator(",")) break;
    comma = true;
  }
  if (!comma) {
    if (tuple->children.size() == 1) return std::move(tuple->children[0]);
    if (!in_parentheses) return tokens_.Unexpected("an expression");
  }
  return Finish(std::move(tuple));
}

ExpressionParser::Result ExpressionParser::ParseExpression(bool with_condition) {
  Level level(depth_);
  RETURN_IF_ERROR(CheckDepth());
  ASSIGN_OR_RETURN(ExpressionPointer value, ParseOr());
  while (with_condition && tokens_.SkipName("if")) {
    ExpressionPointer node = New(Kind::kConditional);
    node->children.push_back(std::move(value));
    ASSIGN_OR_RETURN(ExpressionPointer condition, ParseOr());
    node->children.push_back(std::move(condition));
    if (tokens_.SkipName("else")) {
      ASSIGN_OR_RETURN(ExpressionPointer other, ParseExpression());
      node->children.push_back(std::move(other));
    }
    ASSIGN_OR_RETURN(value, Finish(std::move(node)));
  }
  return value;
}

ExpressionParser::Result ExpressionParser::ParseOr() {
  ASSIGN_OR_RETURN(ExpressionPointer left, ParseAnd());
  while (tokens_.SkipName("or")) {
    ASSIGN_OR_RETURN(ExpressionPointer right, ParseAnd());
    ASSIGN_OR_RETURN(left, Binary(Kind::kOr, std::move(left), std::move(right), BinaryOperator::kAdd));
  }
  return left;
}

ExpressionParser::Result ExpressionParser::ParseAnd() {
  ASSIGN_OR_RETURN(ExpressionPointer left, ParseNot());
  while (tokens_.SkipName("and")) {
    ASSIGN_OR_RETURN(ExpressionPointer right, ParseNot());
    ASSIGN_OR_RETURN(left, Binary(Kind::kAnd, std::move(left), std::move(right), BinaryOperator::kAdd));
  }
  return left;
}

ExpressionParser::Result ExpressionParser::ParseNot() {
  if (!tokens_.IsName("not")) return ParseCompare();
  Level level(depth_);
  RETURN_IF_ERROR(CheckDepth());
  ExpressionPointer node = New(Kind::kNot);
  tokens_.Advance();
  ASSIGN_OR_RETURN(ExpressionPointer operand, ParseNot());
  node->children.push_back(std::move(operand));
  return Finish(std::move(node));
}

ExpressionParser::Result ExpressionParser::ParseCompare() {
  static constexpr std::pair<std::string_view, CompareOperator> kOperators[] = {
      {"==", CompareOperator::kEqual},       {"!=", CompareOperator::kNotEqual},
      {"<=", CompareOperator::kLessOrEqual}, {">=", CompareOperator::kGreaterOrEqual},
      {"<", CompareOperator::kLess},         {">", CompareOperator::kGreater}};
  ASSIGN_OR_RETURN(ExpressionPointer first, ParseSum());
  ExpressionPointer node = New(Kind::kCompare);
  while (true) {
    const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                     [&](const auto& entry) { return tokens_.IsOperator(entry.first); });
    if (found != std::end(kOperators)) {
      tokens_.Advance();
      node->compare.push_back(found->second);
    } else if (tokens_.SkipName("in")) {
      node->compare.push_back(CompareOperator::kIn);
    } else if (tokens_.IsName("not") && tokens_.next().kind == Token::Kind::kName && tokens_.next().text == "in") {
      tokens_.Advance();
      tokens_.Advance();
      node->compare.push_back(CompareOperator::kNotIn);
    } else {
      break;
    }
    ASSIGN_OR_RETURN(ExpressionPointer operand, ParseSum());
    node->children.push_back(std::move(operand));
  }
  if (node->compare.empty()) return first;
  node->children.insert(node->children.begin(), std::move(first));
  return Finish(std::move(node));
}

ExpressionParser::Result ExpressionParser::ParseSum() {
  ASSIGN_OR_RETURN(ExpressionPointer left, ParseConcat());
  while (tokens_.IsOperator("+") || tokens_.IsOperator("-")) {
    const BinaryOperator op = tokens_.IsOperator("+") ? BinaryOperator::kAdd : BinaryOperator::kSubtract;
    tokens_.Advance();
    ASSIGN_OR_RETURN(ExpressionPointer right, ParseConcat());
    ASSIGN_OR_RETURN(left, Binary(Kind::kBinary, std::move(left), std::move(right), op));
  }
  return left;
}

ExpressionParser::Result ExpressionParser::ParseConcat() {
  ASSIGN_OR_RETURN(ExpressionPointer first, ParseProduct());
  if (!tokens_.IsOperator("~")) return first;
  ExpressionPointer node = New(Kind::kConcat);
  node->children.push_back(std::move(first));
  while (tokens_.SkipOperator("~")) {
    ASSIGN_OR_RETURN(ExpressionPointer operand, ParseProduct());
    node->children.push_back(std::move(operand));
  }
  return Finish(std::move(node));
}

ExpressionParser::Result ExpressionParser::ParseProduct() {
  static constexpr std::pair<std::string_view, BinaryOperator> kOperators[] = {{"*", BinaryOperator::kMultiply},
                                                                               {"/", BinaryOperator::kDivide},
                                                                               {"//", BinaryOperator::kFloorDivide},
                                                                               {"%", BinaryOperator::kModulo}};
  ASSIGN_OR_RETURN(ExpressionPointer left, ParsePower());
  while (true) {
    const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                     [&](const auto& entry) { return tokens_.IsOperator(entry.first); });
    if (found == std::end(kOperators)) return left;
    tokens_.Advance();
    ASSIGN_OR_RETURN(ExpressionPointer right, ParsePower());
    ASSIGN_OR_RETURN(left, Binary(Kind::kBinary, std::move(left), std::move(right), found->second));
  }
}

ExpressionParser::Result ExpressionParser::ParsePower() {
  ASSIGN_OR_RETURN(ExpressionPointer left, ParseUnary());
  while (tokens_.SkipOperator("**")) {
    ASSIGN_OR_RETURN(ExpressionPointer right, ParseUnary());
    ASSIGN_OR_RETURN(left, Binary(Kind::kBinary, std::move(left), std::move(right), BinaryOperator::kPower));
  }
  return left;
}

ExpressionParser::Result ExpressionParser::ParseUnary(bool with_filters) {
  Level level(depth_);
  RETURN_IF_ERROR(CheckDepth());
  ExpressionPointer node;
  if (tokens_.IsOperator("-") || tokens_.IsOperator("+")) {
    node = New(tokens_.IsOperator("-") ? Kind::kNegate : Kind::kPositive);
    tokens_.Advance();
    ASSIGN_OR_RETURN(ExpressionPointer operand, ParseUnary(false));
    node->children.push_back(std::move(operand));
    ASSIGN_OR_RETURN(node, Finish(std::move(node)));
  } else {
    ASSIGN_OR_RETURN(node, ParsePrimary());
  }
  ASSIGN_OR_RETURN(node, ParsePostfix(std::move(node)));
  if (!with_filters) return node;
  return ParseFilters(std::move(node));
}

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
      ExpressionPointer call = New(Kind::kCall);
      call->children.push_back(std::move(value));
      RETURN_IF_ERROR(ParseCallArguments(*call));
      ASSIGN_OR_RETURN(value, Finish(std::move(call)));
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
      ExpressionPointer call = New(Kind::kCall);
      call->children.push_back(std::move(value));
      RETURN_IF_ERROR(ParseCallArguments(*call));
      ASSIGN_OR_RETURN(value, Finish(std::move(call)));
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

ExpressionParser::Result ExpressionParser::ParseFilter(ExpressionPointer value) {
  ExpressionPointer node = New(Kind::kFilter);
  tokens_.Advance();
  if (!tokens_.Is(Token::Kind::kName)) return tokens_.Unexpected("a filter's name");
  node->name = tokens_.current().text;
  tokens_.Advance();
  while (tokens_.SkipOperator(".")) {
    node->name += "." + tokens_.current().text;
    RETURN_IF_ERROR(tokens_.Expect(Token::Kind::kName, "a filter's name"));
  }
  node->filter = FindFilter(node->name);
  node->children.push_back(std::move(value));
  if (tokens_.IsOperator("(")) RETURN_IF_ERROR(ParseCallArguments(*node));
  return Finish(std::move(node));
}

ExpressionParser::Result ExpressionParser::ParseTest(ExpressionPointer value) {
  ExpressionPointer node = New(Kind::kTest);
  tokens_.Advance();
  const bool negated = tokens_.SkipName("not");
  if (!tokens_.Is(Token::Kind::kName)) return tokens_.Unexpected("a test's name");
  node->name = tokens_.current().text;
  tokens_.Advance();
  while (tokens_.SkipOperator(".")) {
    node->name += "." + tokens_.current().text;
    RETURN_IF_ERROR(tokens_.Expect(Token::Kind::kName, "a test's name"));
  }
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
