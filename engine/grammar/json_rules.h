// The parts of RFC 8259 that every JSON grammar is made of. Each function puts its part before `next`.
//
// White space is bounded, so that a model cannot go on with it for ever: one space at most after a colon; after an
// opening bracket or a comma and before a closing bracket nothing, one space, or a new line and its indentation
// (40 spaces or 20 tabs at most); none elsewhere. Numbers of no given range have at most 18 digits before the point,
// 18 after it and 2 in the exponent: every one of them is finite as a double.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/grammar/grammar_builder.h"

namespace swiftlet {

class JsonRules {
 public:
  using Node = GrammarBuilder::Node;
  using Rule = GrammarBuilder::Rule;

  explicit JsonRules(GrammarBuilder& builder) : builder_(builder) {}

  GrammarBuilder& builder() { return builder_; }

  Node Gap(Node next);    // inside brackets
  Node Colon(Node next);  // between a key and its value

  Node Null(Node next) { return builder_.Literal("null", next); }
  Node Boolean(Node next);
  Node Integer(Node next);
  Node Number(Node next);
  Node String(Node next);                                      // with any valid escapes
  Node StringOfLength(uint32_t min, uint32_t max, Node next);  // in code points
  Node Array(Node next);
  Node Object(Node next);
  Node Value(Node next);

  // A string in canonical form that equals none of `texts` (UTF-8).
  Node StringOtherThan(const std::vector<std::string>& texts, Node next);

 private:
  // The rule of `start`'s making, made when it is first asked for.
  template <typename Start>
  Rule Shared(std::optional<Rule>& rule, const Start& start);
  std::vector<Grammar::Edge> CharacterEdges(Node next);
  Node Members(char open, char close, Node (JsonRules::*member)(Node), Node next);
  Node KeyAndValue(Node next) { return String(Colon(Value(next))); }

  GrammarBuilder& builder_;
  std::optional<Rule> gap_, integer_, number_, string_body_, character_, value_;
};

}  // namespace swiftlet
