// What decoding needs of a vocabulary: the bytes of every id and the rules that join them. Built once by a loader,
// read by any thread afterwards. The gateway gets exactly this, over GetVocabulary and GetInfo.
#pragma once

#include <absl/types/span.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet {

struct JoinRules {
  enum class Kind {
    kByteLevel,  // text = all bytes joined; each maximal invalid part reads U+FFFD
    kMetaspace,  // a run of byte-fallback tokens that is no valid UTF-8 reads one U+FFFD a byte; other tokens are text
  };
  // What becomes of the space that the encoder put before the text.
  enum class LeadingSpace {
    kKeep,
    kStripOne,         // one space, if the whole text begins with it
    kStripFirstToken,  // the leading run of spaces of the first token
    kStripEachToken,   // one leading space of every token that is not special, until the text is no longer empty
  };
  Kind kind = Kind::kByteLevel;
  LeadingSpace leading_space = LeadingSpace::kKeep;
};

struct TokenEntry {
  std::string_view bytes;         // what the id adds to the text; empty for ids that no token has
  bool is_special = false;        // left out of the answer's text: control tokens
  bool is_byte_fallback = false;  // kMetaspace only: one raw byte
};

class TokenVocabulary {
 public:
  explicit TokenVocabulary(JoinRules rules) : rules_(rules) {}

  const JoinRules& rules() const { return rules_; }
  // One more than the largest id.
  int32_t size() const { return static_cast<int32_t>(entries_.size()); }
  // `id` in [0, size()).
  TokenEntry Token(int32_t id) const;

  // Loader only. Sets or replaces what `id` (>= 0) stands for.
  void Set(int32_t id, const TokenEntry& entry);
  // Loader only. Sets is_special of an id below size().
  void MarkSpecial(int32_t id) { entries_[static_cast<size_t>(id)].is_special = true; }
  void Reserve(size_t tokens, size_t bytes);

  // The text of `ids`, every one in [0, size()). An id that no token has reads as if it were not there.
  std::string Decode(absl::Span<const int32_t> ids, bool skip_special) const;

 private:
  struct Entry {
    uint32_t offset = 0;  // into bytes_
    uint32_t length = 0;
    bool is_special = false;
    bool is_byte_fallback = false;
  };

  JoinRules rules_;
  std::vector<Entry> entries_;
  std::string bytes_;
};

}  // namespace swiftlet
