// Text as a chat template sees it: UTF-8 bytes, and which of them came from the user. The marking follows every byte
// through concatenation, slicing, splitting and replacing, so that a special token spelled in a message stays plain
// text. Plain values; a Text is written by one thread and then shared read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swiftlet::jinja {

struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
};

struct Text {
  std::string bytes;                   // valid UTF-8
  std::vector<ByteRange> user_ranges;  // ascending, disjoint, not touching, none empty

  bool IsUser(size_t byte) const;
};

// Assembles a Text from pieces, keeping each piece's marking.
class TextBuilder {
 public:
  void Append(std::string_view piece, bool user = false);
  void Append(const Text& piece) { Append(piece, 0, piece.bytes.size()); }
  void Append(const Text& piece, size_t begin, size_t end);
  size_t size() const { return text_.bytes.size(); }
  Text Build() { return std::move(text_); }

 private:
  void Mark(size_t begin, size_t end);
  Text text_;
};

Text Substring(const Text& text, size_t begin, size_t end);

// --- Unicode, as Python counts it: a character is a code point. ---

// The code point that starts at `at`, which moves past it.
char32_t DecodeCodePoint(std::string_view text, size_t& at);
void AppendUtf8(char32_t code_point, std::string& out);
int64_t CodePointCount(std::string_view text);
// Byte offset of code point `index`; text.size() where there are fewer.
size_t CodePointOffset(std::string_view text, int64_t index);
bool IsWhitespace(char32_t code_point);  // str.isspace() for one character

// Range left after removing whitespace, or the characters of `*characters`, from the chosen ends.
ByteRange StripRange(std::string_view text, const std::string* characters, bool left, bool right);

// str.split: by `*separator` (not empty) or by runs of whitespace; at most `max_splits` cuts unless negative.
std::vector<ByteRange> SplitRanges(std::string_view text, const std::string* separator, int64_t max_splits);
// str.rsplit: the same, counted from the right.
std::vector<ByteRange> SplitRangesFromRight(std::string_view text, const std::string* separator, int64_t max_splits);
std::vector<ByteRange> SplitLineRanges(std::string_view text, bool keep_ends);

// str.replace; `max_count` < 0 replaces all. An empty `old_piece` matches between characters.
// `size_limit` is checked before anything is built: false when the result would be longer.
bool ReplaceText(const Text& text, const Text& old_piece, const Text& new_piece, int64_t max_count, size_t size_limit,
                 Text& result);

enum class LetterCase { kUpper, kLower, kTitle, kCapitalize, kSwap, kFold };
Text ChangeCase(const Text& text, LetterCase letter_case);

}  // namespace swiftlet::jinja
