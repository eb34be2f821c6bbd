#include "services/text/decode/stop_matcher.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swiftlet {

StopStrings::StopStrings(const std::vector<std::string>& strings) : nodes_(1) {
  for (const std::string& text : strings) {
    CHECK(!text.empty()) << "the validator lets no empty stop string through";
    first_bytes_.set(static_cast<uint8_t>(text.front()));
    int32_t node = kRoot;
    for (const char c : text) {
      const uint8_t byte = static_cast<uint8_t>(c);
      int32_t child = Child(node, byte);
      if (child < 0) {
        child = static_cast<int32_t>(nodes_.size());
        Node added;
        added.next_sibling = nodes_[node].first_child;
        added.depth = nodes_[node].depth + 1;
        added.byte = byte;
        nodes_.push_back(added);
        nodes_[node].first_child = child;
      }
      node = child;
    }
    nodes_[node].match_length = nodes_[node].depth;
  }
  // Breadth first, so that the links of shorter nodes are ready.
  std::vector<int32_t> queue = {kRoot};
  for (size_t i = 0; i < queue.size(); ++i) {
    const int32_t parent = queue[i];
    for (int32_t child = nodes_[parent].first_child; child >= 0; child = nodes_[child].next_sibling) {
      if (parent != kRoot) nodes_[child].fail = Next(nodes_[parent].fail, nodes_[child].byte);
      if (nodes_[child].match_length == 0) nodes_[child].match_length = nodes_[nodes_[child].fail].match_length;
      queue.push_back(child);
    }
  }
}

int32_t StopStrings::Child(int32_t node, uint8_t byte) const {
  int32_t child = nodes_[node].first_child;
  while (child >= 0 && nodes_[child].byte != byte) child = nodes_[child].next_sibling;
  return child;
}

int32_t StopStrings::Next(int32_t node, uint8_t byte) const {
  while (true) {
    const int32_t child = Child(node, byte);
    if (child >= 0) return child;
    if (node == kRoot) return kRoot;
    node = nodes_[node].fail;
  }
}

bool StopMatcher::Push(std::string_view text, std::string& out) {
  size_t i = 0;
  if (node_ == StopStrings::kRoot) {  // the common case: nothing here begins a stop string
    while (i < text.size() && !strings_.MayBegin(static_cast<uint8_t>(text[i]))) ++i;
    out.append(text.substr(0, i));
    text.remove_prefix(i);
  }
  for (i = 0; i < text.size(); ++i) {
    node_ = strings_.Next(node_, static_cast<uint8_t>(text[i]));
    if (const size_t match = strings_.MatchLength(node_); match > 0) {
      held_.append(text.substr(0, i + 1));
      out.append(held_, 0, held_.size() - (keep_match_ ? 0 : match));
      held_.clear();
      return true;
    }
  }
  if (text.empty()) return false;
  held_.append(text);
  const size_t released = held_.size() - static_cast<size_t>(strings_.Depth(node_));
  out.append(held_, 0, released);
  held_.erase(0, released);
  return false;
}

void StopMatcher::Flush(std::string& out) {
  out.append(held_);
  held_.clear();
  node_ = StopStrings::kRoot;
}

}  // namespace swiftlet
