#include "services/text/encode/added_tokens.h"

#include <utf8proc.h>

#include <algorithm>

#include "services/text/encode/unicode.h"

namespace swiftlet {
namespace {

// \w as Unicode's regular expressions have it: letters, marks, decimal digits, connectors. (Letter-like symbols that
// count as Alphabetic, U+24B6 to U+24E9 and three ranges of U+1F1xx, are listed.)
bool IsWordCharacter(char32_t codepoint) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(codepoint))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return (codepoint >= 0x24B6 && codepoint <= 0x24E9) || (codepoint >= 0x1F130 && codepoint <= 0x1F149) ||
             (codepoint >= 0x1F150 && codepoint <= 0x1F169) || (codepoint >= 0x1F170 && codepoint <= 0x1F189) ||
             codepoint == 0x200C || codepoint == 0x200D;
  }
}

bool IsWordAt(std::string_view text, size_t at) {
  return at < text.size() && IsWordCharacter(DecodeUtf8(text.data() + at).codepoint);
}

bool IsWordBefore(std::string_view text, size_t at) {
  return at > 0 && IsWordAt(text, PreviousCharacter(text, at));
}

size_t EndOfSpace(std::string_view text, size_t at) {
  while (at < text.size()) {
    const DecodedCharacter character = DecodeUtf8(text.data() + at);
    if (!IsWhiteSpace(character.codepoint)) break;
    at += static_cast<size_t>(character.length);
  }
  return at;
}

}  // namespace

bool IsMarkup(const AddedToken& token) {
  if (token.special) return true;
  for (size_t at = 0; at < token.content.size();) {
    const DecodedCharacter character = DecodeUtf8(token.content.data() + at);
    constexpr char32_t kMetaspace = 0x2581;
    if (!IsWhiteSpace(character.codepoint) && character.codepoint != kMetaspace) return true;
    at += static_cast<size_t>(character.length);
  }
  return false;
}

AddedTokenMatcher::AddedTokenMatcher(absl::Span<const AddedToken> tokens, absl::Span<const std::string> contents)
    : nodes_(1) {
  std::fill(std::begin(roots_), std::end(roots_), -1);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (contents[i].empty()) continue;
    const AddedToken& token = tokens[i];
    const bool is_markup = IsMarkup(token);
    tokens_.push_back({token.id, token.single_word, token.lstrip, token.rstrip, is_markup});
    Insert(contents[i], static_cast<int32_t>(tokens_.size()) - 1);
    const auto first = static_cast<unsigned char>(contents[i][0]);
    starts_[first] = true;
    if (!is_markup) has_plain_ = plain_starts_[first] = true;
  }
}

int32_t AddedTokenMatcher::Child(int32_t node, char byte) const {
  if (node == 0) return roots_[static_cast<unsigned char>(byte)];
  int32_t child = nodes_[static_cast<size_t>(node)].first_child;
  while (child >= 0 && nodes_[static_cast<size_t>(child)].byte != byte) {
    child = nodes_[static_cast<size_t>(child)].next_sibling;
  }
  return child;
}

void AddedTokenMatcher::Insert(std::string_view content, int32_t token) {
  int32_t node = 0;
  for (const char byte : content) {
    int32_t child = Child(node, byte);
    if (child < 0) {
      child = static_cast<int32_t>(nodes_.size());
      nodes_.push_back({.byte = byte});
      if (node == 0) {
        roots_[static_cast<unsigned char>(byte)] = child;
      } else {
        nodes_[static_cast<size_t>(child)].next_sibling = nodes_[static_cast<size_t>(node)].first_child;
        nodes_[static_cast<size_t>(node)].first_child = child;
      }
    }
    node = child;
  }
  nodes_[static_cast<size_t>(node)].token = token;
}

int32_t AddedTokenMatcher::LongestAt(std::string_view text, size_t at, size_t trusted_end, size_t* end) const {
  int32_t best = -1;
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = Child(node, text[i]);
    if (node < 0) break;
    const int32_t token = nodes_[static_cast<size_t>(node)].token;
    if (token < 0 || (tokens_[static_cast<size_t>(token)].is_markup && i + 1 > trusted_end)) continue;
    best = token;
    *end = i + 1;
  }
  return best;
}

void AddedTokenMatcher::Split(std::string_view text, absl::Span<const Authorship> authors,
                              std::vector<AddedTokenSplit>& out) const {
  size_t done = 0;  // everything before is in `out`
  size_t at = 0;
  size_t space_end = 0;  // of the run of white space that an rstrip took last: one run is walked through once
  for (const Authorship& author : authors) {
    const bool* starts = author.is_trusted ? starts_ : plain_starts_;
    if (!author.is_trusted && !has_plain_) {
      at = std::max(at, author.end);
      continue;
    }
    while (at < author.end) {
      if (!starts[static_cast<unsigned char>(text[at])]) {
        ++at;
        continue;
      }
      size_t end = 0;
      const int32_t index = LongestAt(text, at, author.is_trusted ? author.end : 0, &end);
      if (index < 0) {
        ++at;
        continue;
      }
      const Token& token = tokens_[static_cast<size_t>(index)];
      size_t begin = at;
      at = end;
      if (token.single_word && (IsWordBefore(text, begin) || IsWordAt(text, end))) continue;
      if (token.lstrip) {
        while (begin > done) {
          const size_t previous = PreviousCharacter(text, begin);
          if (!IsWhiteSpace(DecodeUtf8(text.data() + previous).codepoint)) break;
          begin = previous;
        }
      }
      // The search goes on within the white space that is taken here, so that a token of white space in it is found
      // as well: so do Hugging Face's tokenizers.
      if (token.rstrip) {
        if (end >= space_end) space_end = EndOfSpace(text, end);
        end = space_end;
      }
      if (done < begin) out.push_back({done, begin, -1});
      out.push_back({begin, end, token.id});
      done = end;
    }
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
}

}  // namespace swiftlet
