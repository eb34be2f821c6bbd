#include "engine/grammar/grammar.h"

#include <algorithm>
#include <numeric>

namespace swiftlet {

size_t Grammar::bytes() const {
  return sizeof(*this) + nodes_.capacity() * sizeof(NodeData) + edges_.capacity() * sizeof(Edge) +
         targets_.capacity() * sizeof(Node) + loops_.capacity() * sizeof(Loop) + starts_.capacity() * sizeof(Node);
}

template <typename Visitor>
void Grammar::VisitSuccessors(Node id, const Visitor& visit) const {
  switch (nodes_[id].kind) {
    case Kind::kReturn:
      break;
    case Kind::kBytes:
      for (const Edge& edge : edges(id)) visit(edge.target);
      break;
    case Kind::kSplit:
      for (const Node target : targets(id)) visit(target);
      break;
    case Kind::kCall:
      visit(starts_[nodes_[id].first]);
      visit(nodes_[id].last);
      break;
    case Kind::kLoop:
      visit(starts_[loop(id).rule]);
      visit(loop(id).next);
      break;
  }
}

// What the node's successors make of it.
void Grammar::Improve(Node id, const std::vector<bool>& nullable, uint32_t* need, bool* empty) const {
  const NodeData& data = nodes_[id];
  const auto below = [&](Rule rule) {
    const uint32_t inner = nodes_[starts_[rule]].need;
    return inner == kImpossible ? kImpossible : inner + 1;
  };
  *need = kImpossible;
  *empty = false;
  switch (data.kind) {
    case Kind::kReturn:
      *need = 0;
      *empty = true;
      break;
    case Kind::kBytes:
      for (const Edge& edge : edges(id)) *need = std::min(*need, nodes_[edge.target].need);
      break;
    case Kind::kSplit:
      for (const Node target : targets(id)) {
        *need = std::min(*need, nodes_[target].need);
        *empty = *empty || nullable[target];
      }
      break;
    case Kind::kCall:
      *need = std::max(below(data.first), nodes_[data.last].need);
      *empty = nullable[starts_[data.first]] && nullable[data.last];
      break;
    case Kind::kLoop:
      *need = nodes_[loop(id).next].need;
      if (loop(id).min > 0) *need = std::max(*need, below(loop(id).rule));
      *empty = loop(id).min == 0 && nullable[loop(id).next];
      break;
  }
  if (*need > max_nesting_) *need = kImpossible;
}

// A fixed point from above: each node again whenever one it leads to has improved, at most max_nesting_ times.
std::vector<bool> Grammar::FindNeeds() {
  std::vector<uint32_t> begin(nodes_.size() + 1, 0);  // of a node's predecessors
  for (Node id = 0; id < nodes_.size(); ++id) {
    VisitSuccessors(id, [&](Node successor) { ++begin[successor + 1]; });
  }
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<Node> predecessors(begin.back());
  std::vector<uint32_t> filled(begin.begin(), begin.end() - 1);
  for (Node id = 0; id < nodes_.size(); ++id) {
    VisitSuccessors(id, [&](Node successor) { predecessors[filled[successor]++] = id; });
  }

  std::vector<bool> nullable(nodes_.size(), false);
  std::vector<bool> is_open(nodes_.size(), true);
  std::vector<Node> open(nodes_.size());
  std::iota(open.rbegin(), open.rend(), Node{0});  // rules are built from their ends: the lowest ids first
  while (!open.empty()) {
    const Node id = open.back();
    open.pop_back();
    is_open[id] = false;
    uint32_t need;
    bool empty;
    Improve(id, nullable, &need, &empty);
    if (need >= nodes_[id].need && (!empty || nullable[id])) continue;
    nodes_[id].need = std::min(nodes_[id].need, need);
    nullable[id] = nullable[id] || empty;
    for (uint32_t i = begin[id]; i < begin[id + 1]; ++i) {
      if (!is_open[predecessors[i]]) {
        is_open[predecessors[i]] = true;
        open.push_back(predecessors[i]);
      }
    }
  }
  return nullable;
}

// The rules that each rule can begin with.
std::vector<std::vector<Grammar::Rule>> Grammar::FindBegins(const std::vector<bool>& nullable) const {
  std::vector<std::vector<Rule>> begins(starts_.size());
  std::vector<uint32_t> seen(nodes_.size(), kUnbounded);
  std::vector<Node> open;
  for (Rule from = 0; from < starts_.size(); ++from) {
    const auto visit = [&](Node node) {
      if (seen[node] != from) {
        seen[node] = from;
        open.push_back(node);
      }
    };
    visit(starts_[from]);
    while (!open.empty()) {
      const Node id = open.back();
      open.pop_back();
      const NodeData& data = nodes_[id];
      if (data.kind == Kind::kSplit) {
        for (const Node target : targets(id)) visit(target);
      } else if (data.kind == Kind::kCall) {
        begins[from].push_back(data.first);
        if (nullable[starts_[data.first]]) visit(data.last);
      } else if (data.kind == Kind::kLoop) {
        begins[from].push_back(loop(id).rule);
        if (loop(id).min == 0) visit(loop(id).next);
      }
    }
  }
  return begins;
}

std::optional<Grammar::Rule> Grammar::Analyse() {
  const std::vector<std::vector<Rule>> begins = FindBegins(FindNeeds());
  // Rules that begin with finished rules alone are finished; each that is left begins with another that is left.
  std::vector<std::vector<Rule>> begun_by(starts_.size());
  std::vector<size_t> unfinished(starts_.size(), 0);
  std::vector<Rule> finished;
  for (Rule from = 0; from < starts_.size(); ++from) {
    unfinished[from] = begins[from].size();
    if (unfinished[from] == 0) finished.push_back(from);
    for (const Rule begin : begins[from]) begun_by[begin].push_back(from);
  }
  for (size_t i = 0; i < finished.size(); ++i) {
    for (const Rule from : begun_by[finished[i]]) {
      if (--unfinished[from] == 0) finished.push_back(from);
    }
  }
  if (finished.size() == starts_.size()) return std::nullopt;
  const auto is_left = [&](Rule rule) { return unfinished[rule] > 0; };
  Rule rule = 0;
  while (!is_left(rule)) ++rule;
  for (size_t i = 0; i < starts_.size(); ++i) {  // so many steps end on the circle
    rule = *std::find_if(begins[rule].begin(), begins[rule].end(), is_left);
  }
  return rule;
}

}  // namespace swiftlet
