#include "engine/grammar/json_rules.h"

#include <map>
#include <utility>

#include "engine/grammar/code_point_set.h"
#include "engine/grammar/json_numbers.h"

namespace swiftlet {
namespace {

using Node = GrammarBuilder::Node;
using Edge = Grammar::Edge;

constexpr Node kReturn = Grammar::kReturnNode;
constexpr int kIndentSpaces = 40;
constexpr int kIndentTabs = 20;

Node UpTo(GrammarBuilder& builder, int count, uint8_t byte, Node next) {
  Node node = next;
  for (int i = 0; i < count; ++i) node = builder.Optional(builder.Byte(byte, node), next);
  return node;
}

Node Hex(GrammarBuilder& builder, int digits, Node next) {
  for (int i = 0; i < digits; ++i) {
    next = builder.Bytes({{'0', '9', next}, {'A', 'F', next}, {'a', 'f', next}});
  }
  return next;
}

// What follows a backslash. A high surrogate is followed by a low one; neither stands alone.
Node Escape(GrammarBuilder& builder, Node next) {
  const Node low = builder.Literal(
      "\\u", builder.Bytes(
                 {{'D', 'D', builder.Bytes({{'C', 'F', Hex(builder, 2, next)}, {'c', 'f', Hex(builder, 2, next)}})},
                  {'d', 'd', builder.Bytes({{'C', 'F', Hex(builder, 2, next)}, {'c', 'f', Hex(builder, 2, next)}})}}));
  const Node high = Hex(builder, 2, low);
  const Node after_d =
      builder.Bytes({{'0', '7', Hex(builder, 2, next)}, {'8', '9', high}, {'A', 'B', high}, {'a', 'b', high}});
  const Node three = Hex(builder, 3, next);
  const Node unit = builder.Bytes({{'0', '9', three},
                                   {'A', 'C', three},
                                   {'a', 'c', three},
                                   {'D', 'D', after_d},
                                   {'d', 'd', after_d},
                                   {'E', 'F', three},
                                   {'e', 'f', three}});
  std::vector<Edge> edges = {{'u', 'u', unit}};
  for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) {
    edges.push_back({static_cast<uint8_t>(c), static_cast<uint8_t>(c), next});
  }
  return builder.Bytes(std::move(edges));
}

}  // namespace

template <typename Start>
JsonRules::Rule JsonRules::Shared(std::optional<Rule>& rule, const Start& start) {
  if (!rule.has_value()) {
    rule = builder_.AddRule("#");
    builder_.DefineRule(*rule, start());
  }
  return *rule;
}

Node JsonRules::Gap(Node next) {
  const Rule rule = Shared(gap_, [&] {
    const Node line = builder_.Split({UpTo(builder_, kIndentSpaces, ' ', kReturn),
                                      builder_.Byte('\t', UpTo(builder_, kIndentTabs - 1, '\t', kReturn))});
    return builder_.Split({kReturn, builder_.Bytes({{' ', ' ', kReturn}, {'\n', '\n', line}})});
  });
  return builder_.Call(rule, next);
}

Node JsonRules::Colon(Node next) {
  return builder_.Byte(':', builder_.Optional(builder_.Byte(' ', next), next));
}

Node JsonRules::Boolean(Node next) {
  return builder_.OneOf({"true", "false"}, next);
}

Node JsonRules::Integer(Node next) {
  return builder_.Call(Shared(integer_, [&] { return AnyInteger(builder_, kReturn); }), next);
}

Node JsonRules::Number(Node next) {
  return builder_.Call(Shared(number_, [&] { return AnyNumber(builder_, kReturn); }), next);
}

// One character of a string, plain or escaped; the quote that ends it is not among them.
std::vector<Edge> JsonRules::CharacterEdges(Node next) {
  const Node one = builder_.Range(0x80, 0xBF, next);
  const Node two = builder_.Range(0x80, 0xBF, one);
  const Node three = builder_.Range(0x80, 0xBF, two);
  return {{0x20, 0x21, next},
          {0x23, 0x5B, next},
          {0x5C, 0x5C, Escape(builder_, next)},
          {0x5D, 0x7F, next},
          {0xC2, 0xDF, one},
          {0xE0, 0xE0, builder_.Range(0xA0, 0xBF, one)},
          {0xE1, 0xEC, two},
          {0xED, 0xED, builder_.Range(0x80, 0x9F, one)},  // no surrogates
          {0xEE, 0xEF, two},
          {0xF0, 0xF0, builder_.Range(0x90, 0xBF, two)},
          {0xF1, 0xF3, three},
          {0xF4, 0xF4, builder_.Range(0x80, 0x8F, two)}};
}

Node JsonRules::String(Node next) {
  const Rule rule = Shared(string_body_, [&] {
    const Node again = builder_.Reserve();
    std::vector<Edge> edges = CharacterEdges(again);
    edges.push_back({'"', '"', kReturn});
    const Node body = builder_.Bytes(std::move(edges));
    builder_.Define(again, body);
    builder_.SetFreeString(body);
    return body;
  });
  return builder_.Byte('"', builder_.Call(rule, next));
}

Node JsonRules::StringOfLength(uint32_t min, uint32_t max, Node next) {
  const Rule rule = Shared(character_, [&] {
    const Node character = builder_.Bytes(CharacterEdges(kReturn));
    builder_.SetCountedCharacter(character);
    return character;
  });
  return builder_.Byte('"', builder_.Loop(rule, min, max, builder_.Byte('"', next)));
}

Node JsonRules::Members(char open, char close, Node (JsonRules::*member)(Node), Node next) {
  const Node end = builder_.Byte(static_cast<uint8_t>(close), next);
  const Node after = builder_.Reserve();
  const Node one = (this->*member)(after);
  builder_.Define(after, builder_.Split({builder_.Byte(',', Gap(one)), Gap(end)}));
  return builder_.Byte(static_cast<uint8_t>(open), Gap(builder_.Split({one, end})));
}

Node JsonRules::Array(Node next) {
  return Members('[', ']', &JsonRules::Value, next);
}
Node JsonRules::Object(Node next) {
  return Members('{', '}', &JsonRules::KeyAndValue, next);
}

Node JsonRules::Value(Node next) {
  if (!value_.has_value()) {
    value_ = builder_.AddRule("#");  // before its body, which refers to it
    builder_.DefineRule(*value_, builder_.Split({String(kReturn), Number(kReturn), Boolean(kReturn), Null(kReturn),
                                                 Array(kReturn), Object(kReturn)}));
  }
  return builder_.Call(*value_, next);
}

Node JsonRules::StringOtherThan(const std::vector<std::string>& texts, Node next) {
  if (texts.empty()) return String(next);
  struct TreeNode {
    std::map<uint32_t, size_t> children;  // by code point; a child has a higher index than its parent
    bool ends = false;
  };
  std::vector<TreeNode> tree(1);
  for (const std::string& text : texts) {
    std::string_view rest = text;
    size_t at = 0;
    while (!rest.empty()) {
      const auto [child, is_new] = tree[at].children.try_emplace(TakeCodePoint(&rest), tree.size());
      at = child->second;
      if (is_new) tree.emplace_back();
    }
    tree[at].ends = true;
  }
  const Node end = builder_.Byte('"', next);
  const Node other = builder_.Reserve();  // no text begins like this
  builder_.Define(other, builder_.Split({CanonicalCharacter(builder_, CodePointSet::All(), other), end}));
  std::vector<Node> built(tree.size());
  for (size_t i = tree.size(); i-- > 0;) {
    std::vector<CodePointSet::Range> ranges;
    std::vector<Node> ways;
    for (const auto& [code_point, child] : tree[i].children) {
      ranges.emplace_back(code_point, code_point);
      ways.push_back(CanonicalCharacter(builder_, {ranges.back()}, built[child]));
    }
    CodePointSet known;
    known.Add(ranges);
    ways.push_back(CanonicalCharacter(builder_, known.Complement(), other));
    if (!tree[i].ends) ways.push_back(end);
    built[i] = builder_.Split(std::move(ways));
  }
  return builder_.Byte('"', built[0]);
}

}  // namespace swiftlet
