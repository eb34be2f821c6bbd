// Finds stop strings in text that arrives in pieces, and holds back what may yet become one.
//
// The match that is complete first wins; of several complete at the same byte, the longest. Text before it is let
// through, the match as the request wishes, and what follows is not.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

// The strings of one request as an Aho-Corasick automaton (Aho and Corasick 1975). Immutable, shared by its choices.
class StopStrings {
 public:
  // `strings`: at most 16 of 1 to 256 bytes, whole UTF-8 characters.
  explicit StopStrings(const std::vector<std::string>& strings);

  bool empty() const { return nodes_.size() == 1; }

  static constexpr int32_t kRoot = 0;
  // Amortised constant time: a node has at most as many children as there are strings.
  int32_t Next(int32_t node, uint8_t byte) const;
  // Length of the longest suffix of what was read that may begin a stop string.
  int32_t Depth(int32_t node) const { return nodes_[node].depth; }
  // Length of the longest stop string that ends here; 0 = none does.
  int32_t MatchLength(int32_t node) const { return nodes_[node].match_length; }
  bool MayBegin(uint8_t byte) const { return first_bytes_[byte]; }

 private:
  struct Node {
    int32_t first_child = -1;
    int32_t next_sibling = -1;
    int32_t fail = kRoot;  // the longest proper suffix that is also in the trie
    int32_t depth = 0;
    int32_t match_length = 0;
    uint8_t byte = 0;
  };
  int32_t Child(int32_t node, uint8_t byte) const;

  std::vector<Node> nodes_;
  std::bitset<256> first_bytes_;
};

// The place of one choice in that automaton.
class StopMatcher {
 public:
  // `strings` outlives the matcher. `keep_match`: the text ends behind the stop string, not before it.
  explicit StopMatcher(const StopStrings& strings, bool keep_match = false)
      : strings_(strings), keep_match_(keep_match) {}

  // Appends to `out` what can no longer belong to a stop string. True when one was found: `out` then ends with what
  // is let through of it, and nothing may follow.
  bool Push(std::string_view text, std::string& out);
  // No text follows: what was held back is text after all.
  void Flush(std::string& out);

 private:
  const StopStrings& strings_;
  const bool keep_match_;
  int32_t node_ = StopStrings::kRoot;
  std::string held_;  // the last Depth(node_) bytes
};

}  // namespace swiftlet
