// A compiled grammar: a nondeterministic byte automaton with calls. Immutable, shared between requests and threads.
//
//   node  kBytes  takes one byte of an edge's range and goes to its target
//         kSplit  is all of its targets at once (none: a dead end)
//         kCall   runs a rule, then goes on at `next`
//         kLoop   runs a rule min to max times, then goes on at `next`; the rule takes at least one byte
//         kReturn ends the rule it is in; in the root rule, the document
//
// A document's position is a set of (node, stack of callers). Nothing here knows JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace swiftlet {

class Grammar {
 public:
  using Node = uint32_t;
  using Rule = uint32_t;

  static constexpr Node kReturnNode = 0;
  static constexpr Node kDeadNode = 1;
  static constexpr Rule kRoot = 0;
  static constexpr uint32_t kUnbounded = ~uint32_t{0};
  static constexpr uint32_t kImpossible = ~uint32_t{0};

  enum class Kind : uint8_t { kBytes, kSplit, kCall, kLoop, kReturn };

  struct Edge {
    uint8_t low, high;
    Node target;
    bool operator==(const Edge&) const = default;
    template <typename H>
    friend H AbslHashValue(H hash, const Edge& edge) {
      return H::combine(std::move(hash), edge.low, edge.high, edge.target);
    }
  };

  struct Loop {
    Rule rule;
    uint32_t min, max;  // max may be kUnbounded
    Node next;
  };

  struct NodeData {
    Kind kind = Kind::kSplit;
    uint32_t need = kImpossible;  // see need()
    uint32_t first = 0;           // kBytes: edges, kSplit: targets [first, last); kCall: the rule; kLoop: which loop
    uint32_t last = 0;            // kCall: the next node
  };

  const NodeData& node(Node node) const { return nodes_[node]; }
  std::span<const Edge> edges(Node node) const { return Range(edges_, node); }
  std::span<const Node> targets(Node node) const { return Range(targets_, node); }
  const Loop& loop(Node node) const { return loops_[nodes_[node].first]; }
  Node start(Rule rule) const { return starts_[rule]; }
  size_t num_nodes() const { return nodes_.size(); }

  // How many more callers the stack must be able to hold for the rule's end to be reached from this node, at least;
  // kImpossible when no bytes lead there. A node is entered only where the stack has that room, so that every
  // position that is ever reached can be continued to the end of the document.
  uint32_t need(Node node) const { return nodes_[node].need; }
  uint32_t max_nesting() const { return max_nesting_; }

  // The node between two characters of a string of any length, kDeadNode when the grammar has none: tokens of plain
  // characters lead from it to itself, whatever its callers.
  Node free_string() const { return free_string_; }
  // Likewise the node that takes a character of a string whose length is counted by the loop that calls it.
  Node counted_character() const { return counted_character_; }

  size_t bytes() const;

 private:
  friend class GrammarBuilder;
  Grammar() = default;

  // Fills the needs. Returns a rule that can begin with itself before any byte, if there is one.
  std::optional<Rule> Analyse();
  std::vector<bool> FindNeeds();  // returns which nodes can reach the rule's end without a byte
  std::vector<std::vector<Rule>> FindBegins(const std::vector<bool>& nullable) const;
  void Improve(Node id, const std::vector<bool>& nullable, uint32_t* need, bool* empty) const;
  template <typename Visitor>
  void VisitSuccessors(Node id, const Visitor& visit) const;

  template <typename T>
  std::span<const T> Range(const std::vector<T>& values, Node node) const {
    return std::span(values).subspan(nodes_[node].first, nodes_[node].last - nodes_[node].first);
  }

  std::vector<NodeData> nodes_;
  std::vector<Edge> edges_;
  std::vector<Node> targets_;
  std::vector<Loop> loops_;
  std::vector<Node> starts_;  // by rule
  Node free_string_ = kDeadNode;
  Node counted_character_ = kDeadNode;
  uint32_t max_nesting_ = 0;
};

}  // namespace swiftlet
