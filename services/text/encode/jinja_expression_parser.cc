// The ladder of operators, from the conditional down to the signs; operands stand in jinja_operand_parser.cc.
#include "services/text/encode/jinja_expression_parser.h"

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

}  // namespace swiftlet::jinja
