// Finds the tokens that a tokenizer keeps apart from its model: control tokens, chat markup, other additions.
// Const and shared by all threads once built.
#pragma once

#include <absl/types/span.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool single_word = false;  // only where no word character stands next to it
  bool lstrip = false;       // takes the white space to its left
  bool rstrip = false;       // and to its right
  bool normalized = false;   // sought in the normalised text, by its normalised content
  bool special = false;      // a control token
};

// Whether text of a user may become this token: only where it is nothing but white space, which cannot structure a
// conversation. Everything else added to a vocabulary is taken for markup, special or not (<think>, tool tags).
bool IsMarkup(const AddedToken& token);

// Who wrote a text: alternating stretches, each up to `end`, the last one to the end of the text.
struct Authorship {
  size_t end = 0;
  bool is_trusted = false;
};

// A part of a text: an added token, or what lies between two.
struct AddedTokenSplit {
  size_t begin = 0;
  size_t end = 0;
  int32_t id = -1;  // -1: ordinary text
};

class AddedTokenMatcher {
 public:
  // `contents[i]`: what to seek for tokens[i]; empty ones are skipped, of equal ones the last counts.
  AddedTokenMatcher(absl::Span<const AddedToken> tokens, absl::Span<const std::string> contents);

  bool empty() const { return nodes_.size() <= 1; }

  // Cuts `text` at its leftmost-longest tokens. Markup is found only where `authors` trusts every byte of it.
  void Split(std::string_view text, absl::Span<const Authorship> authors, std::vector<AddedTokenSplit>& out) const;

 private:
  struct Token {
    int32_t id;
    bool single_word, lstrip, rstrip, is_markup;
  };
  struct Node {
    int32_t token = -1;        // index into tokens_
    int32_t first_child = -1;  // index into nodes_
    int32_t next_sibling = -1;
    char byte = 0;
  };

  int32_t Child(int32_t node, char byte) const;
  void Insert(std::string_view content, int32_t token);
  // The longest token at `at` whose markup ends by `trusted_end`; -1 for none.
  int32_t LongestAt(std::string_view text, size_t at, size_t trusted_end, size_t* end) const;

  std::vector<Token> tokens_;
  std::vector<Node> nodes_;  // [0]: the root; its children are in roots_
  int32_t roots_[256];
  bool starts_[256] = {};        // some token begins with this byte
  bool plain_starts_[256] = {};  // some token that is not markup does
  bool has_plain_ = false;
};

}  // namespace swiftlet
