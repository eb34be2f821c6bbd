#include "engine/grammar/state_table.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <bitset>
#include <tuple>
#include <utility>

#include "engine/base/check.h"

namespace swiftlet {

// Everything that is reached from some places without a byte.
class StateTable::Closure {
 public:
  explicit Closure(StateTable& table) : table_(table), grammar_(*table.grammar_) {}

  void Add(Grammar::Node node, Callers callers) { Visit({node, 0, callers}); }

  // The state; afterwards this is empty again.
  State Finish() {
    while (!open_.empty()) {
      const Place place = open_.back();
      open_.pop_back();
      Walk(place);
    }
    std::vector<std::pair<uint32_t, uint32_t>> taken;
    for (const auto& [node, callers] : taking_) taken.emplace_back(node, Resolve(callers));
    std::sort(taken.begin(), taken.end());
    taken.erase(std::unique(taken.begin(), taken.end()), taken.end());
    std::vector<uint32_t> content = {can_end_ ? 1u : 0u};
    for (const auto& [node, callers] : taken) {
      content.push_back(node);
      content.push_back(callers);
    }
    table_.places_visited_ += seen_.size();
    seen_.clear();
    taking_.clear();
    entered_.clear();
    entered_ids_.clear();
    can_end_ = false;
    return table_.Intern(std::move(content));
  }

 private:
  // Callers entered in this closure have the high bit: who they are is complete at its end only.
  static constexpr Callers kEntered = 1u << 31;

  struct Place {
    Grammar::Node node;
    uint32_t count;  // of a loop
    Callers callers;
    bool operator==(const Place&) const = default;
    auto operator<=>(const Place&) const = default;
    template <typename H>
    friend H AbslHashValue(H hash, const Place& place) {
      return H::combine(std::move(hash), place.node, place.count, place.callers);
    }
  };
  struct Entered {
    uint32_t depth;
    std::vector<Place> callers = {};
    bool has_returned = false;
    Callers resolved = kNobody;
  };

  uint32_t Depth(Callers callers) const {
    return callers & kEntered ? entered_[callers & ~kEntered].depth : table_.depth(callers);
  }

  void Visit(const Place& place) {
    const uint32_t need = grammar_.need(place.node);
    if (need == Grammar::kImpossible || Depth(place.callers) + need > grammar_.max_nesting()) return;
    if (seen_.insert(place).second) open_.push_back(place);
  }

  void Walk(const Place& place) {
    const Grammar::NodeData& data = grammar_.node(place.node);
    switch (data.kind) {
      case Grammar::Kind::kBytes:
        taking_.emplace_back(place.node, place.callers);
        break;
      case Grammar::Kind::kSplit:
        for (const Grammar::Node target : grammar_.targets(place.node)) Visit({target, 0, place.callers});
        break;
      case Grammar::Kind::kReturn:
        Return(place.callers);
        break;
      case Grammar::Kind::kCall:
        Enter(data.first, {data.last, 0, place.callers});
        break;
      case Grammar::Kind::kLoop: {
        const Grammar::Loop& loop = grammar_.loop(place.node);
        const uint32_t enough = loop.max == Grammar::kUnbounded ? loop.min : loop.max;
        if (place.count < loop.max) {
          Enter(loop.rule, {place.node, std::min(place.count + 1, enough), place.callers});
        }
        if (place.count >= loop.min) Visit({loop.next, 0, place.callers});
        break;
      }
    }
  }

  void Enter(Grammar::Rule rule, const Place& caller) {
    const uint32_t depth = Depth(caller.callers) + 1;
    const auto [found, is_new] = entered_ids_.try_emplace({rule, depth}, static_cast<uint32_t>(entered_.size()));
    const uint32_t id = found->second;
    if (is_new) entered_.push_back({.depth = depth});
    std::vector<Place>& callers = entered_[id].callers;
    if (std::find(callers.begin(), callers.end(), caller) != callers.end()) return;
    callers.push_back(caller);
    if (entered_[id].has_returned) Visit(caller);
    if (is_new) Visit({grammar_.start(rule), 0, id | kEntered});
  }

  void Return(Callers callers) {
    if (callers == kNobody) {
      can_end_ = true;
    } else if (callers & kEntered) {
      Entered& entered = entered_[callers & ~kEntered];
      entered.has_returned = true;
      for (const Place& caller : entered.callers) Visit(caller);
    } else {
      const std::vector<uint32_t>& content = *table_.callers_[callers];
      for (size_t i = 1; i < content.size(); i += 3) Visit({content[i], content[i + 1], content[i + 2]});
    }
  }

  // Callers of callers are at a lower depth: this ends.
  Callers Resolve(Callers callers) {
    if (!(callers & kEntered)) return callers;
    const uint32_t id = callers & ~kEntered;
    if (entered_[id].resolved == kNobody) {
      std::vector<Place> places = entered_[id].callers;
      for (Place& place : places) place.callers = Resolve(place.callers);
      std::sort(places.begin(), places.end());
      std::vector<uint32_t> content = {entered_[id].depth};
      for (const Place& place : places) content.insert(content.end(), {place.node, place.count, place.callers});
      entered_[id].resolved = table_.InternCallers(std::move(content));
    }
    return entered_[id].resolved;
  }

  StateTable& table_;
  const Grammar& grammar_;
  absl::flat_hash_set<Place> seen_;
  std::vector<Place> open_;
  std::vector<std::pair<Grammar::Node, Callers>> taking_;
  std::vector<Entered> entered_;
  absl::flat_hash_map<std::pair<Grammar::Rule, uint32_t>, uint32_t> entered_ids_;
  bool can_end_ = false;
};

StateTable::StateTable(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
  InternCallers({0});  // nobody
  Intern({0});         // the dead state
  Closure closure(*this);
  closure.Add(grammar_->start(Grammar::kRoot), kNobody);
  const State start = closure.Finish();
  CHECK(start == kStart) << start;
}

StateTable::State StateTable::Intern(std::vector<uint32_t> content) {
  const auto [found, is_new] = state_ids_.try_emplace(std::move(content), static_cast<uint32_t>(states_.size()));
  if (is_new) {
    const std::vector<uint32_t>& kept = found->first;
    states_.push_back({.content = &kept});
    states_.back().plain_characters = FindPlainCharacters(kept);
    bytes_ += kept.size() * sizeof(uint32_t) + 128;  // and the map's node and the state
  }
  return found->second;
}

uint32_t StateTable::FindPlainCharacters(const std::vector<uint32_t>& content) const {
  uint32_t characters = 0;
  for (size_t i = 1; i < content.size(); i += 2) {
    if (content[i] == grammar_->free_string() && content.size() == 3) return Grammar::kUnbounded;
    if (content[i] == grammar_->counted_character() && characters == 0) {
      const std::vector<uint32_t>& callers = *callers_[content[i + 1]];
      if (callers.size() != 4) return 0;
      const Grammar::Loop& loop = grammar_->loop(callers[1]);
      characters = loop.max == Grammar::kUnbounded ? loop.max : loop.max - callers[2] + 1;
      continue;
    }
    for (const Grammar::Edge& edge : grammar_->edges(content[i])) {  // beside it, the quote alone
      if (edge.low != '"' || edge.high != '"') return 0;
    }
  }
  return characters;
}

StateTable::Callers StateTable::InternCallers(std::vector<uint32_t> content) {
  const auto [found, is_new] = caller_ids_.try_emplace(std::move(content), static_cast<uint32_t>(callers_.size()));
  if (is_new) {
    callers_.push_back(&found->first);
    bytes_ += found->first.size() * sizeof(uint32_t) + 96;
  }
  return found->second;
}

void StateTable::Expand(State state) {
  auto row = std::make_unique<State[]>(256);
  std::fill(row.get(), row.get() + 256, kDead);
  bytes_ += 256 * sizeof(State);
  // Copied: the closure adds states.
  const std::vector<uint32_t> content = *states_[state].content;
  struct Way {
    Grammar::Edge edge;
    Callers callers;
  };
  std::vector<Way> ways;
  std::bitset<257> is_boundary;
  for (size_t i = 1; i < content.size(); i += 2) {
    for (const Grammar::Edge& edge : grammar_->edges(content[i])) {
      ways.push_back({edge, content[i + 1]});
      is_boundary.set(edge.low);
      is_boundary.set(edge.high + 1u);
    }
  }
  Closure closure(*this);
  absl::flat_hash_map<std::vector<uint64_t>, State> known;  // by where the bytes lead
  for (uint32_t low = 0; low < 256;) {
    uint32_t end = low + 1;
    while (end < 256 && !is_boundary[end]) ++end;
    std::vector<uint64_t> places;
    for (const Way& way : ways) {
      if (way.edge.low <= low && low <= way.edge.high) places.push_back(uint64_t{way.edge.target} << 32 | way.callers);
    }
    if (!places.empty()) {
      const auto [found, is_new] = known.try_emplace(places, kDead);
      if (is_new) {
        for (const uint64_t place : places) {
          closure.Add(static_cast<uint32_t>(place >> 32), static_cast<uint32_t>(place));
        }
        found->second = closure.Finish();
      }
      std::fill(row.get() + low, row.get() + end, found->second);
    }
    low = end;
  }
  states_[state].row = std::move(row);
}

StateTable::State StateTable::Import(const StateTable& other, State state) {
  absl::flat_hash_map<Callers, Callers> moved = {{kNobody, kNobody}};
  // By depth, so that callers of callers come first.
  std::vector<Callers> open, order;
  const std::vector<uint32_t>& content = *other.states_[state].content;
  for (size_t i = 2; i < content.size(); i += 2) open.push_back(content[i]);
  while (!open.empty()) {
    const Callers callers = open.back();
    open.pop_back();
    if (!moved.try_emplace(callers, kNobody).second) continue;
    order.push_back(callers);
    const std::vector<uint32_t>& places = *other.callers_[callers];
    for (size_t i = 3; i < places.size(); i += 3) open.push_back(places[i]);
  }
  std::sort(order.begin(), order.end(), [&](Callers a, Callers b) { return other.depth(a) < other.depth(b); });
  for (const Callers callers : order) {
    const std::vector<uint32_t>& places = *other.callers_[callers];
    std::vector<std::tuple<uint32_t, uint32_t, Callers>> sorted;
    for (size_t i = 1; i < places.size(); i += 3) {
      sorted.emplace_back(places[i], places[i + 1], moved.at(places[i + 2]));
    }
    std::sort(sorted.begin(), sorted.end());
    std::vector<uint32_t> copy = {places[0]};
    for (const auto& [node, count, above] : sorted) copy.insert(copy.end(), {node, count, above});
    moved[callers] = InternCallers(std::move(copy));
  }
  std::vector<std::pair<uint32_t, uint32_t>> sorted;
  for (size_t i = 1; i < content.size(); i += 2) sorted.emplace_back(content[i], moved.at(content[i + 1]));
  std::sort(sorted.begin(), sorted.end());
  std::vector<uint32_t> copy = {content[0]};
  for (const auto& [node, callers] : sorted) copy.insert(copy.end(), {node, callers});
  return Intern(std::move(copy));
}

}  // namespace swiftlet
