// The bytes of every token, arranged for walking an automaton over all of them. Immutable, one for a loaded model,
// shared by all threads.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

// Tokens as a tree of their common beginnings, in preorder: the children of a node follow it, and skipping a node with
// all that begins like it is one jump.
class TokenTree {
 public:
  struct Node {
    uint32_t end;          // the first node that does not begin like this one
    uint32_t first_token;  // in tokens(); this node's end where the next node's begin
    uint16_t depth;        // 1 = its byte is a token's first
    uint8_t byte;
  };

  // `ids` of tokens with bytes.
  TokenTree(std::vector<int32_t> ids, std::span<const std::string> bytes);

  // One more node at the end, of depth 0, stops every walk.
  std::span<const Node> nodes() const { return nodes_; }
  // One more at the end, so that every node has a first token.
  std::span<const int32_t> tokens() const { return tokens_; }
  size_t max_depth() const { return max_depth_; }
  size_t bytes() const { return nodes_.capacity() * sizeof(Node) + tokens_.capacity() * sizeof(int32_t); }

 private:
  std::vector<Node> nodes_;
  std::vector<int32_t> tokens_;  // sorted by their bytes
  size_t max_depth_ = 0;
};

class GrammarVocabulary {
 public:
  // A special token that opens or closes the reasoning is this byte, which no text holds, and its spelling.
  static constexpr uint8_t kSpecialTag = 0xFF;

  // `bytes` by id: a token's part of the text, which need not be whole characters. Empty for tokens that are no text
  // (control tokens): a grammar never allows those. `width`: of the logits, at least as many. `end_ids` end a sequence.
  static absl::StatusOr<std::shared_ptr<const GrammarVocabulary>> Create(std::vector<std::string> bytes, size_t width,
                                                                       std::vector<int32_t> end_ids);

  size_t width() const { return width_; }
  size_t mask_words() const { return (width_ + 63) / 64; }
  std::string_view token(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < bytes_.size() ? std::string_view(bytes_[id]) : std::string_view();
  }
  std::span<const int32_t> end_ids() const { return end_ids_; }
  bool IsEnd(int32_t id) const;

  const TokenTree& all() const { return all_; }
  // Tokens that are whole characters of a JSON string, each standing for itself, and the tree of all others.
  std::span<const uint64_t> plain_mask() const { return plain_mask_; }
  struct PlainToken {
    uint32_t characters;
    int32_t id;
  };
  std::span<const PlainToken> plain_tokens() const { return plain_tokens_; }  // the longest first
  const TokenTree& not_plain() const { return not_plain_; }

  size_t size_bytes() const;

 private:
  GrammarVocabulary(std::vector<std::string> bytes, size_t width, std::vector<int32_t> end_ids);

  std::vector<std::string> bytes_;
  size_t width_;
  std::vector<int32_t> end_ids_;
  std::vector<uint64_t> plain_mask_;
  std::vector<PlainToken> plain_tokens_;
  TokenTree all_;
  TokenTree not_plain_;
};

}  // namespace swiftlet
