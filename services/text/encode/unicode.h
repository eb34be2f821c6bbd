// UTF-8 and the few character properties that need no library. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace swiftlet {

// Length of the longest prefix of `text` that is valid UTF-8 (no surrogates, no overlong forms, <= U+10FFFF).
size_t ValidUtf8Prefix(std::string_view text);
inline bool IsValidUtf8(std::string_view text) {
  return ValidUtf8Prefix(text) == text.size();
}

// Bytes of the character that starts with `lead`; the text must be valid.
inline int Utf8Length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

struct DecodedCharacter {
  char32_t codepoint;
  int length;  // bytes
};
// The character at `text`, which must be valid UTF-8.
DecodedCharacter DecodeUtf8(const char* text);

// Start of the character before `end` (> 0) in valid UTF-8.
size_t PreviousCharacter(std::string_view text, size_t end);

void AppendUtf8(char32_t codepoint, std::string& out);

// Appends `bytes`, each maximal invalid part replaced by one U+FFFD (Unicode 15, section 3.9, as WHATWG decoders do).
void AppendLossyUtf8(std::string_view bytes, std::string& out);

// The property White_Space, the same in every Unicode version since 6.3.
bool IsWhiteSpace(char32_t codepoint);

}  // namespace swiftlet
