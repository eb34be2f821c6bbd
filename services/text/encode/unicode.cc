#include "services/text/encode/unicode.h"

#include <algorithm>
#include <cstring>

namespace swiftlet {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Sequence {
  size_t length;  // bytes that belong together: a whole character, or the maximal part of a broken one (>= 1)
  bool valid;
};

// Table 3-7 of the Unicode standard: which second bytes a lead byte allows.
Sequence SequenceAt(const unsigned char* at, const unsigned char* end) {
  const unsigned char lead = *at;
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (end - at < 2 || at[1] < lowest || at[1] > highest) return {1, false};
  for (size_t i = 2; i < length; ++i) {
    if (at + i >= end || (at[i] & 0xC0) != 0x80) return {i, false};
  }
  return {length, true};
}

}  // namespace

size_t ValidUtf8Prefix(std::string_view text) {
  const auto* begin = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = begin + text.size();
  const auto* at = begin;
  while (at < end) {
    if (end - at >= 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      if ((word & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const Sequence sequence = SequenceAt(at, end);
    if (!sequence.valid) break;
    at += sequence.length;
  }
  return static_cast<size_t>(at - begin);
}

DecodedCharacter DecodeUtf8(const char* text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text);
  const char32_t lead = at[0];
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (at[1] & 0x3Fu), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu), 3};
  return {(lead & 0x07) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu), 4};
}

size_t PreviousCharacter(std::string_view text, size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

void AppendUtf8(char32_t codepoint, std::string& out) {
  const auto push = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (codepoint < 0x80) {
    push(codepoint);
  } else if (codepoint < 0x800) {
    push(0xC0 | codepoint >> 6);
    push(0x80 | (codepoint & 0x3F));
  } else if (codepoint < 0x10000) {
    push(0xE0 | codepoint >> 12);
    push(0x80 | (codepoint >> 6 & 0x3F));
    push(0x80 | (codepoint & 0x3F));
  } else {
    push(0xF0 | codepoint >> 18);
    push(0x80 | (codepoint >> 12 & 0x3F));
    push(0x80 | (codepoint >> 6 & 0x3F));
    push(0x80 | (codepoint & 0x3F));
  }
}

void AppendLossyUtf8(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    const size_t valid = ValidUtf8Prefix(bytes);
    out.append(bytes.substr(0, valid));
    bytes.remove_prefix(valid);
    if (bytes.empty()) return;
    const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
    out.append(kReplacement);
    bytes.remove_prefix(SequenceAt(at, at + bytes.size()).length);
  }
}

bool IsWhiteSpace(char32_t codepoint) {
  return (codepoint >= 0x09 && codepoint <= 0x0D) || codepoint == 0x20 || codepoint == 0x85 || codepoint == 0xA0 ||
         codepoint == 0x1680 || (codepoint >= 0x2000 && codepoint <= 0x200A) || codepoint == 0x2028 ||
         codepoint == 0x2029 || codepoint == 0x202F || codepoint == 0x205F || codepoint == 0x3000;
}

}  // namespace swiftlet
