#include "engine/grammar/grammar_builder.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/check.h"

namespace swiftlet {

GrammarBuilder::GrammarBuilder(const GrammarLimits& limits) : limits_(limits), grammar_(new Grammar) {
  grammar_->max_nesting_ = limits.max_nesting;
  grammar_->nodes_.push_back({.kind = Grammar::Kind::kReturn});
  grammar_->nodes_.push_back({.kind = Grammar::Kind::kSplit});
}

GrammarBuilder::Rule GrammarBuilder::AddRule(std::string path) {
  paths_.push_back(std::move(path));
  grammar_->starts_.push_back(Grammar::kDeadNode);
  return static_cast<Rule>(paths_.size() - 1);
}

GrammarBuilder::Node GrammarBuilder::Add(Grammar::NodeData data) {
  // Edges and targets count as well: they are what a node can have many of.
  if (grammar_->nodes_.size() + grammar_->edges_.size() / 2 + grammar_->targets_.size() / 2 >= limits_.max_nodes) {
    return TooLarge();
  }
  grammar_->nodes_.push_back(data);
  return static_cast<Node>(grammar_->nodes_.size() - 1);
}

GrammarBuilder::Node GrammarBuilder::Bytes(std::vector<Grammar::Edge> edges) {
  std::erase_if(edges, [](const Grammar::Edge& edge) { return edge.target == Grammar::kDeadNode; });
  if (edges.empty()) return Grammar::kDeadNode;
  const auto found = byte_nodes_.find(edges);
  if (found != byte_nodes_.end()) return found->second;
  const auto first = static_cast<uint32_t>(grammar_->edges_.size());
  const Node node =
      Add({.kind = Grammar::Kind::kBytes, .first = first, .last = first + static_cast<uint32_t>(edges.size())});
  if (node == Grammar::kDeadNode) return node;
  grammar_->edges_.insert(grammar_->edges_.end(), edges.begin(), edges.end());
  byte_nodes_.emplace(std::move(edges), node);
  return node;
}

GrammarBuilder::Node GrammarBuilder::Literal(std::string_view text, Node next) {
  for (size_t i = text.size(); i-- > 0;) next = Byte(static_cast<uint8_t>(text[i]), next);
  return next;
}

GrammarBuilder::Node GrammarBuilder::OneOf(const std::vector<std::string>& texts, Node next) {
  struct TreeNode {
    std::map<uint8_t, size_t> children;  // a child has a higher index than its parent
    bool ends = false;
  };
  std::vector<TreeNode> tree(1);
  for (const std::string& text : texts) {
    size_t at = 0;
    for (const char c : text) {
      const auto [child, is_new] = tree[at].children.try_emplace(static_cast<uint8_t>(c), tree.size());
      at = child->second;
      if (is_new) tree.emplace_back();
    }
    tree[at].ends = true;
    if (tree.size() > limits_.max_nodes) return TooLarge();
  }
  std::vector<Node> built(tree.size());
  for (size_t i = tree.size(); i-- > 0;) {
    std::vector<Grammar::Edge> edges;
    for (const auto& [byte, child] : tree[i].children) edges.push_back({byte, byte, built[child]});
    built[i] = Bytes(std::move(edges));
    if (tree[i].ends) built[i] = Optional(built[i], next);
  }
  return built[0];
}

GrammarBuilder::Node GrammarBuilder::Split(std::vector<Node> targets) {
  std::erase(targets, Grammar::kDeadNode);
  if (targets.empty()) return Grammar::kDeadNode;
  if (targets.size() == 1) return targets[0];
  const auto first = static_cast<uint32_t>(grammar_->targets_.size());
  const Node node =
      Add({.kind = Grammar::Kind::kSplit, .first = first, .last = first + static_cast<uint32_t>(targets.size())});
  if (node != Grammar::kDeadNode) {
    grammar_->targets_.insert(grammar_->targets_.end(), targets.begin(), targets.end());
  }
  return node;
}

GrammarBuilder::Node GrammarBuilder::Call(Rule rule, Node next) {
  if (next == Grammar::kDeadNode) return next;
  return Add({.kind = Grammar::Kind::kCall, .first = rule, .last = next});
}

GrammarBuilder::Node GrammarBuilder::Loop(Rule rule, uint32_t min, uint32_t max, Node next) {
  if (next == Grammar::kDeadNode || min > max) return Grammar::kDeadNode;
  if (max == 0) return next;
  const Node node = Add({.kind = Grammar::Kind::kLoop, .first = static_cast<uint32_t>(grammar_->loops_.size())});
  if (node != Grammar::kDeadNode) grammar_->loops_.push_back({rule, min, max, next});
  return node;
}

GrammarBuilder::Node GrammarBuilder::Reserve() {
  const auto at = static_cast<uint32_t>(grammar_->targets_.size());
  const Node node = Add({.kind = Grammar::Kind::kSplit, .first = at, .last = at + 1});
  if (node != Grammar::kDeadNode) grammar_->targets_.push_back(Grammar::kDeadNode);
  return node;
}

void GrammarBuilder::Define(Node reserved, Node target) {
  if (reserved == Grammar::kDeadNode) return;
  const Grammar::NodeData& data = grammar_->nodes_[reserved];
  CHECK(data.kind == Grammar::Kind::kSplit && data.last == data.first + 1) << reserved;
  grammar_->targets_[data.first] = target;
}

absl::StatusOr<std::shared_ptr<const Grammar>> GrammarBuilder::Finish() && {
  if (is_full_) {
    return absl::InvalidArgumentError(absl::StrCat("the grammar is too large: over ", limits_.max_nodes, " nodes"));
  }
  grammar_->nodes_.shrink_to_fit();
  grammar_->edges_.shrink_to_fit();
  grammar_->targets_.shrink_to_fit();
  if (const std::optional<Rule> rule = grammar_->Analyse(); rule.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(paths_[*rule], ": $ref: a value would begin with itself, without end"));
  }
  if (grammar_->need(grammar_->start(Grammar::kRoot)) == Grammar::kImpossible) {
    return absl::InvalidArgumentError(absl::StrCat(paths_[0], ": no document can fit"));
  }
  return std::shared_ptr<const Grammar>(std::move(grammar_));
}

}  // namespace swiftlet
