#include "engine/grammar/json_numbers.h"

#include <algorithm>
#include <string>
#include <vector>

namespace swiftlet {
namespace {

using Node = GrammarBuilder::Node;

constexpr int kFractionDigits = 18;

// At most `count` digits of [low, '9'].
Node UpToDigits(GrammarBuilder& builder, int count, uint8_t high, Node next) {
  Node node = next;
  for (int i = 0; i < count; ++i) node = builder.Optional(builder.Range('0', high, node), next);
  return node;
}

Node PositiveInteger(GrammarBuilder& builder, Node next) {
  return builder.Range('1', '9', UpToDigits(builder, kIntegerDigits - 1, '9', next));
}

// Nothing, or a point and digits up to `high`.
Node OptionalFraction(GrammarBuilder& builder, uint8_t high, Node next) {
  return builder.Optional(
      builder.Byte('.', builder.Range('0', high, UpToDigits(builder, kFractionDigits - 1, high, next))), next);
}

// A point and digits of which one at least is not 0.
Node FractionAboveZero(GrammarBuilder& builder, Node next) {
  Node zeros = Grammar::kDeadNode;  // so far all digits were
  Node above = next;
  for (int i = 0; i < kFractionDigits; ++i) {
    zeros = builder.Bytes({{'0', '0', zeros}, {'1', '9', above}});
    above = builder.Optional(builder.Range('0', '9', above), next);
  }
  return builder.Byte('.', zeros);
}

Node Digits(GrammarBuilder& builder, size_t count, Node next) {
  for (size_t i = 0; i < count; ++i) next = builder.Range('0', '9', next);
  return next;
}

// Numbers of as many digits as both texts have, between them.
Node SameLength(GrammarBuilder& builder, const std::string& low, const std::string& high, Node next) {
  const size_t common = std::mismatch(low.begin(), low.end(), high.begin()).first - low.begin();
  if (common == low.size()) return builder.Literal(low, next);
  Node above = next;  // of the digits after i: at least low's
  Node below = next;  // at most high's
  for (size_t i = low.size(); --i > common;) {
    const Node any = Digits(builder, low.size() - 1 - i, next);
    const auto bottom = static_cast<uint8_t>(low[i]);
    const auto top = static_cast<uint8_t>(high[i]);
    std::vector<Grammar::Edge> from_low = {{bottom, bottom, above}};
    if (bottom < '9') from_low.push_back({static_cast<uint8_t>(bottom + 1), '9', any});
    std::vector<Grammar::Edge> to_high = {{top, top, below}};
    if (top > '0') to_high.push_back({'0', static_cast<uint8_t>(top - 1), any});
    above = builder.Bytes(std::move(from_low));
    below = builder.Bytes(std::move(to_high));
  }
  const auto bottom = static_cast<uint8_t>(low[common]);
  const auto top = static_cast<uint8_t>(high[common]);
  std::vector<Grammar::Edge> edges = {{bottom, bottom, above}, {top, top, below}};
  if (top - bottom > 1) {
    edges.push_back({static_cast<uint8_t>(bottom + 1), static_cast<uint8_t>(top - 1),
                     Digits(builder, low.size() - 1 - common, next)});
  }
  return builder.Literal(low.substr(0, common), builder.Bytes(std::move(edges)));
}

// 0 <= low <= high.
Node NonNegativeRange(GrammarBuilder& builder, int64_t low, int64_t high, Node next) {
  if (low > high) return Grammar::kDeadNode;
  std::vector<Node> ways;
  std::string from = std::to_string(low);
  const std::string to = std::to_string(high);
  while (from.size() < to.size()) {
    ways.push_back(SameLength(builder, from, std::string(from.size(), '9'), next));
    from = "1" + std::string(from.size(), '0');
  }
  ways.push_back(SameLength(builder, from, to, next));
  return builder.Split(std::move(ways));
}

// low <= x <= high, both at least 0.
Node NonNegativeNumbers(GrammarBuilder& builder, NumberBound low, NumberBound high, Node next) {
  if (low.value > high.value || (low.value == high.value && (low.is_exclusive || high.is_exclusive))) {
    return Grammar::kDeadNode;
  }
  std::vector<Node> ways;
  const Node any_fraction = OptionalFraction(builder, '9', next);
  if (low.value < high.value) {
    ways.push_back(
        builder.Literal(std::to_string(low.value), low.is_exclusive ? FractionAboveZero(builder, next) : any_fraction));
    ways.push_back(NonNegativeRange(builder, low.value + 1, high.value - 1, any_fraction));
  }
  if (!high.is_exclusive) {
    ways.push_back(builder.Literal(std::to_string(high.value), OptionalFraction(builder, '0', next)));
  }
  return builder.Split(std::move(ways));
}

}  // namespace

Node AnyInteger(GrammarBuilder& builder, Node next) {
  const Node positive = PositiveInteger(builder, next);
  return builder.Split({positive, builder.Byte('0', next), builder.Byte('-', positive)});
}

Node AnyNumber(GrammarBuilder& builder, Node next) {
  const Node exponent_digits = builder.Range('0', '9', UpToDigits(builder, 1, '9', next));
  const Node sign =
      builder.Optional(builder.Bytes({{'+', '+', exponent_digits}, {'-', '-', exponent_digits}}), exponent_digits);
  const Node exponent = builder.Optional(builder.Bytes({{'e', 'e', sign}, {'E', 'E', sign}}), next);
  const Node fraction = OptionalFraction(builder, '9', exponent);
  const Node digits = builder.Split({builder.Byte('0', fraction), PositiveInteger(builder, fraction)});
  return builder.Split({digits, builder.Byte('-', digits)});
}

Node IntegerRange(GrammarBuilder& builder, int64_t low, int64_t high, Node next) {
  std::vector<Node> ways;
  if (high >= 0) ways.push_back(NonNegativeRange(builder, std::max<int64_t>(low, 0), high, next));
  if (low < 0) {
    ways.push_back(builder.Byte('-', NonNegativeRange(builder, std::max<int64_t>(-high, 1), -low, next)));
  }
  return builder.Split(std::move(ways));
}

Node NumberRange(GrammarBuilder& builder, std::optional<NumberBound> low, std::optional<NumberBound> high, Node next) {
  const NumberBound bottom = low.value_or(NumberBound{-kLargestInteger});
  const NumberBound top = high.value_or(NumberBound{kLargestInteger});
  std::vector<Node> ways;
  if (top.value >= 0) {
    ways.push_back(NonNegativeNumbers(builder, bottom.value >= 0 ? bottom : NumberBound{0}, top, next));
  }
  if (bottom.value < 0) {  // their absolute values; 0 is not said with a sign
    const NumberBound least = top.value < 0 ? NumberBound{-top.value, top.is_exclusive} : NumberBound{0, true};
    ways.push_back(
        builder.Byte('-', NonNegativeNumbers(builder, least, NumberBound{-bottom.value, bottom.is_exclusive}, next)));
  }
  return builder.Split(std::move(ways));
}

}  // namespace swiftlet
