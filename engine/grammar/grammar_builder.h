// Builds a Grammar from its ends to its beginnings: every part is given what comes after it and returns its entry.
// Used by one thread, for one grammar. Past the limit of nodes everything is a dead end and Finish says so.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar/grammar.h"
#include "engine/grammar/grammar_limits.h"

namespace swiftlet {

class GrammarBuilder {
 public:
  using Node = Grammar::Node;
  using Rule = Grammar::Rule;

  explicit GrammarBuilder(const GrammarLimits& limits);

  // A rule to be defined later; the first one is the root. `path` names it in errors.
  Rule AddRule(std::string path);
  void DefineRule(Rule rule, Node start) { grammar_->starts_[rule] = start; }

  // Equal edges give the same node.
  Node Bytes(std::vector<Grammar::Edge> edges);
  Node Byte(uint8_t byte, Node next) { return Range(byte, byte, next); }
  Node Range(uint8_t low, uint8_t high, Node next) { return Bytes({{low, high, next}}); }
  Node Literal(std::string_view text, Node next);
  // One of `texts`, as a tree of their common beginnings.
  Node OneOf(const std::vector<std::string>& texts, Node next);
  Node Split(std::vector<Node> targets);
  Node Optional(Node entry, Node next) { return Split({entry, next}); }
  Node Call(Rule rule, Node next);
  Node Loop(Rule rule, uint32_t min, uint32_t max, Node next);

  // A node that is used before it can be built: Define makes it a name of `target`.
  Node Reserve();
  void Define(Node reserved, Node target);

  void SetFreeString(Node node) { grammar_->free_string_ = node; }
  void SetCountedCharacter(Node node) { grammar_->counted_character_ = node; }

  uint32_t max_nodes() const { return limits_.max_nodes; }
  bool is_full() const { return is_full_; }
  // A part that would not fit.
  Node TooLarge() {
    is_full_ = true;
    return Grammar::kDeadNode;
  }

  // Once. INVALID_ARGUMENT when there are too many nodes, a rule refers to itself without a byte between, or no
  // document fits.
  absl::StatusOr<std::shared_ptr<const Grammar>> Finish() &&;

 private:
  Node Add(Grammar::NodeData data);

  GrammarLimits limits_;
  std::unique_ptr<Grammar> grammar_;
  std::vector<std::string> paths_;  // by rule
  absl::flat_hash_map<std::vector<Grammar::Edge>, Node> byte_nodes_;
  bool is_full_ = false;
};

}  // namespace swiftlet
